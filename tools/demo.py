"""`make demo`: both sites in the sandbox, a release deployed to both, then the next one, a region lost and survived.

The sandbox's timers run six times faster than AWS's, and so do the clients'. What is measured is told in AWS's seconds.
It fails if clients weren't served again 20 % later than the model's 99 % figure, if a request failed after that, or if
an instance served an earlier release. `KEEP=1` leaves the sandbox up.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from lockstep import config, failover_model
from lockstep.config.models import Config
from lockstep.errors import ExitCode
from lockstep.failover_model import Fault, Prediction
from sandbox import lifecycle, state
from sandbox.lifecycle import Health
from sandbox.state import SandboxState
from tools import failover
from tools.clients import Clients, Request
from tools.failover import Failover

ROOT = Path(__file__).resolve().parent.parent
LOCKSTEP = str(ROOT / ".venv" / "bin" / "lockstep")
RPMS = "examples/orders/rpms"
SPEED = "6"
BEFORE, RELEASE = "1.0.0", "1.1.0"
# Enough for every second of AWS's to have its requests, and few enough for two cores.
CLIENTS = 24
PACE_SECONDS = 2.0
# How much later than the model's 99 % figure clients may be served again.
LATE = 1.2
COLUMNS = 72
LINE_SECONDS = 2.0

KEPT = f"""
It stays up. Try:
  eval "$(.venv/bin/lockstep sandbox env)"
  lockstep status
  lockstep sandbox break eu-central-1; lockstep sandbox request http://orders.example.com/ -n 20
  lockstep sandbox heal; lockstep model   # what interval, threshold and TTL buy
  lockstep publish 1.2.0 {RPMS}/1.2.0 --yes; lockstep deploy 1.2.0 --yes   # its health path fails
  lockstep deploy 1.0.0 --yes   # back
  lockstep sandbox down   # and take the release out of Pulumi.yaml again: `deploy` wrote it there"""

console = Console(highlight=False)


class DemoError(Exception):
    """The demo didn't show what it is there to show; the text says what happened instead."""


def in_sandbox(line: str) -> str:
    """`line`, run by a shell in the sandbox's environment, or not at all."""
    return f'variables=$({shlex.quote(LOCKSTEP)} sandbox env) && eval "$variables" && {line}'


def step(title: str, *command: str, expect: Sequence[int] = (0,)) -> None:
    """Say what comes and run it in the sandbox's environment. Raises DemoError if it exits with something else."""
    print(f"\n== {title}\n$ {' '.join(command)}", flush=True)
    done = subprocess.run(["bash", "-c", in_sandbox('"$@"'), "demo", *command], cwd=ROOT, check=False)
    if done.returncode not in expect:
        raise DemoError(f"`{' '.join(command)}` exited with {done.returncode}")


def tell_sandbox(*arguments: str) -> dict[str, object]:
    """What `lockstep sandbox ARGUMENTS --json` prints; shown without `--json`."""
    print(f"$ lockstep sandbox {' '.join(arguments)}", flush=True)
    done = subprocess.run([LOCKSTEP, "sandbox", *arguments, "--json"], cwd=ROOT, check=False, stdout=subprocess.PIPE)
    if done.returncode:
        raise DemoError(f"`lockstep sandbox {' '.join(arguments)}` exited with {done.returncode}")
    return dict(json.loads(done.stdout))


class Watch:
    """Shows how requests fare, a line that changes at a terminal, some lines elsewhere."""

    def __init__(self, clients: Clients, speed: float) -> None:
        self._clients = clients
        self._speed = speed

    def until(self, what: str, seconds: float, *, since: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Watch until `seconds` of AWS's are over since the moment `since`, or until `is_over`."""
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30))
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task(what, total=seconds)
            shown = 0.0
            while (gone := (time.time() - since) * self._speed) < seconds and not is_over():
                text = f"{what}: {gone:3.0f} s, {self._failing()} % of the requests fail"
                progress.update(task, completed=gone, description=text)
                if not console.is_terminal and time.monotonic() - shown >= LINE_SECONDS:
                    shown = time.monotonic()
                    print(text, flush=True)
                time.sleep(0.1)

    def _failing(self) -> int:
        """Per cent of the requests that ended during the last two of AWS's seconds."""
        from_ = time.time() - 2 / self._speed
        ended = [each for each in self._clients.requests[-20 * CLIENTS :] if each.ended >= from_]
        return round(100 * sum(bool(each.failure) for each in ended) / len(ended)) if ended else 0


