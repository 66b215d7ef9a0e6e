"""What a network's traffic was."""

import json
from typing import Any

import pytest

from components.flow_logs import FlowLogs, FlowLogsArgs
from tests.components.recording import Recording, run

ACCOUNT = "123456789012"
GROUP = "aws:cloudwatch/logGroup:LogGroup"
LOG = "aws:ec2/flowLog:FlowLog"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/rolePolicy:RolePolicy"


def flow_logs(**options: Any) -> Recording:
    """Flow logs declared that are kept for 30 days."""
    given: dict[str, Any] = {
        "vpc_id": "vpc-1",
        "account_id": ACCOUNT,
        "region": "eu-west-1",
        "days": 30,
        "retain": True,
    }

    def program() -> None:
        FlowLogs("flows", FlowLogsArgs(**given | options))

    return run(program)


def test_accepted_and_rejected_traffic_of_the_whole_network_is_written_down() -> None:
    """After a break-in nobody could say where it came from, or what was tried."""
    inputs = flow_logs().one(LOG).inputs
    assert (inputs["vpcId"], inputs["trafficType"]) == ("vpc-1", "ALL")
    assert inputs["logDestination"] == "arn:flows-records"
    assert inputs["iamRoleArn"] == "arn:flows-role"


def test_records_end_with_their_retention() -> None:
    """They would be kept, and paid for, for ever."""
    assert flow_logs(days=90).one(GROUP).inputs["retentionInDays"] == 90


def test_delivery_may_begin_once_the_role_may_write() -> None:
    """AWS takes a role without rights, and delivers nothing without a word."""
    recording = flow_logs()
    assert recording.one(POLICY).urn in recording.one(LOG).dependencies


def test_only_flow_logs_of_this_account_and_region_may_use_the_role() -> None:
    """Another customer's flow logs could be written with it: the service works for all of them."""
    (statement,) = json.loads(flow_logs().one(ROLE).inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:ec2:eu-west-1:{ACCOUNT}:vpc-flow-log/*"},
    }


def test_the_role_writes_to_its_own_group_and_makes_none() -> None:
    """A role that makes groups makes one without a retention as soon as somebody deletes this one."""
    write, find = json.loads(flow_logs().one(POLICY).inputs["policy"])["Statement"]
    assert write["Resource"] == "arn:flows-records:*"
    assert set(write["Action"]) == {"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"}
    assert find["Action"] == "logs:DescribeLogGroups"


@pytest.mark.parametrize("retain", [True, False])
def test_records_stay_when_flow_logs_are_turned_off(retain: bool) -> None:
    """Whoever can edit the configuration could wipe out their traces."""
    assert flow_logs(retain=retain).one(GROUP).retain_on_delete is retain


def test_days_that_cloudwatch_does_not_know_are_refused() -> None:
    """AWS would refuse them half way through an update."""
    with pytest.raises(ValueError, match="10 days"):
        flow_logs(days=10)
