"""A fleet of real machines behind a real balancer heals, drains and goes, as nobody but Auto Scaling looks after it."""

import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.api import balancers, machines
from sandbox.api.backend_lock import backend_lock
from sandbox.api.server import ApiServer
from sandbox.balancer.ports import PORT_OFFSET
from tests.sandbox.api import live
from tests.sandbox.checkout import eventually

LISTENER_PORT = 80


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with live.serving(tmp_path_factory.mktemp("fleet")) as server:
        yield server


class Fleet:
    """A public balancer in two zones, and a group of two instances behind it that says `ELB`."""

    def __init__(self, server: ApiServer) -> None:
        self.ec2, self.elb, self.asg = (live.client(server, name) for name in ("ec2", "elbv2", "autoscaling"))
        self.cloudwatch = live.client(server, "cloudwatch")
        self.subnets = self._network()
        outside = self._group("balancer", {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, LISTENER_PORT)
        inside = self._group("fleet", {"UserIdGroupPairs": [{"GroupId": outside}]}, live.PORT)
        self.targets = self._balancer(outside)
        self._fleet(inside)

    def _network(self) -> list[str]:
        self.vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        (main,) = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["RouteTables"]
        self.ec2.create_route(RouteTableId=main["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        return [
            self.ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=f"{live.REGION}{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in enumerate("ab")
        ]

    def _group(self, name: str, source: dict[str, Any], port: int) -> str:
        made = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
        self.ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[permission])
        return str(made)

    def _balancer(self, group: str) -> str:
        made = self.elb.create_load_balancer(Name="orders", Subnets=self.subnets, SecurityGroups=[group])
        (balancer,) = made["LoadBalancers"]
        self.dns_name, self.balancer = balancer["DNSName"].lower(), str(balancer["LoadBalancerArn"])
        made = self.elb.create_target_group(
            Name="orders",
            Protocol="HTTP",
            Port=live.PORT,
            VpcId=self.vpc,
            HealthCheckPath="/healthz",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=4,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
        )
        targets = str(made["TargetGroups"][0]["TargetGroupArn"])
        self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=LISTENER_PORT,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}],
        )
        return targets

    def _fleet(self, group: str) -> None:
        data = {
            "ImageId": live.IMAGE,
            "InstanceType": "t3.micro",
            "SecurityGroupIds": [group],
            "UserData": live.encoded(live.cloud_config(live.SERVICE)),
        }
        made = self.ec2.create_launch_template(LaunchTemplateName="orders", LaunchTemplateData=data)
        self.asg.create_auto_scaling_group(
            AutoScalingGroupName="orders",
            MinSize=0,
            MaxSize=4,
            DesiredCapacity=2,
            LaunchTemplate={"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"], "Version": "1"},
            VPCZoneIdentifier=",".join(self.subnets),
            TargetGroupARNs=[self.targets],
            HealthCheckType="ELB",
            # Time for a boot, in AWS's seconds: a machine that isn't there yet is unhealthy too.
            HealthCheckGracePeriod=120,
        )

    def states(self) -> dict[str, str]:
        """The members' lifecycle states; empty when the group is gone."""
        groups = self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["orders"])["AutoScalingGroups"]
        return {each["InstanceId"]: each["LifecycleState"] for group in groups for each in group["Instances"]}

    def healthy(self) -> set[str]:
        described = self.elb.describe_target_health(TargetGroupArn=self.targets)["TargetHealthDescriptions"]
        return {each["Target"]["Id"] for each in described if each["TargetHealth"]["State"] == "healthy"}

    def wait_until_whole(self, *lost: str) -> set[str]:
        """The two members, none of `lost`, when both are healthy targets and nothing else is left."""

        def is_whole() -> bool:
            states = self.states()
            return set(states.values()) == {"InService"} and len(states) == 2 and set(states) == self.healthy()

        eventually(lambda: is_whole() and not self.healthy() & set(lost), "two healthy members")
        return self.healthy()

    def address(self) -> str:
        with backend_lock:
            return str(balancers.addresses_by_name()[self.dns_name]["address"])


