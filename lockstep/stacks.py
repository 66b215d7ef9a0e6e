"""In which order stacks come up: sites first, as the references between them allow, then what joins them."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from lockstep.project import GLOBAL_STACK

Result = TypeVar("Result")


def dependencies(sites: Sequence[str], source: str | None = None) -> dict[str, frozenset[str]]:
    """For each stack, those that it reads by stack reference.

    `source` is the site whose database the other sites replicate; None when no database is replicated.
    """
    needs = {site: frozenset({source} if source not in (None, site) else ()) for site in sites}
    return {name: frozenset(filter(None, need)) for name, need in needs.items()} | {GLOBAL_STACK: frozenset(sites)}


def run_in_order(
    needs: Mapping[str, frozenset[str]], work: Callable[[str], Result], succeeded: Callable[[Result], bool]
) -> dict[str, Result]:
    """Run `work` on every stack, each as soon as all that it needs has succeeded, in parallel where possible.

    A stack that needs one that failed isn't run and is absent from the results.
    """
    results: dict[str, Result] = {}
    waiting = dict(needs)
    running: dict[Future[Result], str] = {}
    with ThreadPoolExecutor(max_workers=len(needs) or 1) as pool:
        while True:
            good = {name for name, result in results.items() if succeeded(result)}
            for name in [name for name, need in waiting.items() if need <= good]:
                del waiting[name]
                running[pool.submit(work, name)] = name
            if not running:
                return results
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                results[running.pop(future)] = future.result()
