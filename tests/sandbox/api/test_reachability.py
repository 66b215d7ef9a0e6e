"""What security groups, routes and endpoints let through."""

from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.api.reachability import allows


def rule(protocol: str = "tcp", low: int = 80, high: int = 80, **peer: Any) -> Any:
    """A rule about TCP port 80, as moto keeps it."""
    return SimpleNamespace(
        ip_protocol=protocol,
        from_port=low,
        to_port=high,
        source_group={"GroupId": peer["group"]} if "group" in peer else {},
        prefix_list_id=peer.get("prefix_list"),
        ip_range={"CidrIp": peer["cidr"]} if "cidr" in peer else {},
    )


@pytest.mark.parametrize(
    ("one", "passes"),
    [
        (rule(cidr="0.0.0.0/0"), True),
        (rule(cidr="10.0.0.0/16"), True),
        (rule(cidr="10.1.0.0/16"), False),
        # Host bits, as a state from before they were cleared may have them.
        (rule(cidr="10.0.3.9/16"), True),
        (rule(cidr="10.1.3.9/16"), False),
        (rule(group="sg-balancer"), True),
        (rule(group="sg-other"), False),
        (rule(prefix_list="pl-s3"), True),
        (rule(low=81, high=90, cidr="0.0.0.0/0"), False),
        (rule(low=1, high=65535, cidr="0.0.0.0/0"), True),
        (rule("udp", cidr="0.0.0.0/0"), False),
        (rule("-1", cidr="0.0.0.0/0"), True),
        (rule(), False),
    ],
)
def test_a_rule_is_about_protocol_port_and_peer(one: Any, passes: bool) -> None:
    """A sandbox that lets through what AWS stops says yes to a site that nobody can reach."""
    found = allows([one], 80, peer_groups=["sg-balancer"], peer_address="10.0.0.7/32", prefix_lists=["pl-s3"])
    assert found is passes


def test_no_rule_lets_nothing_through() -> None:
    """Security groups allow, and have nothing else."""
    assert not allows([], 80, peer_address="10.0.0.7/32")


def test_a_rule_for_some_is_not_one_for_all() -> None:
    """Anybody is more than a range."""
    assert not allows([rule(cidr="10.0.0.0/8")], 80, peer_address="0.0.0.0/0")
