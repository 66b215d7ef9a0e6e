"""What a process needs in its environment so that boto3, Pulumi and `lockstep` work on the sandbox and nowhere else.

`applied` and `restored` are pure and inverse to each other; `script` turns the difference between two environments into
lines that a POSIX shell can `eval`. What the user had is kept in LOCKSTEP_OLD_NAME variables. PATH is not kept: what
was put in is taken out again, so that changes made meanwhile survive.
"""

import os
import re
import shlex
from collections.abc import Mapping

from sandbox.state import AUTHORITY_FILE, SandboxState

ACTIVE = "LOCKSTEP_SANDBOX"
"""Set to STATE in a shell that points at the sandbox there."""

ADDED_PATH = "LOCKSTEP_SANDBOX_PATH"
"""The folders that were put on PATH, joined by colons."""

OLD_PREFIX = "LOCKSTEP_OLD_"

SET = frozenset(
    {
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_EC2_METADATA_DISABLED",
        "LOCKSTEP_CA_BUNDLE",
        "LOCKSTEP_HTTP_PROXY",
        "LOCKSTEP_NAME_SERVER",
        "PULUMI_BACKEND_URL",
        "PULUMI_CONFIG_PASSPHRASE",
        "PULUMI_DEBUG_PROVIDERS",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION",
        "PULUMI_HOME",
        "PULUMI_SKIP_UPDATE_CHECK",
        "NO_PROXY",
        "no_proxy",
        "PATH",
    }
)
"""What `variables` sets."""

LOOPBACK = ("127.0.0.1", "localhost")

# Each of these outranks, or changes the meaning of, something that `variables` sets. AWS SDKs and Tools Reference
# Guide, "Service-specific endpoints" (AWS_ENDPOINT_URL_SERVICE, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS), "Dual-stack
# and FIPS endpoints", "AWS access keys"; Pulumi CLI, "Environment variables" (PULUMI_CONFIG_PASSPHRASE_FILE).
# PYTHONDONTWRITEBYTECODE makes every run of the program compile pulumi_aws anew, which takes seconds.
_REMOVED = re.compile(
    "AWS_PROFILE|AWS_DEFAULT_PROFILE|AWS_SESSION_TOKEN|AWS_SECURITY_TOKEN|AWS_ENDPOINT_URL_[A-Z0-9_]+"
    "|AWS_IGNORE_CONFIGURED_ENDPOINT_URLS|AWS_USE_FIPS_ENDPOINT|AWS_USE_DUALSTACK_ENDPOINT"
    "|PULUMI_CONFIG_PASSPHRASE_FILE|PYTHONDONTWRITEBYTECODE"
)
_SHELL_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def variables(state: SandboxState, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables to set for the sandbox of `state`; PATH and NO_PROXY extend those of `environ`.

    A caller that starts a process wants `applied`, which also takes away what would lead past the sandbox.
    """
    before = restored(environ)
    return {
        "AWS_ENDPOINT_URL": state.addresses["api"],
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_EC2_METADATA_DISABLED": "true",
        # How `lockstep` reaches the sites by their own names.
        "LOCKSTEP_HTTP_PROXY": state.addresses["gateway"],
        "LOCKSTEP_CA_BUNDLE": str(state.home / AUTHORITY_FILE),
        "LOCKSTEP_NAME_SERVER": state.addresses["dns"],
        "PULUMI_DEBUG_PROVIDERS": f"aws:{state.addresses['provider'].rpartition(':')[2]}",
        **state.pulumi,
        # boto3 and gRPC send even loopback addresses to a proxy if HTTP_PROXY is set; both spellings are read.
        "NO_PROXY": _with_loopback(before.get("NO_PROXY", "")),
        "no_proxy": _with_loopback(before.get("no_proxy", before.get("NO_PROXY", ""))),
        "PATH": os.pathsep.join([*_folders(state), *filter(None, [before.get("PATH", "")])]),
    }


def applied(state: SandboxState, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`environ` turned to the sandbox of `state`, from wherever it pointed before."""
    before = restored(environ)
    new = variables(state, before)
    removed = {name for name in before if _REMOVED.fullmatch(name)}
    old = {name: before[name] for name in (new.keys() | removed) & before.keys() if name != "PATH"}
    return {
        **{name: value for name, value in before.items() if name not in removed},
        **new,
        **{OLD_PREFIX + name: value for name, value in old.items()},
        ACTIVE: str(state.home),
        ADDED_PATH: os.pathsep.join(_folders(state)),
    }


def restored(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` as it was before `applied`; what was changed by hand since then stays where that can be told."""
    if ACTIVE not in environ:
        return dict(environ)
    old = {name.removeprefix(OLD_PREFIX): value for name, value in environ.items() if name.startswith(OLD_PREFIX)}
    kept = {name: value for name, value in environ.items() if not _is_ours(name)}
    path = _without(environ.get("PATH", ""), environ.get(ADDED_PATH, ""))
    return {**old, **kept, **({"PATH": path} if path else {})}


def script(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Lines for a POSIX shell (sh, bash, zsh, dash) that turn the environment `before` into `after`."""
    removed = [f"unset {name}" for name in sorted(before.keys() - after.keys()) if _SHELL_NAME.fullmatch(name)]
    changed = [
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(after.items())
        if before.get(name) != value and _SHELL_NAME.fullmatch(name)
    ]
    return "".join(f"{line}\n" for line in removed + changed)


def _folders(state: SandboxState) -> list[str]:
    """The project's own Python first, then the Pulumi CLI that `make setup` built, if it had to."""
    candidates = {".venv/bin": "python", ".tools/bin": "pulumi"}
    return [
        str(state.project / folder) for folder, tool in candidates.items() if (state.project / folder / tool).exists()
    ]


def _is_ours(name: str) -> bool:
    return name in SET or name in (ACTIVE, ADDED_PATH) or name.startswith(OLD_PREFIX)


def _with_loopback(hosts: str) -> str:
    listed = [host for host in hosts.split(",") if host]
    return ",".join([*listed, *(host for host in LOOPBACK if host not in listed)])


def _without(path: str, added: str) -> str:
    folders = path.split(os.pathsep)
    for folder in filter(None, added.split(os.pathsep)):
        if folder in folders:
            folders.remove(folder)
    return os.pathsep.join(folders)
