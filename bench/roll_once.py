"""Rolls sites to a release, all at once, and tells how long it took: `python -m bench.roll_once RELEASE SITE=REGION`.

The launch templates have to be there: their newest version, or the one before it, has to start the release.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from bench.measure import seconds
from lockstep import aws
from lockstep.deployment.rolling import SiteRoll
from lockstep.fleet import SiteFleet

APPLICATION = "orders"


def main(release: str, *places: str) -> None:
    """Print the seconds from the first call until every site runs the release."""
    fleets = [SiteFleet(aws.client, APPLICATION, *place.split("=")) for place in places]
    with ThreadPoolExecutor(len(fleets)) as pool:
        print(seconds(lambda: list(pool.map(lambda fleet: roll(fleet, release), fleets))))


def roll(fleet: SiteFleet, release: str) -> None:
    """What a deployment does with a site once the first instance of the release has been watched."""
    facts = fleet.facts()
    number, newest = fleet.newest_version(facts.template_id)
    one = SiteRoll(fleet, release, number if newest == release else number - 1, lambda site, text: None)
    one.start(facts)
    one.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
