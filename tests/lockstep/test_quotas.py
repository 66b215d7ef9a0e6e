"""Quotas of every region, against what runs there and what the sites need: on the sandbox's API."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from lockstep import config, quotas
from lockstep.config import Config
from lockstep.errors import RefusedError
from lockstep.quota_codes import BALANCERS, VCPUS, VPCS, Quota, is_standard
from sandbox.api import images, service_quotas
from sandbox.api.service_quotas import Applied
from tests.conftest import ROOT
from tests.lockstep.site_fleets import SITES, make_group

Aws = Callable[..., Any]
REGION = SITES["primary"]


@pytest.fixture
def set_quota(monkeypatch: pytest.MonkeyPatch) -> Callable[[Quota, float], None]:
    """`set_quota(quota, value)`: what the account has."""

    def change(quota: Quota, value: float) -> None:
        monkeypatch.setitem(service_quotas.APPLIED, (quota.service, quota.code), Applied("a test's", value))

    return change


def settings(folder: Path, release: str = "1.0.0", **fleet: Any) -> Config:
    """The committed configuration with a release, and `fleet` laid over its fleets."""
    for name in config.stack_files(SITES):
        shutil.copy(ROOT / name, folder / name)
    document = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    values = document["config"]
    values["lockstep:release"]["default"] = release
    values["lockstep:fleet"]["default"] |= {"instanceTypes": ["t3.micro"], **fleet}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(document))
    return config.load(folder, "global")


def refusal(aws: Aws, wanted: Config, **options: Any) -> str:
    """Why it is refused; empty if it isn't. Fails if anything couldn't be read."""
    warned = list[str]()
    try:
        quotas.check(aws, wanted, warned.append, **options)
    except RefusedError as error:
        return error.message
    finally:
        assert warned == []
    return ""


@pytest.mark.parametrize(
    ("instance_type", "counts"),
    [
        ("t4g.small", True),
        ("c7gn.large", True),
        ("m6i.metal", True),
        ("im4gn.large", True),
        ("inf2.xlarge", False),
        ("trn1.2xlarge", False),
        ("g5.xlarge", False),
        ("u-6tb1.metal", False),
        ("x2idn.16xlarge", False),
    ],
)
def test_only_standard_families_count(instance_type: str, counts: bool) -> None:
    """A fleet would be judged by a quota that isn't its own."""
    assert is_standard(instance_type) == counts


def test_a_roll_needs_twice_the_fleet_and_is_refused_with_quota_and_remedy(
    aws: Aws, tmp_path: Path, set_quota: Callable[[Quota, float], None]
) -> None:
    """AWS would refuse the new instances half way through a roll; or, worse, when the peer's load arrives."""
    wanted = settings(tmp_path, instances=3)
    set_quota(VCPUS, 12)
    assert refusal(aws, wanted, rolls_only=True) == ""
    set_quota(VCPUS, 11)
    found = refusal(aws, wanted, rolls_only=True)
    for region in SITES.values():
        assert f"{region}: 12 vCPUs" in found
        assert f"--quota-code L-1216C47A --desired-value 12 --region {region}" in found
    assert "the quota L-1216C47A is 11" in found


def test_what_runs_counts_once_and_what_others_run_counts_too(
    aws: Aws, tmp_path: Path, set_quota: Callable[[Quota, float], None]
) -> None:
    """A fleet that runs would be counted three times, or a neighbour's instances not at all."""
    make_group(aws, "primary", "1.0.0", instances=2)
    aws("ec2", REGION).run_instances(
        ImageId=images.image_id(REGION, images.releases()[-1].image_name("x86_64")),
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
    )
    wanted = settings(tmp_path, instances=2)
    set_quota(VCPUS, 10)
    assert refusal(aws, wanted, rolls_only=True) == ""
    set_quota(VCPUS, 9)
    found = refusal(aws, wanted, rolls_only=True)
    assert f"{REGION}: 10 vCPUs" in found
    assert "(6 are there)" in found
    assert SITES["secondary"] not in found


def test_a_fleet_that_grows_may_need_more_than_a_roll(
    aws: Aws, tmp_path: Path, set_quota: Callable[[Quota, float], None]
) -> None:
    """It would stop growing at the quota, under load."""
    set_quota(VCPUS, 19)
    assert "20 vCPUs" in refusal(aws, settings(tmp_path, instances=2, targetRequests=60, maxInstances=10))


def test_a_site_without_a_release_needs_no_vcpus(
    aws: Aws, tmp_path: Path, set_quota: Callable[[Quota, float], None]
) -> None:
    """An account that is new couldn't even begin."""
    set_quota(VCPUS, 0)
    assert refusal(aws, settings(tmp_path, release="")) == ""


@pytest.mark.parametrize(("quota", "limit"), [(VPCS, 1), (BALANCERS, 0)])
def test_what_a_site_is_made_of_has_to_fit_once(
    aws: Aws, tmp_path: Path, set_quota: Callable[[Quota, float], None], quota: Quota, limit: float
) -> None:
    """The first `up` would end with half a site. A region has a VPC of AWS's own from the start."""
    wanted = settings(tmp_path)
    assert refusal(aws, wanted) == ""
    set_quota(quota, limit)
    assert f"{REGION}: {limit + 1} {quota.what}" in refusal(aws, wanted)
    assert refusal(aws, wanted, rolls_only=True) == ""
    ec2, tags = aws("ec2", REGION), {"lockstep:application": "orders", "lockstep:site": "primary"}
    vpc = ec2.create_vpc(CidrBlock="10.10.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    assert quota is BALANCERS or REGION not in refusal(aws, wanted)


def test_quotas_that_may_not_be_read_are_a_warning(aws: Aws, tmp_path: Path) -> None:
    """An operator without that permission couldn't deploy at all."""

    def deny(**_: Any) -> None:
        error: Mapping[str, Any] = {"Error": {"Code": "AccessDeniedException", "Message": "not you"}}
        raise ClientError(error, "GetServiceQuota")  # type: ignore[arg-type]

    def client(service: str, region: str) -> Any:
        made = aws(service, region)
        if service == "service-quotas":
            made.get_service_quota = deny
        return made

    warned = list[str]()
    quotas.check(client, settings(tmp_path), warned.append)
    assert len(warned) == 2 * 3
    assert f"quotas of {REGION} aren't known" in warned[0]
