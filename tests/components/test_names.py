"""Names within AWS's limits."""

import pytest

from components.names import BALANCER_NAME_MAX, logical
from lockstep.config import limits
from lockstep.config.naming import package_bucket_name, shorten, site_domain


def test_a_name_that_fits_stays_as_it_is() -> None:
    """Names in the console would be unreadable for no reason."""
    assert shorten("orders-primary", 14) == "orders-primary"


def test_a_name_that_does_not_fit_ends_in_a_hash_of_all_of_it() -> None:
    """Two long names that begin alike would collide, or AWS would refuse them half way through an update."""
    one, other = shorten("a" * 40 + "-one", 32), shorten("a" * 40 + "-two", 32)
    assert len(one) == len(other) == 32
    assert one != other
    assert one.startswith("a" * 20)


def test_a_shortened_name_has_no_two_hyphens_in_a_row() -> None:
    """S3 and Elastic Load Balancing refuse some of those names."""
    assert "--" not in shorten("orders-eu-" + "x" * 40, 18)


def test_the_same_name_is_always_shortened_in_the_same_way() -> None:
    """Every preview would replace the resource."""
    assert shorten("orders-in-a-very-long-name", 20) == "orders-in-a-10d92f87"


def test_a_limit_without_room_for_the_hash_is_refused() -> None:
    """Names would be cut to something that isn't unique."""
    with pytest.raises(ValueError, match="too small"):
        shorten("orders", 9)


@pytest.mark.parametrize("application", ["abc", "a" * limits.DNS_LABEL_MAX])
def test_a_balancers_name_leaves_room_for_what_pulumi_appends(application: str) -> None:
    """Elastic Load Balancing takes 32 characters, and Pulumi appends 8."""
    assert len(logical(f"{application}-secondary", "balancer", BALANCER_NAME_MAX)) + 8 <= 32


@pytest.mark.parametrize("application", ["abc", "a" * limits.DNS_LABEL_MAX])
def test_a_buckets_name_has_account_and_region_and_fits(application: str) -> None:
    """Bucket names are global: the second site, or another account's, couldn't be created."""
    name = package_bucket_name(application, "123456789012", "ap-southeast-5")
    assert len(name) <= 63
    assert name.endswith("-packages-123456789012-ap-southeast-5")
    assert name[0] == "a"


def test_a_sites_own_name_is_below_the_applications() -> None:
    """Health checks would ask for a name that nobody declares."""
    assert site_domain("primary", "orders.example.com") == "primary.orders.example.com"
