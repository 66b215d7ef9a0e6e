"""A fleet of real machines behind a real balancer is rolled forward and back while a client asks it all the time."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.api.server import ApiServer
from sandbox.balancer.ports import PORT_OFFSET
from tests.sandbox.api import live
from tests.sandbox.api.test_autoscaling_fleet import LISTENER_PORT, Fleet
from tests.sandbox.checkout import eventually

PREFERENCES = {
    "MinHealthyPercentage": 100,
    "MaxHealthyPercentage": 200,
    "InstanceWarmup": 30,
    "AutoRollback": True,
    "SkipMatching": True,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with live.serving(tmp_path_factory.mktemp("refresh")) as server:
        yield server


@pytest.fixture
def fleet(server: ApiServer) -> Iterator[Fleet]:
    # Other tests of this process may have left instances, which are machines as soon as there is a data plane.
    live.reset(server)
    fleet = Fleet(server)
    yield fleet
    live.reset(server)


@contextmanager
def asked(fleet: Fleet) -> Iterator[Counter[object]]:
    """A client that asks the balancer some twenty times a second; the statuses of its answers, or its errors."""
    answers: Counter[object] = Counter()
    ending = threading.Event()

    def ask() -> None:
        while not ending.is_set():
            try:
                answers[live.get(fleet.address(), "/", LISTENER_PORT + PORT_OFFSET)[0]] += 1
            except OSError as error:
                answers[type(error).__name__] += 1
            time.sleep(0.05)

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield answers
    finally:
        ending.set()
        client.join(60)


def add_version(fleet: Fleet, script: str) -> dict[str, Any]:
    """A version of the fleet's template whose instances run `script`."""
    files = [{**each, "content": script} if str(each["path"]).endswith(".py") else each for each in _files()]
    (template,) = fleet.ec2.describe_launch_templates(LaunchTemplateNames=["orders"])["LaunchTemplates"]
    last = fleet.ec2.describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"]
    )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    data = {**last, "UserData": live.encoded(live.cloud_config({**live.SERVICE, "write_files": files}))}
    made = fleet.ec2.create_launch_template_version(
        LaunchTemplateId=template["LaunchTemplateId"], LaunchTemplateData=data
    )["LaunchTemplateVersion"]
    return {"LaunchTemplateId": made["LaunchTemplateId"], "Version": str(made["VersionNumber"])}


def _files() -> list[dict[str, str]]:
    files: Any = live.SERVICE["write_files"]
    assert any(Path(each["path"]).suffix == ".py" for each in files)
    return list(files)


def start(fleet: Fleet, specification: dict[str, Any], **preferences: Any) -> None:
    fleet.asg.start_instance_refresh(
        AutoScalingGroupName="orders",
        DesiredConfiguration={"LaunchTemplate": specification},
        Preferences={**PREFERENCES, **preferences},
    )


def refresh_of(fleet: Fleet) -> dict[str, Any]:
    return dict(fleet.asg.describe_instance_refreshes(AutoScalingGroupName="orders")["InstanceRefreshes"][0])


def version_of(fleet: Fleet) -> str:
    (group,) = fleet.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["orders"])["AutoScalingGroups"]
    return str(group["LaunchTemplate"]["Version"])


def test_a_fleet_is_rolled_forward_and_back_and_answers_all_the_time(fleet: Fleet) -> None:
    """What a deployment relies on: a version that works takes over without a failed request, one that doesn't never."""
    first = fleet.wait_until_whole()
    good = add_version(fleet, live.SERVER.replace("str(os.getpid()).encode()", 'b"second"'))
    bad = add_version(fleet, live.SERVER.replace("broken.is_set()", "True"))
    with asked(fleet) as answers:
        start(fleet, good)
        eventually(lambda: refresh_of(fleet)["Status"] == "Successful", "the end of the roll")
        second = fleet.wait_until_whole(*first)
        assert not first & second
        assert version_of(fleet) == good["Version"]
        assert live.get(fleet.address(), "/", LISTENER_PORT + PORT_OFFSET)[1] == "second"

        start(fleet, bad)
        eventually(lambda: len(fleet.states()) == 4, "the new version's instances")
        new = set(fleet.states()) - second
        for each in new:
            live.wait_for(each, "running")
        assert refresh_of(fleet)["PercentageComplete"] == 0
        fleet.asg.rollback_instance_refresh(AutoScalingGroupName="orders")
        eventually(lambda: refresh_of(fleet)["Status"] == "RollbackSuccessful", "the end of the rollback")
        assert fleet.wait_until_whole(*new) == second
        assert version_of(fleet) == good["Version"]
    assert set(answers) == {200}
    assert answers[200] > 20


def test_errors_of_a_version_that_passes_its_checks_roll_it_back(fleet: Fleet) -> None:
    """Health checks alone let a release through that fails every user: requests, metric, alarm and refresh together."""
    fleet.wait_until_whole()
    failing = add_version(fleet, live.SERVER.replace("else 200)", 'else 200 if self.path == "/healthz" else 500)'))
    fleet.cloudwatch.put_metric_alarm(
        AlarmName="errors",
        Namespace="AWS/ApplicationELB",
        MetricName="HTTPCode_Target_5XX_Count",
        Dimensions=[
            {"Name": "LoadBalancer", "Value": fleet.balancer.partition(":loadbalancer/")[2]},
            {"Name": "TargetGroup", "Value": fleet.targets.rpartition(":")[2]},
        ],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=2,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Threshold=5,
        TreatMissingData="notBreaching",
    )
    with asked(fleet) as answers:
        start(fleet, failing, AlarmSpecification={"Alarms": ["errors"]}, BakeTime=3_600)
        eventually(lambda: refresh_of(fleet)["Status"].startswith("Rollback"), "the alarm ends the roll")
        assert "errors" in refresh_of(fleet)["StatusReason"]
        eventually(lambda: refresh_of(fleet)["Status"] == "RollbackSuccessful", "the end of the rollback")
        fleet.wait_until_whole()
    assert answers[500] > 5
    assert version_of(fleet) != failing["Version"]
    assert live.get(fleet.address(), "/", LISTENER_PORT + PORT_OFFSET)[0] == 200
