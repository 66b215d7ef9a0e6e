"""What the joining stack reads from the sites."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from components.references import SiteOutputs, read_sites
from tests.components.recording import Recording, run

REGIONS = {"primary": "eu-west-1", "secondary": "eu-central-1"}


def outputs(site: str) -> dict[str, Any]:
    """What the stack of a site exports."""
    return {
        "region": REGIONS[site],
        "bucketName": f"bucket-{site}",
        "bucketArn": f"arn:aws:s3:::bucket-{site}",
        "albDnsName": f"{site}.elb",
        "albZoneId": "ZLB",
        "drainAlarmName": f"switch-in-{site}",
    }


BOTH = {site: outputs(site) for site in REGIONS}


class _Reader(pulumi.ComponentResource):
    """Shows what was read, where the recording keeps it."""

    def __init__(self, site: str, read: SiteOutputs) -> None:
        values = {
            "bucketName": read.bucket_name,
            "bucketArn": read.bucket_arn,
            "albDnsName": read.alb_dns_name,
            "albZoneId": read.alb_zone_id,
            "drainAlarmName": read.drain_alarm_name,
        }
        super().__init__("test:Reader", site, values if read.release is None else values | {"release": read.release})


def read(sites: Mapping[str, Mapping[str, Any]], preview: bool, recording: Recording | None = None) -> Recording:
    """A program that reads the sites and declares one resource for each."""

    async def program() -> None:
        for site, values in (await read_sites(REGIONS)).items():
            _Reader(site, values)

    return run(program, stack="global", sites=sites, preview=preview, recording=recording)


@pytest.mark.parametrize("preview", [True, False])
def test_outputs_of_a_site_that_is_up_are_known(preview: bool) -> None:
    """A preview would show nothing of what will be joined, and policies could prove nothing."""
    recording = read(BOTH, preview)
    assert {name: recording.one("test:Reader", site).inputs[name] for site in REGIONS for name in ("bucketName",)} == {
        "bucketName": "bucket-secondary"
    }
    for site in REGIONS:
        expected = {name: value for name, value in outputs(site).items() if name != "region"}
        assert recording.one("test:Reader", site).inputs == expected
    assert recording.warnings == []


def test_the_release_of_a_site_is_read_if_it_has_one() -> None:
    """The contract couldn't tell that two sites run different releases."""
    recording = read(BOTH | {"primary": outputs("primary") | {"release": "1.2.3"}}, preview=False)
    assert recording.one("test:Reader", "primary").inputs["release"] == "1.2.3"
    assert "release" not in recording.one("test:Reader", "secondary").inputs


@pytest.mark.parametrize(
    ("late", "says"),
    [
        ({}, "stack secondary isn't up yet: run `pulumi up -s secondary` first"),
        ({"region": "eu-central-1"}, "has no output bucketName, bucketArn, albDnsName"),
        (outputs("secondary") | {"albZoneId": ""}, "has no output albZoneId"),
        (outputs("secondary") | {"region": "eu-west-3"}, "is in eu-west-3, and lockstep:region says eu-central-1"),
    ],
)
def test_an_update_ends_before_anything_is_declared_when_a_site_is_not_ready(
    late: Mapping[str, Any], says: str
) -> None:
    """Records without a balancer, or a set of one site, would be live until someone notices."""
    kept = Recording()
    with pytest.raises(pulumi.RunError) as caught:
        read(BOTH | {"secondary": late}, preview=False, recording=kept)
    assert says in str(caught.value)
    assert "pulumi up -s secondary" in str(caught.value)
    assert "stack primary" not in str(caught.value)
    assert [resource.type for resource in kept.resources] == ["pulumi:pulumi:Stack"]


def test_every_site_that_is_not_ready_is_named() -> None:
    """Each would take another attempt to learn of."""
    with pytest.raises(pulumi.RunError) as caught:
        read({site: {} for site in REGIONS}, preview=False)
    for site in REGIONS:
        assert f"pulumi up -s {site}" in str(caught.value)


def test_a_preview_goes_on_with_unknown_values_and_says_so() -> None:
    """Nobody could review the whole of a new pair before its first site is up."""
    recording = read(BOTH | {"secondary": {}}, preview=True)
    (warning,) = recording.warnings
    assert "pulumi up -s secondary" in warning
    late = recording.one("test:Reader", "secondary").inputs
    assert set(late) == {"bucketName", "bucketArn", "albDnsName", "albZoneId", "drainAlarmName"}
    assert all(isinstance(value, type(pulumi.UNKNOWN)) for value in late.values())
    assert recording.one("test:Reader", "primary").inputs["bucketName"] == "bucket-primary"


NETWORK = {"vpcId": "vpc-1", "privateRouteTableIds": ["rtb-a", "rtb-b"], "instanceGroupId": "sg-1"}


class _Network(pulumi.ComponentResource):
    """Shows what was read of a network, where the recording keeps it."""

    def __init__(self, site: str, read: SiteOutputs) -> None:
        assert read.network is not None
        tables = {f"table{index}": each for index, each in enumerate(read.network.private_route_table_ids)}
        super().__init__("test:Network", site, {"vpcId": read.network.vpc_id, **tables})


def read_networks(sites: Mapping[str, Mapping[str, Any]], preview: bool) -> Recording:
    """A program that reads the sites' networks too."""

    async def program() -> None:
        for site, values in (await read_sites(REGIONS, peered=True)).items():
            _Network(site, values)

    return run(program, stack="global", sites=sites, preview=preview)


@pytest.mark.parametrize("preview", [True, False])
def test_every_route_table_of_a_peered_site_is_known(preview: bool) -> None:
    """One zone of the site would have no way to the other site's database."""
    recording = read_networks({site: outputs(site) | NETWORK for site in REGIONS}, preview)
    assert recording.one("test:Network", "primary").inputs == {"vpcId": "vpc-1", "table0": "rtb-a", "table1": "rtb-b"}


def test_a_site_from_before_peering_has_to_come_up_first() -> None:
    """Its network would be peered by half: an older stack exports none of it."""
    with pytest.raises(pulumi.RunError, match="no output vpcId, privateRouteTableIds, instanceGroupId: run `pulumi up"):
        read_networks(BOTH, preview=False)
    late = read_networks(BOTH, preview=True).one("test:Network", "primary").inputs
    assert isinstance(late["vpcId"], type(pulumi.UNKNOWN))


def test_a_peered_site_has_a_route_table() -> None:
    """It would be connected without a way to the other site, and nobody would be told."""
    sites = {site: outputs(site) | NETWORK for site in REGIONS}
    with pytest.raises(pulumi.RunError, match=r"stack primary is up in part only: .* no output privateRouteTableIds"):
        read_networks(sites | {"primary": sites["primary"] | {"privateRouteTableIds": []}}, preview=False)


def test_a_site_that_moves_is_unknown_in_a_preview() -> None:
    """The plan would join the bucket and the balancer that are about to go."""
    recording = read(BOTH | {"secondary": outputs("secondary") | {"region": "eu-west-3"}}, preview=True)
    assert "is in eu-west-3" in recording.warnings[0]
    assert isinstance(recording.one("test:Reader", "secondary").inputs["bucketName"], type(pulumi.UNKNOWN))
