"""Where checkers are said to be."""

import ipaddress
from collections import Counter

from sandbox.checkers.places import CHECKERS, places


def test_each_of_sixteen_checkers_has_an_address_of_its_own() -> None:
    """GetHealthCheckStatus tells them apart by it; firewalls are opened for AWS's ranges."""
    found = places()
    assert len({place.address for place in found}) == len(found) == CHECKERS == 16
    assert all(ipaddress.IPv4Address(place.address).is_global for place in found)
    assert set(Counter(place.region for place in found).values()) == {2}


def test_a_check_of_some_regions_has_its_checkers_there() -> None:
    """API Reference, HealthCheckConfig, "Regions"."""
    found = places(["eu-west-1", "us-east-1", "sa-east-1"])
    assert {place.region for place in found} == {"eu-west-1", "us-east-1", "sa-east-1"}
    assert len({place.address for place in found}) == 16
