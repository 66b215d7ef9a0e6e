"""What a deployment does to every site at once, and what it asks each of them."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from lockstep import rollout
from lockstep.deployment.context import Context
from lockstep.deployment.rolling import RollFailedError, Say, SiteRoll, StoppedError
from lockstep.fleet import FleetFacts
from lockstep.progress import StackProgress
from lockstep.regions import classify
from lockstep.site_probe import ProbeResult

Result = TypeVar("Result")

# Requests that a site must answer, at its own name, with the release. As many as make it unlikely that one instance of
# several is missed.
REQUESTS: Final = 20
# A request may be lost on its way for other reasons; the whole set is asked again.
ROUNDS: Final = 3
REQUEST_SECONDS: Final = 5.0


def at_every_site(
    context: Context, sites: Mapping[str, Callable[[], Result]]
) -> tuple[dict[str, Result], dict[str, RollFailedError]]:
    """Run the work of every site in parallel; returns what succeeded and what failed, by site.

    What AWS refuses is that site's failure. StoppedError is nobody's: it is raised once all have ended.
    """
    succeeded: dict[str, Result] = {}
    failed: dict[str, RollFailedError] = {}
    stopped = threading.Event()

    def run(name: str, work: Callable[[], Result]) -> None:
        try:
            succeeded[name] = work()
        except RollFailedError as error:
            failed[name] = error
        except StoppedError:
            stopped.set()
        except (BotoCoreError, ClientError) as error:
            region = context.config.site_named(name).region
            failed[name] = RollFailedError(name, classify(region, error).text, blames=False)

    with ThreadPoolExecutor(max_workers=len(sites) or 1) as pool:
        for future in [pool.submit(run, name, work) for name, work in sites.items()]:
            future.result()
    if stopped.is_set() and not failed:
        raise StoppedError
    return succeeded, failed


def update_stacks(context: Context, what: str, only: Iterable[str] | None = None) -> rollout.Outcome:
    """`pulumi up` of every stack, as their references allow; of the sites in `only`, unless these are all, where given.

    A site whose stack alone was being updated is brought back alone: an update of another one would be a deployment.
    """
    progress = StackProgress(what)
    context.operations.report_to(progress.event)
    needs, chosen = context.needs, frozenset(context.needs if only is None else only)
    if not chosen.issuperset(site.name for site in context.sites):
        needs = {name: need & chosen for name, need in needs.items() if name in chosen}
    return rollout.run_all("up", needs, context.operations.up, progress)


def preview_stacks(context: Context) -> rollout.Outcome:
    """A plan of every stack under the policies."""
    progress = StackProgress("preview")
    context.operations.report_to(progress.event)
    independent = {name: frozenset[str]() for name in context.needs}
    return rollout.run_all("preview", independent, context.operations.preview, progress)


def verify(context: Context, site: str, release: str) -> FleetFacts:
    """The facts of a site that runs `release` with all its instances and says so at its own name.

    Raises RollFailedError if it doesn't.
    """
    facts = context.fleets[site].facts()
    if not facts.runs(release):
        raise RollFailedError(site, facts.shortfall(release))
    answers = ProbeResult()
    for _ in range(ROUNDS):
        answers = context.probes[site].check(REQUESTS, REQUEST_SECONDS)
        if answers.all_from(release):
            return facts
    raise RollFailedError(site, f"its own name doesn't answer with {release} each time: {answers.summary()}")


class CanaryCheck:
    """Asks a site's own name while its first new instance is tried."""

    def __init__(self, context: Context, site: str, release: str) -> None:
        self._probe = context.probes[site]
        self._site = site
        self._release = release
        self._bad_in_a_row = 0
        self._has_answered = False

    def __call__(self, serves: bool) -> None:
        """One poll; `serves` tells whether the first new instance gets requests. Raises RollFailedError."""
        answers = self._probe.check(4, REQUEST_SECONDS)
        self._has_answered |= answers.by_release.get(self._release, 0) > 0
        self._bad_in_a_row = self._bad_in_a_row + 1 if answers.failures else 0
        if self._bad_in_a_row >= ROUNDS:
            when = "while" if serves else "before"
            raise RollFailedError(
                self._site, f"its own name fails {when} the first instance serves: {answers.summary()}"
            )

    def finish(self) -> None:
        """Raise RollFailedError if no request was ever answered by the new release."""
        if not self._has_answered:
            raise RollFailedError(self._site, f"no request to its own name was answered by {self._release}")


def roll_of(context: Context, site: str, release: str, version: int, say: Say, stop: Callable[[], bool]) -> SiteRoll:
    """A roll of `site` that ends when `stop` says so."""
    return SiteRoll(context.fleets[site], release, version, say, stop=stop)