@pytest.fixture
def fleet(server: ApiServer) -> Iterator[Fleet]:
    fleet = Fleet(server)
    yield fleet
    live.reset(server)


def test_a_fleet_replaces_a_machine_that_died_and_a_service_that_fails(fleet: Fleet) -> None:
    """The promise of Auto Scaling: two instances that serve, whatever happens to one, without anybody doing a thing."""
    first, second = sorted(fleet.wait_until_whole())
    os.kill(live.pid_of(first), signal.SIGKILL)
    members = fleet.wait_until_whole(first)
    assert second in members
    failing = machines.address_of(second)
    assert failing is not None
    assert live.get(failing, "/break")[0] == 200
    members = fleet.wait_until_whole(first, second)
    assert {live.get(str(machines.address_of(each)), "/healthz")[0] for each in members} == {200}
    eventually(lambda: len(live.pids()) == 2, "the end of the machines that were replaced")
    eventually(lambda: not live.is_held(failing), "the address is free again")


def test_what_the_balancer_measures_is_in_cloudwatch(fleet: Fleet) -> None:
    """An alarm on it would never ring, or ring for nothing."""
    fleet.wait_until_whole()
    for _ in range(7):
        assert live.get(fleet.address(), "/", LISTENER_PORT + PORT_OFFSET)[0] == 200
    group = {"Name": "TargetGroup", "Value": fleet.targets.rpartition(":")[2]}
    balancer = {"Name": "LoadBalancer", "Value": fleet.balancer.partition(":loadbalancer/")[2]}

    def total(name: str, *dimensions: dict[str, str], statistic: str = "Sum") -> float:
        now = datetime.now(UTC)
        points = fleet.cloudwatch.get_metric_statistics(
            Namespace="AWS/ApplicationELB",
            MetricName=name,
            Dimensions=list(dimensions),
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        return float(sum(point[statistic] for point in points))

    eventually(lambda: total("RequestCount", balancer, group) == 7, "the requests, by group")
    assert total("RequestCount", balancer) == 7
    assert total("HTTPCode_Target_2XX_Count", balancer, group) == 7
    assert total("HTTPCode_Target_5XX_Count", balancer, group) == 0
    assert total("HealthyHostCount", balancer, group, statistic="Maximum") == 2


def test_a_request_under_way_is_answered_though_its_instance_leaves(fleet: Fleet) -> None:
    """Every scale-in and every deployment would cut off requests, which users see as errors."""
    members = fleet.wait_until_whole()
    addresses = {str(machines.address_of(each)) for each in members}
    answers: list[int] = []
    asking = threading.Thread(
        target=lambda: answers.append(live.get(fleet.address(), "/hold", LISTENER_PORT + PORT_OFFSET)[0])
    )
    asking.start()
    eventually(lambda: any("holding" in machines.console_of(each) for each in members), "a request under way")
    fleet.asg.update_auto_scaling_group(AutoScalingGroupName="orders", MinSize=0, MaxSize=0, DesiredCapacity=0)
    eventually(lambda: len(fleet.states()) == 1, "the end of the idle instance")
    assert set(fleet.states().values()) == {"Terminating"}
    assert answers == []
    (busy,) = fleet.states()
    live.get(str(machines.address_of(busy)), "/release")
    asking.join(60)
    assert answers == [200]
    eventually(lambda: not fleet.states() and not live.pids(), "the end of the fleet")
    assert not any(live.is_held(address) for address in addresses)


def test_a_fleet_deleted_by_force_leaves_no_process(fleet: Fleet) -> None:
    """A destroyed stack that goes on running answers for the next one."""
    fleet.wait_until_whole()
    fleet.asg.delete_auto_scaling_group(AutoScalingGroupName="orders", ForceDelete=True)
    eventually(
        lambda: not fleet.asg.describe_auto_scaling_groups()["AutoScalingGroups"] and not live.pids(),
        "the end of the group and its machines",
    )


@pytest.mark.change("elbv2-target-health")
def test_target_health_has_awss_states_and_reasons(fleet: Fleet, server: ApiServer) -> None:
    """Deployments wait for them, and operators read them."""
    first, second = sorted(fleet.wait_until_whole())

    def health(instance_id: str) -> dict[str, str]:
        asked = fleet.elb.describe_target_health(TargetGroupArn=fleet.targets, Targets=[{"Id": instance_id}])
        found: dict[str, str] = asked["TargetHealthDescriptions"][0]["TargetHealth"]
        return found

    fleet.asg.suspend_processes(AutoScalingGroupName="orders", ScalingProcesses=["ReplaceUnhealthy"])
    address = machines.address_of(first)
    assert address is not None
    live.get(address, "/break")
    eventually(lambda: health(first)["State"] == "unhealthy", "an unhealthy target")
    assert health(first)["Reason"] == "Target.ResponseCodeMismatch"
    assert health(first)["Description"] == "Health checks failed with these codes: [503]"
    assert health(second) == {"State": "healthy"}
    assert health("i-0123456789abcdef0")["Reason"] == "Target.NotRegistered"
    unused = fleet.elb.create_target_group(Name="unused", Protocol="HTTP", Port=80, VpcId=fleet.vpc)
    arn = unused["TargetGroups"][0]["TargetGroupArn"]
    fleet.elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": second}])
    (described,) = fleet.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert described["TargetHealth"]["Reason"] == "Target.NotInUse"
    # The balancer's requests reach instances by their security groups only.
    (group,) = fleet.ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["fleet"]}])[
        "SecurityGroups"
    ]
    fleet.ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    eventually(lambda: health(second).get("Reason") == "Target.Timeout", "a target that is shut out")


