"""`lockstep model`: what to expect when a site is lost, from the settings alone. Asks neither AWS nor the sandbox."""

import math
from dataclasses import replace
from typing import Annotated, Any

import typer

from lockstep import config, console, failover_model, project
from lockstep.config import limits
from lockstep.errors import ExitCode, InvalidInputError
from lockstep.failover_model import Fault, Report, settings


def _interval(value: int | None) -> int | None:
    if value is not None and value not in limits.HEALTH_CHECK_INTERVALS:
        raise typer.BadParameter(f"{value} is neither 10 nor 30, and Route 53 checks every 10 or every 30 seconds.")
    return value


def model(
    interval: Annotated[
        int | None,
        typer.Option(callback=_interval, help="Seconds between checks, 10 or 30; else `lockstep:healthCheck`'s."),
    ] = None,
    threshold: Annotated[
        int | None,
        typer.Option(
            min=limits.HEALTH_CHECK_THRESHOLD_MIN,
            max=limits.HEALTH_CHECK_THRESHOLD_MAX,
            help="Failures in a row before a checker counts a site as down; else `lockstep:healthCheck`'s.",
        ),
    ] = None,
    ttl: Annotated[
        int | None,
        typer.Option(
            min=limits.TTL_MIN, max=limits.TTL_MAX, help="Seconds that resolvers keep an answer; else `lockstep:ttl`."
        ),
    ] = None,
    fault: Annotated[Fault | None, typer.Option(help="How the site is lost; else every way.")] = None,
    checkers: Annotated[
        int, typer.Option(min=1, max=settings.CHECKERS_MAX, help="Route 53's checkers of a site.")
    ] = settings.CHECKERS,
    push: Annotated[
        float,
        typer.Option(
            min=0, max=settings.PUSH_MAX, help="Seconds from the verdict to the name servers; AWS publishes none."
        ),
    ] = settings.PUSH_SECONDS,
    stale_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Part of the clients whose resolvers stretch the TTL; "
            f"{settings.STALE_SHARE_SEEN} of resolvers were seen to.",
        ),
    ] = 0.0,
    stale_seconds: Annotated[
        float, typer.Option(min=0, max=settings.STALE_MAX, help="How long those keep an answer.")
    ] = settings.STALE_SECONDS,
    losses: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many losses to simulate.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the simulation; the same one gives the same numbers.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> int:
    """Predict what losing a site costs; exit 8 if 99 % of its clients aren't back within the RTO.

    The RTO is `lockstep:objectives`' rtoSeconds, and the way to lose a site that takes longest decides.
    """
    found = config.load(project.find_root(), project.GLOBAL_STACK)
    if ttl is not None and settings.has_fixed_ttl(found) and ttl != settings.ALIAS_TTL:
        raise InvalidInputError(
            f"--ttl {ttl}: lockstep:recordType is alias, and AWS gives an alias of a balancer "
            f"{settings.ALIAS_TTL} s, so that no answer would have this TTL",
            "leave out --ttl, or set lockstep:recordType to cname",
        )
    faults = list(Fault) if fault is None else [fault]
    given: dict[str, Any] = {"interval": interval, "threshold": threshold, "ttl": ttl}
    report = failover_model.make_report(
        replace(
            settings.of_config(found, faults[0]),
            **{name: value for name, value in given.items() if value is not None},
            checkers=checkers,
            push=push,
            stale_share=stale_share,
            stale_seconds=stale_seconds,
        ),
        faults,
        settings.shares(found),
        found.objectives.rto_seconds,
        fixed_ttl=settings.has_fixed_ttl(found),
        losses=losses,
        seed=seed,
    )
    if as_json:
        console.data_json(report.as_json())
    else:
        _show(report, found.domain)
    if report.meets_objective:
        return ExitCode.DONE
    enough = " or ".join(change.what for change in report.remedies)
    console.warning(
        f"99 % of a lost site's clients are back after {report.back_99:.1f} s, and lockstep:objectives promises "
        f"{report.rto_seconds} s: the promise isn't kept when a region is lost. "
        + (f"{enough} would keep it; or" if enough else "No single change keeps it:")
        + f" set rtoSeconds in Pulumi.yaml to {math.ceil(report.back_99)} or more"
    )
    return ExitCode.OBJECTIVE_MISSED


def _show(report: Report, domain: str) -> None:
    now = report.settings
    console.data(
        f"{domain}: a check every {now.interval} s, {now.threshold} failures in a row, TTL {now.ttl:g} s. Of "
        f"{now.checkers} checkers {now.reds_needed} have to see it."
    )
    console.data(f"{now.push:g} s to reach the name servers are assumed. All times in seconds.")
    if now.stale_share:
        console.data(f"{now.stale_share:.2%} of the clients keep an answer for {now.stale_seconds:g} s.")
    console.data("\nA site is lost that had all of the traffic; simulated values behind /")
    console.table(
        ["it", "noticed after", "at most", "lost service", "99 % back", "all back", "return noticed after"],
        [
            [
                fault.value,
                f"{each.prediction.detection_mean:.1f} / {each.simulated.detection_mean:.1f}",
                f"{each.prediction.detection_max:.1f} / {each.simulated.detection_max:.1f}",
                f"{each.prediction.lost:.1f} / {each.simulated.mean_lost:.1f}",
                f"{each.prediction.back_99:.1f} / {_number(each.simulated.back_99)}",
                f"{each.prediction.back_max:.1f}",
                f"{each.prediction.return_mean:.1f}",
            ]
            for fault, each in report.losses.items()
        ],
    )
    _show_sites(report)
    _show_changes(report)
    _show_flapping(report)


def _show_sites(report: Report) -> None:
    console.data("\nA site loses its share only; losses of it a month that 99.99 % leave room for")
    console.table(
        ["site", "share", *(f"{fault.value}: lost, a month" for fault in report.losses)],
        [
            [
                site,
                f"{next(iter(each.values())).settings.share:.0%}",
                *(f"{one.lost:.1f}, {_number(one.failovers_a_month)}" for one in each.values()),
            ]
            for site, each in report.sites.items()
        ],
    )


def _show_changes(report: Report) -> None:
    console.data("\nWhat a change buys, for a site that had all of the traffic; $ a month for the fast interval")
    console.table(
        ["setting", "it", "noticed after", "at most", "lost", "saves", "99 % back", "a month", "$"],
        [
            [
                change.what if number == 0 else "",
                fault.value,
                f"{each.detection_mean:.1f}",
                f"{each.detection_max:.1f}",
                f"{each.lost:.1f}",
                f"{change.saves[fault]:+.1f}" if change.saves[fault] else "-",
                f"{each.back_99:.1f}",
                _number(each.failovers_a_month),
                f"{change.dollars:.2f}" if number == 0 else "",
            ]
            for change in report.changes
            for number, (fault, each) in enumerate(change.predictions.items())
        ],
    )


def _show_flapping(report: Report) -> None:
    console.data("\nA site that comes and goes, half of each period each")
    console.table(
        ["it", "period", "moves an hour", "moves per time to notice", "shortest stay"],
        [
            [
                fault.value if number == 0 else "",
                f"{each.period:.1f}",
                f"{each.changes_per(3600):.1f}",
                f"{each.changes_per(loss.prediction.detection_mean):.2f}",
                _number(each.shortest_stay),
            ]
            for fault, loss in report.losses.items()
            for number, each in enumerate(loss.flapping)
        ],
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
