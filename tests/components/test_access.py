"""Who reaches the balancer, and what the instances reach."""

import ipaddress
from typing import Any

from components.access import Outbound
from components.fleet import Fleet
from tests.components.recording import Declared, Recording, run
from tests.components.test_fleet import EGRESS, GROUP, INGRESS, arguments

OFFICE = ipaddress.IPv4Network("203.0.113.0/24")
PARTNER = ipaddress.IPv4Network("198.51.100.7/32")


def fleet(**options: Any) -> Recording:
    """The fleet declared."""

    def program() -> None:
        Fleet("site", arguments(**options))

    return run(program)


def admitting(recording: Recording, group: str = "site-balancer-id") -> list[Declared]:
    """The rules that let something into a security group."""
    return [rule for rule in recording.of(INGRESS) if rule.inputs["securityGroupId"] == group]


def test_by_default_anybody_may_send_requests() -> None:
    """An application for the public would be unreachable."""
    (rule,) = admitting(fleet())
    assert rule.name == "site-balancer-http"
    assert rule.inputs["cidrIpv4"] == "0.0.0.0/0"


def test_of_clients_only_the_listed_blocks_are_let_in() -> None:
    """An internal application would be open to the internet."""
    rules = admitting(fleet(clients=[OFFICE, PARTNER]))
    blocks = {rule.inputs["cidrIpv4"] for rule in rules if "cidrIpv4" in rule.inputs}
    assert blocks == {"203.0.113.0/24", "198.51.100.7/32"}
    assert {(rule.inputs["ipProtocol"], rule.inputs["fromPort"], rule.inputs["toPort"]) for rule in rules} == {
        ("tcp", 80, 80)
    }


def test_health_checkers_are_let_in_whatever_the_list_says() -> None:
    """Both sites would look lost to Route 53, which then serves all of them, dead ones included."""
    recording = fleet(clients=[OFFICE])
    (rule,) = [each for each in admitting(recording) if "prefixListId" in each.inputs]
    assert rule.inputs["prefixListId"] == "pl-checkers"
    (asked,) = [args for token, args in recording.invokes if token.endswith(":getManagedPrefixList")]
    assert asked["name"] == "com.amazonaws.eu-west-1.route53-healthchecks"
    assert rule.urn in recording.one(GROUP).dependencies


def test_a_list_in_another_order_changes_no_rule() -> None:
    """Taking one client off would replace the rules of the others, and shut them out for a moment."""
    one, other = fleet(clients=[OFFICE, PARTNER]), fleet(clients=[PARTNER, OFFICE])
    assert {(rule.name, rule.inputs.get("cidrIpv4")) for rule in admitting(one)} == {
        (rule.name, rule.inputs.get("cidrIpv4")) for rule in admitting(other)
    }


def outbound(recording: Recording) -> dict[str, Any]:
    """What the instances' rules let them reach, by the kind of its name."""
    kinds = ("cidrIpv4", "prefixListId", "referencedSecurityGroupId")
    rules = [rule.inputs for rule in recording.of(EGRESS) if rule.inputs["securityGroupId"] == "site-instances-id"]
    assert all((rule["ipProtocol"], rule["fromPort"], rule["toPort"]) == ("tcp", 443, 443) for rule in rules)
    return {kind: rule[kind] for rule in rules for kind in kinds if kind in rule}


def test_by_default_instances_reach_s3_and_nothing_else() -> None:
    """An instance that was taken over could send data anywhere."""
    assert outbound(fleet()) == {"prefixListId": "pl-1"}


def test_instances_and_endpoints_know_each_other_by_reference() -> None:
    """By addresses, everything else in the subnets would reach AWS's services too."""
    recording = fleet(outbound=Outbound(s3_prefix_list_id="pl-1", endpoint_group_id="sg-endpoints"))
    assert outbound(recording) == {"prefixListId": "pl-1", "referencedSecurityGroupId": "sg-endpoints"}
    (rule,) = admitting(recording, "sg-endpoints")
    assert rule.inputs["referencedSecurityGroupId"] == "site-instances-id"
    assert (rule.inputs["fromPort"], rule.inputs["toPort"]) == (443, 443)
    assert rule.urn in recording.one(GROUP).dependencies


def test_the_internet_is_open_where_there_is_a_way_to_it() -> None:
    """NAT gateways would be paid for, and the instances' own group would stop every packet."""
    recording = fleet(outbound=Outbound(s3_prefix_list_id="pl-1", internet=True))
    assert outbound(recording) == {"prefixListId": "pl-1", "cidrIpv4": "0.0.0.0/0"}
