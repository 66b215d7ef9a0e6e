"""`lockstep sandbox`: the local stand-in for AWS, from up to down.

The package `sandbox` belongs to the checkout, not to the installed product, and needs modules that the product doesn't:
it is imported from the project's folder, when one of these commands runs.
"""

import importlib
import os
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lockstep import console, project
from lockstep.errors import ExitCode, InvalidInputError, LockstepError

app = typer.Typer(
    help="""The local stand-in for AWS.

    `up` starts it, `eval "$(lockstep sandbox env)"` points a shell at it, `down` throws all of it away.""",
    no_args_is_help=True,
    add_completion=False,
)

MEBIBYTE = 1024 * 1024

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


class Shell(StrEnum):
    """Shells that `env` writes for; sh covers bash, zsh, dash and ksh."""

    SH = "sh"


def _port(option: str, variable: str, what: str) -> Any:
    return typer.Option(option, envvar=variable, min=0, max=65535, help=f"Port of {what}; 0 takes a free one.")


@app.command()
def up(
    port: Annotated[int, _port("--port", "LOCKSTEP_SANDBOX_PORT", "the AWS API")] = 0,
    plain_port: Annotated[
        int, _port("--plain-port", "LOCKSTEP_SANDBOX_PLAIN_PORT", "the AWS API that counts as plain HTTP")
    ] = 0,
    provider_port: Annotated[
        int, _port("--provider-port", "LOCKSTEP_SANDBOX_PROVIDER_PORT", "the Pulumi provider")
    ] = 0,
    dns_port: Annotated[int, _port("--dns-port", "LOCKSTEP_SANDBOX_DNS_PORT", "the name server")] = 0,
    gateway_port: Annotated[
        int, _port("--gateway-port", "LOCKSTEP_SANDBOX_GATEWAY_PORT", "the proxy to the sites' names")
    ] = 0,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            envvar="LOCKSTEP_SANDBOX_SPEED",
            min=1,
            max=60,
            show_default="1, AWS's own",
            help="How many times faster than AWS's the sandbox's timers run: health checks, time-outs, delays.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Start the sandbox, with its hosted zone and stacks; nothing to do if it is up.

    If it was up and part of it is gone, what is left is ended, and it starts anew.
    """
    # Only here: it is slow to import, and the other commands do without.
    from lockstep import config

    root = project.find_root()
    lifecycle, start = _import(root, "sandbox.lifecycle"), _import(root, "sandbox.start")
    ports = start.Ports(api=port, plain=plain_port, provider=provider_port, dns=dns_port, gateway=gateway_port)
    settings = config.load(root, project.GLOBAL_STACK)
    found = start.Project(root=root, zone=settings.zone, stacks=settings.stacks)
    lifecycle.up(found, _home(root), ports, console.progress, speed=speed)
    _show(lifecycle.status(_home(root)), json)
    if not json:
        console.data('\nTo use it:  eval "$(lockstep sandbox env)"')


@app.command()
def down() -> None:
    """End all processes of the sandbox and remove all of its state."""
    root = project.find_root()
    home = _home(root)
    if _import(root, "sandbox.lifecycle").down(home, console.progress):
        console.progress(f"the sandbox in {home} is down; nothing of it is left")
    else:
        console.progress(f"nothing to take down: no sandbox in {home}")


@app.command()
def status(json: JsonOption = False) -> None:
    """Show the sandbox's processes and addresses.

    Exit status: 0 all of it runs; 10 it was brought up, and some or all of its processes are gone; 7 it isn't up.
    """
    root = project.find_root()
    lifecycle = _import(root, "sandbox.lifecycle")
    found = lifecycle.status(_home(root))
    _show(found, json)
    codes = {"up": ExitCode.DONE, "degraded": ExitCode.DEGRADED, "down": ExitCode.REGION_UNREACHABLE}
    raise typer.Exit(codes[found.health.value])


@app.command()
def env(
    unset: Annotated[bool, typer.Option("--unset", help="Undo it: restore what the shell had before.")] = False,
    shell: Annotated[Shell, typer.Option(help="Shell to write for; sh covers bash, zsh and dash.")] = Shell.SH,
) -> None:
    """Print what points a shell at the sandbox: eval "$(lockstep sandbox env)".

    If the sandbox isn't up, exits with 7 and prints a line that fails, so that `set -e` and `&&` stop a script there.
    """
    try:
        lines = _environment_script(unset)
    except LockstepError:
        # `eval ""` succeeds, and would leave the shell on whatever AWS account it had.
        console.data("false")
        raise
    if lines:
        console.data(lines.rstrip("\n"))


@app.command()
def request(
    url: Annotated[
        str, typer.Argument(help="http://NAME[:PORT]/PATH or https://…, NAME in a hosted zone of the sandbox.")
    ],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many requests, one after another.")] = 1,
    json: JsonOption = False,
) -> None:
    """Ask a site by its name, as a user's machine does: the name server for the address, then the address.

    Exit status: 0 every request was answered well; 10 some were not, or by an error; 7 none was answered.
    """
    root = project.find_root()
    destination, requests = _import(root, "sandbox.gateway.destination"), _import(root, "sandbox.gateway.request")
    record = _import(root, "sandbox.lifecycle").current_state(_home(root))
    try:
        target = destination.parse(url)
    except destination.InvalidUrlError as error:
        raise InvalidInputError(str(error), f"for example: lockstep sandbox request http://{record.zone}/") from error
    host, _, port = record.addresses["dns"].rpartition(":")
    authority = record.home / _import(root, "sandbox.state").AUTHORITY_FILE
    outcomes = [requests.ask(target, (host, int(port)), authority) for _ in range(count)]
    if json:
        summary = requests.Summary.of(outcomes).to_json()
        console.data_json({"url": url, "summary": summary, "requests": [each.to_json() for each in outcomes]})
    elif count == 1:
        _show_answer(outcomes[0])
    else:
        _show_summary(requests.Summary.of(outcomes))
    if all(outcome.is_good for outcome in outcomes):
        return
    answered = any(outcome.status is not None for outcome in outcomes)
    raise typer.Exit(ExitCode.DEGRADED if answered else ExitCode.REGION_UNREACHABLE)


@app.command("break")
def lose(
    region: Annotated[str, typer.Argument(help="An AWS region, for example eu-west-1.")],
    refuse: Annotated[
        bool,
        typer.Option(
            "--refuse/--vanish",
            help="Its addresses refuse connections at once; or, as when a region is really lost, don't answer at all.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Lose a region: its AWS API, balancers and machines, all at once. us-east-1 takes the control planes of Route 53
    and IAM along. `heal` has it back.
    """
    root = project.find_root()
    outages = _import(root, "sandbox.outages")
    how = "refuse" if refuse else "vanish"
    found = outages.lose(_import(root, "sandbox.lifecycle").current_state(_home(root)), region, how)
    if json:
        console.data_json({"lost": {name: asdict(outage) for name, outage in found.items()}})
    else:
        console.progress(f"{region} is lost ({how}), with {found[region].processes} balancers and machines")
        if region not in outages.CONTROL_PLANES.values():
            _warn_of_no_site(root, region)
        console.progress(f"to have it back: lockstep sandbox heal {region}")


def _warn_of_no_site(root: Path, region: str) -> None:
    # Only here: it is slow to import, and the other commands do without.
    from lockstep import config

    regions = sorted(site.region for site in config.load(root, project.GLOBAL_STACK).sites)
    if region not in regions:
        console.warning(f"no site is in {region}: the sites' regions are {', '.join(regions)}")


@app.command()
def heal(
    region: Annotated[str | None, typer.Argument(help="A region that is lost; all of them without it.")] = None,
    json: JsonOption = False,
) -> None:
    """Have a region back as it was when `break` lost it: the same processes go on."""
    root = project.find_root()
    outages = _import(root, "sandbox.outages")
    record = _import(root, "sandbox.lifecycle").current_state(_home(root))
    before = outages.current(record)
    found = outages.heal(record, region)
    if json:
        console.data_json({"lost": {name: asdict(outage) for name, outage in found.items()}})
        return
    healed = sorted(before.keys() - found.keys())
    for each in healed:
        console.progress(f"{each} is back")
    if not healed:
        console.progress(f"nothing to heal: {region} isn't lost" if region else "nothing to heal: no region is lost")


def _show_answer(outcome: Any) -> None:
    if outcome.status is None:
        console.warning(
            f"no answer: {outcome.failure}; `lockstep sandbox status` and `lockstep status` show what is up"
        )
        return
    console.data(f"{' -> '.join(outcome.destination.names)} -> {outcome.address}")
    console.data(f"HTTP {outcome.status} {outcome.reason}".rstrip())
    for name, value in outcome.headers:
        console.data(f"{name}: {value}")
    console.data("\n" + outcome.body.decode(errors="replace").rstrip("\n"))


def _show_summary(summary: Any) -> None:
    if summary.answers:
        console.table(
            ["release", "address", "status", "answers"],
            [
                [release or "-", address, str(status), str(number)]
                for (release, address, status), number in sorted(summary.answers.items())
            ],
        )
    for failure, number in sorted(summary.failures.items()):
        console.warning(f"{number} without an answer: {failure}")


def _environment_script(unset: bool) -> str:
    root = project.find_root()
    environment = _import(root, "sandbox.environment")
    before = dict(os.environ)
    if unset:
        after = environment.restored(before)
    else:
        after = environment.applied(_import(root, "sandbox.lifecycle").current_state(_home(root)), before)
    lines: str = environment.script(before, after)
    return lines


def _show(found: Any, json: bool) -> None:
    if json:
        console.data_json(found.to_json())
        return
    console.data(f"sandbox {found.health} in {found.home}")
    if found.record is None:
        return
    console.table(
        ["process", "pid", "state", "memory"],
        [
            [p.name, str(p.pid), "running" if p.alive else "gone", f"{p.resident_bytes / MEBIBYTE:.0f} MiB"]
            for p in found.processes
        ],
    )
    for name, address in found.record.addresses.items():
        console.data(f"{name:12}{address}")
    console.data(f"{'zone':12}{found.record.zone}")
    console.data(f"{'stacks':12}{', '.join(found.record.stacks)}")
    console.data(f"{'speed':12}{found.record.speed:g}")
    if found.lost:
        console.data(f"{'lost':12}{', '.join(f'{region} ({each.how})' for region, each in found.lost.items())}")
    console.data(f"{'memory':12}{found.resident_bytes / MEBIBYTE:.0f} MiB, up {found.uptime_seconds:.0f} s")
    if found.record.ended:
        console.data(f"{'ended':12}{found.record.ended}")
    if found.log_tail:
        console.data(f"last lines of its log:\n{found.log_tail}")


def _home(root: Path) -> Path:
    home: Path = _import(root, "sandbox.state").home_of(root)
    return home


def _import(root: Path, name: str) -> Any:
    """A module of the project's sandbox. Raises InvalidInputError if it, or something that it needs, is missing."""
    if not (root / "sandbox" / "__init__.py").is_file():
        raise InvalidInputError(f"the project in {root} has no folder `sandbox`", "use a complete checkout of lockstep")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"the sandbox needs the Python module {error.name!r}, which {sys.executable} doesn't have",
            "run `make setup`, then `.venv/bin/lockstep` instead of this one",
        ) from error
