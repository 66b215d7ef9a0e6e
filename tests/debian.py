"""Debian's programs, from `make tools-debian`, for tests that hold ours against them."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / ".tools" / "debian" / "packages" / "bin"
MISSING: Final = "not run without `make tools-debian`"
"""Why a test was skipped, and what the summary's last line counts such tests as."""


def tool(name: str) -> Path:
    """Where `name` is, or would be."""
    return FOLDER / name


def needs(name: str) -> pytest.MarkDecorator:
    """Skips a test where `name` isn't; not in CI, where a missing tool makes the test fail."""
    is_missing = not tool(name).exists() and os.environ.get("LOCKSTEP_CI") != "1"
    return pytest.mark.skipif(is_missing, reason=MISSING)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """pytest's hook: those tests are one number in the last line, and not a line each."""
    if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[2].endswith(MISSING):
        return MISSING, "s", "SKIPPED"
    return None


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Debian's `name` to its end, in English and past any proxy; its status is for the caller to judge."""
    environment = {each: value for each, value in os.environ.items() if not each.lower().endswith("_proxy")}
    return subprocess.run(
        [tool(name), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment, "LC_ALL": "C"},
        check=False,
    )


def dnf(root: Path, repo_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dnf with the repository at `repo_url` (http or file) and nothing of this machine's, as an instance would.

    `root` is the folder that it takes for the machine, made where it is missing. No root is needed for what doesn't run
    a transaction: `repoquery`, `install --downloadonly`.
    """
    for folder in ("etc/yum.repos.d", "log", "cache", "state"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc" / "dnf.conf").write_text("[main]\nplugins=0\n")
    return run(
        "dnf",
        f"--config={root}/etc/dnf.conf",
        f"--installroot={root}",
        f"--setopt=cachedir={root}/cache",
        f"--setopt=logdir={root}/log",
        f"--setopt=persistdir={root}/state",
        f"--setopt=reposdir={root}/etc/yum.repos.d",
        "--setopt=module_platform_id=platform:al2023",
        f"--repofrompath=lockstep,{repo_url}",
        "--repo=lockstep",
        "--nogpgcheck",
        "--releasever=2023",
        "--forcearch=x86_64",
        "--assumeyes",
        "--quiet",
        *arguments,
    )
