"""The three stacks by hand, with nothing but `pulumi`, as the README shows it."""

import pytest

from tests.end_to_end.releases import Serving
from tests.end_to_end.shell import STACKS, Shell, inventory

pytestmark = pytest.mark.engine


def tear_down(shell: Shell) -> None:
    """The documented way: protection off, one more `up`, then `destroy`, in the opposite order."""
    for stack in reversed(STACKS):
        shell(f"pulumi config set lockstep:protect false -s {stack}")
    for stack in STACKS:
        shell(f"pulumi up --yes -s {stack}")
    for stack in reversed(STACKS):
        shell(f"pulumi destroy --yes -s {stack}")
        assert shell.json(f"pulumi stack export -s {stack}")["deployment"].get("resources", []) == []
    for stack in STACKS:
        shell(f"pulumi config rm lockstep:protect -s {stack}")


def test_up_clean_refresh_down_twice(shell: Shell) -> None:
    """Something left behind by the first round would be in the way of the second.

    The second is in the background of a script, with SIGINT ignored and no terminal, as in CI.
    """
    for stack in STACKS:
        shell(f"pulumi up --yes -s {stack}")
    for stack in STACKS:
        shell(f"pulumi preview -s {stack} --expect-no-changes")
        shell(f"pulumi refresh --yes -s {stack} --expect-no-changes")
    tear_down(shell)
    for stack in STACKS:
        shell(f"pulumi up --yes -s {stack} & wait $!")
        shell(f"pulumi preview -s {stack} --expect-no-changes & wait $!")
    tear_down(shell)
    assert set(inventory(shell).values()) == {0}


def test_destroy_of_protected_stack_is_refused(serving: Serving) -> None:
    """One command typed on the wrong terminal must not take a site down."""
    done = serving.shell("pulumi destroy --yes -s primary", expect=None)
    assert done.returncode != 0
    assert "protect" in done.stdout + done.stderr
    serving.shell("pulumi preview -s primary --expect-no-changes")


DRIFT = """python - <<'END'
import boto3
ec2 = boto3.client("ec2", region_name="eu-west-1")
vpc = next(v for v in ec2.describe_vpcs()["Vpcs"] if not v["IsDefault"])
ec2.create_tags(Resources=[vpc["VpcId"]], Tags=[{"Key": "lockstep:site", "Value": "changed"}])
groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["SecurityGroups"]
ids = [g["GroupId"] for g in groups]
rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": ids}])["SecurityGroupRules"]
rule = next(r for r in rules if not r["IsEgress"] and r.get("CidrIpv4"))
ec2.revoke_security_group_ingress(GroupId=rule["GroupId"], SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
route53 = boto3.client("route53", region_name="us-east-1")
zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
record = next(r for r in records if r.get("SetIdentifier") == "primary")
route53.change_resource_record_sets(
    HostedZoneId=zone,
    ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": {**record, "Weight": 7}}]},
)
END"""


def test_what_was_changed_behind_pulumis_back_is_found_and_repaired(serving: Serving) -> None:
    """A tag, a rule and a record: drift that nobody sees is an outage that nobody understands."""
    shell = serving.shell
    shell(DRIFT)
    for stack in ("primary", "global"):
        found = shell(f"pulumi refresh --yes -s {stack} --diff")
        assert shell(f"pulumi preview -s {stack} --expect-no-changes", expect=None).returncode != 0, found.stdout
        shell(f"pulumi up --yes -s {stack}")
        shell(f"pulumi refresh --yes -s {stack} --expect-no-changes")
        shell(f"pulumi preview -s {stack} --expect-no-changes")
