"""Contracts: the same values where policies and where other stacks look."""

from typing import Any

import pulumi

from components.contract import GlobalContract, GlobalContractArgs, SiteContract, SiteContractArgs
from tests.components.recording import Recording, run

SITE: dict[str, Any] = {
    "region": "eu-west-1",
    "bucket_name": "bucket",
    "bucket_arn": "arn:aws:s3:::bucket",
    "site_domain": "primary.orders.example.com",
    "alb_dns_name": "primary.elb",
    "alb_zone_id": "ZLB",
    "fleet_name": "fleet",
    "launch_template_id": "lt-1",
    "drain_alarm_name": "switch",
    "vpc_id": "vpc-1",
    "private_route_table_ids": ["rtb-1"],
    "instance_group_id": "sg-1",
    "release": "1.2.3",
    "peer_region": "eu-central-1",
    "replica_bucket_region": "eu-central-1",
    "load_instances": 4,
    "ready_instances": 2,
    "rto_seconds": 120,
    "rpo_seconds": 60,
}
JOINT: dict[str, Any] = {
    "app_domain": "orders.example.com",
    "zone_id": "Z1",
    "health_check_ids": {"primary": "check"},
    "record_names": {"primary": "primary.orders.example.com"},
    "regions": {"primary": "eu-west-1"},
    "site_domains": {"primary": "primary.orders.example.com"},
    "bucket_names": {"primary": "bucket"},
    "releases": {"primary": "1.2.3"},
    "load_instances": 4,
    "ready_instances": {"primary": 2},
    "rto_seconds": 120,
    "rpo_seconds": 60,
}


def site_contract(**options: Any) -> Recording:
    """A site's contract declared."""

    def program() -> None:
        SiteContract("orders", SiteContractArgs(**SITE | options))

    return run(program)


def global_contract() -> Recording:
    """The joining stack's contract declared."""

    def program() -> None:
        GlobalContract("orders", GlobalContractArgs(**JOINT))

    return run(program)


def test_resource_and_stack_policies_see_the_same_values() -> None:
    """Resource policies see a component's props, stack policies its outputs: one of them would judge nothing."""
    for recording, type_ in (
        (site_contract(), "lockstep:contract:SiteContract"),
        (global_contract(), "lockstep:contract:GlobalContract"),
    ):
        contract = recording.one(type_)
        assert contract.inputs
        assert recording.outputs[contract.urn] == contract.inputs


def test_a_sites_contract_has_its_outputs_and_its_promises() -> None:
    """A policy that looks for a missing name would prove nothing, and say nothing."""
    assert site_contract().one("lockstep:contract:SiteContract").inputs == {
        "region": "eu-west-1",
        "bucketName": "bucket",
        "bucketArn": "arn:aws:s3:::bucket",
        "siteDomain": "primary.orders.example.com",
        "albDnsName": "primary.elb",
        "albZoneId": "ZLB",
        "fleetName": "fleet",
        "launchTemplateId": "lt-1",
        "drainAlarmName": "switch",
        "vpcId": "vpc-1",
        "privateRouteTableIds": ["rtb-1"],
        "instanceGroupId": "sg-1",
        "release": "1.2.3",
        "peerRegion": "eu-central-1",
        "replicaBucketRegion": "eu-central-1",
        "loadInstances": 4,
        "readyInstances": 2,
        "rtoSeconds": 120,
        "rpoSeconds": 60,
    }


def test_the_joining_contract_has_what_it_made_and_what_it_got() -> None:
    """Policies couldn't pair a site's bucket and name, which are in another stack, with their rule and record."""
    assert global_contract().one("lockstep:contract:GlobalContract").inputs == {
        "appDomain": "orders.example.com",
        "zoneId": "Z1",
        "healthCheckIds": {"primary": "check"},
        "recordNames": {"primary": "primary.orders.example.com"},
        "regions": {"primary": "eu-west-1"},
        "siteDomains": {"primary": "primary.orders.example.com"},
        "bucketNames": {"primary": "bucket"},
        "releases": {"primary": "1.2.3"},
        "loadInstances": 4,
        "readyInstances": {"primary": 2},
        "rtoSeconds": 120,
        "rpoSeconds": 60,
    }


def test_a_release_that_does_not_exist_is_not_in_the_contract() -> None:
    """An empty release would count as one that all sites share."""
    inputs = site_contract(release=None, ready_instances=None).one("lockstep:contract:SiteContract").inputs
    assert inputs.keys() & {"release", "readyInstances"} == set()


def test_an_unknown_value_keeps_the_resource_that_it_will_come_from() -> None:
    """A policy couldn't tell a value on its way from one that is missing, and would refuse the first preview."""

    class Source(pulumi.CustomResource):
        def __init__(self) -> None:
            super().__init__("test:index:Source", "source", {})

    def program() -> None:
        SiteContract("orders", SiteContractArgs(**SITE | {"bucket_arn": Source().id}))

    recording = run(program, preview=True)
    source = recording.one("test:index:Source")
    contract = recording.one("lockstep:contract:SiteContract")
    assert contract.property_dependencies["bucketArn"] == (source.urn,)