def lose_a_region(settings: Config, record: SandboxState) -> None:
    """Have a region vanish while clients ask, and come back. Raises DemoError if they are without service too long."""
    site = settings.sites[0]
    speed = record.speed
    share = failover_model.shares(settings)[site.name]
    prediction = failover_model.predict(replace(failover_model.of_config(settings, Fault.VANISHES), share=share))
    host, _, port = record.addresses["dns"].rpartition(":")
    print(f"\n== {CLIENTS} clients ask for {settings.domain}; then {site.region} is gone", flush=True)
    ttl = prediction.settings.ttl
    with Clients(
        settings.domain, (host, int(port)), speed=speed, count=CLIENTS, pace=PACE_SECONDS, spread=ttl
    ) as clients:
        watch = Watch(clients, speed)
        began = time.time()
        watch.until("both sites serve", ttl + 15, since=began)
        _check_before(clients.requests, settings)
        lost = tell_sandbox("break", site.region, "--vanish")["lost"]
        assert isinstance(lost, dict)
        since = float(lost[site.region]["since"])
        watch.until(f"{site.region} is lost", LATE * prediction.back_99, since=since)
        found_until = time.time()
        step("What an operator sees meanwhile", "lockstep", "status", expect=(7, 10))
        print("\n== The region comes back, and traffic with it", flush=True)
        tell_sandbox("heal", site.region)
        healed = time.time()
        returning = LATE * (prediction.return_max + prediction.settings.push + ttl)
        watch.until("traffic returns", returning, since=healed, is_over=lambda: _is_even(clients.requests, settings))
        ended = time.time()
        requests = list(clients.requests)
    found = failover.measure(requests, since=since, until=found_until, clients=CLIENTS, speed=speed)
    back = min((each.began for each in requests if each.began > healed and each.region == site.region), default=None)
    lines = failover.picture(
        requests,
        [each.region for each in settings.sites],
        {"lost": since, "healed": healed},
        spans=((since - ttl / 2 / speed, found_until), (healed - PACE_SECONDS / speed, ended)),
        speed=speed,
        columns=COLUMNS,
    )
    print("\n" + "\n".join(lines))
    show(found, prediction, None if back is None else (back - healed) * speed)
    _check(found, prediction, [each for each in requests if each.began > found_until], requests, settings)


def show(found: Failover, model: Prediction, back: float | None) -> None:
    """A table of what was measured and what the model says."""
    table = Table(title=f"seconds of AWS's ({SPEED} times faster here)", title_justify="left")
    for column in ("", "measured", "model"):
        table.add_column(column, justify="left" if not column else "right")

    def row(what: str, measured: float | None, said: str) -> None:
        table.add_row(what, "-" if measured is None else f"{measured:.1f}", said)

    row("first failing request after", found.first, "")
    row("last failing request after", found.last, f"{model.back_max:.1f} at most")
    row("99 % of those who met one are served after", found.back_99, f"{model.back_99:.1f}")
    row("average client without service for", found.lost, f"{model.lost:.1f}")
    row("traffic is back, once healed, after", back, f"{model.return_mean + model.settings.push:.1f} on average")
    console.print(table)
    print(f"{found.failed} requests failed, {found.share:.0%} of those sent between the first and the last of them")


def _check_before(requests: Sequence[Request], settings: Config) -> None:
    failures = [each.failure for each in requests if each.failure]
    if failures:
        raise DemoError(f"{len(failures)} requests failed while both sites were up, the first: {failures[0]}")
    missing = {site.region for site in settings.sites} - {each.region for each in requests}
    if missing:
        raise DemoError(f"no request was answered from {', '.join(sorted(missing))} while both sites were up")


def _is_even(requests: Sequence[Request], settings: Config) -> bool:
    """Whether every site has had at least half of its share of the latest requests."""
    latest = [each.region for each in requests[-4 * CLIENTS :]]
    shares = failover_model.shares(settings)
    return all(latest.count(site.region) >= len(latest) * shares[site.name] / 2 for site in settings.sites)


def _check(
    found: Failover, model: Prediction, after: Sequence[Request], requests: Sequence[Request], settings: Config
) -> None:
    if found.last is None:
        raise DemoError("no request failed, so no region was lost")
    if found.back_99 is None or found.back_99 > LATE * model.back_99:
        raise DemoError(f"clients were served again after {found.back_99:.1f} s; the model says {model.back_99:.1f} s")
    if failures := [each.failure for each in after if each.failure]:
        raise DemoError(f"{len(failures)} requests failed after that, the first: {failures[0]}")
    if old := {each.release for each in requests if not each.failure} - {RELEASE}:
        raise DemoError(f"after the deployment of {RELEASE}, instances served {', '.join(sorted(old))}")
    if not _is_even(requests, settings):
        raise DemoError("traffic didn't return to the region that came back")


def main() -> int:
    """Run the demo; the exit status is 1 if it doesn't show what it should."""
    home = state.home_of(ROOT)
    if lifecycle.status(home).health is not Health.DOWN:
        print(
            f"a sandbox is up in {home}, or was: `.venv/bin/lockstep sandbox down` ends it, then again", file=sys.stderr
        )
        return ExitCode.REFUSED
    print(f"== A local AWS, its timers {SPEED} times faster\n$ lockstep sandbox up --speed {SPEED}", flush=True)
    command = [LOCKSTEP, "sandbox", "up", "--speed", SPEED]
    if failed := subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode:
        return failed
    project = (ROOT / "Pulumi.yaml").read_bytes()
    try:
        show_all()
    except DemoError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return ExitCode.UNEXPECTED
    finally:
        if os.environ.get("KEEP") == "1":
            print(KEPT)
        else:
            subprocess.run([LOCKSTEP, "sandbox", "down"], cwd=ROOT, check=False)
            # `deploy` writes the release that is wanted; that one is gone with the sandbox.
            (ROOT / "Pulumi.yaml").write_bytes(project)
    return ExitCode.DONE


def show_all() -> None:
    """Every step, in a sandbox that is up. Raises DemoError at the first that doesn't show what it should."""
    step("Plan all stacks under the policies, then bring them up", "lockstep", "up", "--yes")
    for version in (BEFORE, RELEASE):
        step(f"Packages of {version} into both regions", "lockstep", "publish", version, f"{RPMS}/{version}", "--yes")
        step(f"Both sites run {version}, or neither", "lockstep", "deploy", version, "--yes")
    step("What every site wants and runs", "lockstep", "status")
    lose_a_region(config.load(ROOT, "global"), lifecycle.current_state(state.home_of(ROOT)))
    print(f"\nOne region was lost, nobody had to act, and both sites serve {RELEASE} again.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
