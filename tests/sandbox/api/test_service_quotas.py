"""Quotas of the account, as they are told and as EC2 keeps to them."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lockstep.quota_codes import BALANCERS, VCPUS, VPCS, Quota
from sandbox.api import images, service_quotas
from sandbox.api.service_quotas import Applied

REGION = "eu-west-1"


@pytest.mark.change("service-quotas-values")
@pytest.mark.parametrize(("quota", "value"), [(VCPUS, 1152), (BALANCERS, 50), (VPCS, 5)])
def test_the_quotas_that_a_site_counts_against_are_told(aws: Any, quota: Quota, value: int) -> None:
    """Preflight would have nothing to compare with."""
    asked = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    found = aws("service-quotas").get_service_quota(**asked)["Quota"]
    assert (found["Value"], found["QuotaCode"], found["Adjustable"]) == (value, quota.code, True)
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        aws("service-quotas").get_service_quota(ServiceCode=quota.service, QuotaCode="L-00000000")


def test_ec2_starts_no_more_than_its_quota(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What preflight prevents has to be there to be prevented."""
    monkeypatch.setitem(service_quotas.APPLIED, (VCPUS.service, VCPUS.code), Applied("a test's", 3))
    ec2 = aws("ec2")
    image = images.image_id(REGION, images.releases()[-1].image_name("x86_64"))
    asked = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    (started,) = ec2.run_instances(**asked)["Instances"]
    with pytest.raises(ClientError, match=r"VcpuLimitExceeded.*vCPU limit of 3"):
        ec2.run_instances(**asked)
    ec2.terminate_instances(InstanceIds=[started["InstanceId"]])
    ec2.run_instances(**asked)