@pytest.mark.change("elbv2-draining")
def test_what_is_deregistered_drains_until_its_requests_are_answered(fleet: Fleet) -> None:
    """A target that is forgotten at once loses the requests that it is answering."""
    first, _ = sorted(fleet.wait_until_whole())
    address = machines.address_of(first)
    assert address is not None
    fleet.asg.suspend_processes(AutoScalingGroupName="orders")
    answers: list[int] = []

    def hold() -> int:
        return live.get(fleet.address(), "/hold", LISTENER_PORT + PORT_OFFSET)[0]

    # One to each instance.
    slow = [threading.Thread(target=lambda: answers.append(hold())) for _ in range(2)]
    for each in slow:
        each.start()
    eventually(lambda: "holding" in "".join(machines.console_of(first)), "a request at the first instance")
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "60"}
    fleet.elb.modify_target_group_attributes(TargetGroupArn=fleet.targets, Attributes=[delay])
    fleet.elb.deregister_targets(TargetGroupArn=fleet.targets, Targets=[{"Id": first}])
    described = fleet.elb.describe_target_health(TargetGroupArn=fleet.targets)["TargetHealthDescriptions"]
    states = {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in described}
    assert states[first] == "draining"
    for instance_id in states:
        live.get(str(machines.address_of(instance_id)), "/release")
    for each in slow:
        each.join()
    assert answers == [200, 200]

    def registered() -> set[str]:
        described = fleet.elb.describe_target_health(TargetGroupArn=fleet.targets)["TargetHealthDescriptions"]
        return {each["Target"]["Id"] for each in described}

    eventually(lambda: first not in registered(), "the end of draining")


def test_a_balancer_that_dies_is_replaced(fleet: Fleet, server: ApiServer) -> None:
    """AWS replaces nodes; a sandbox without would be down until it is started anew."""
    fleet.wait_until_whole()
    (pid,) = balancers.processes_in(live.REGION)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: balancers.processes_in(live.REGION) not in ([], [pid]), "another process")
    fleet.wait_until_whole()
    assert live.get(fleet.address(), "/", LISTENER_PORT + PORT_OFFSET)[0] == 200
