"""An instance is a process that does what its user data says, and its state, console and checks tell of it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.cloud_config import cloud_config as program_cloud_config
from sandbox.api import machines
from sandbox.api.server import ApiServer
from tests.sandbox.api import live
from tests.sandbox.checkout import REPOSITORY, eventually, is_running
from tests.sandbox.machine.bucket import Bucket

VERSION = "1.0.0"
BUCKET = "orders-packages"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with live.serving(tmp_path_factory.mktemp("machines")) as server:
        yield server


@pytest.fixture
def ec2(server: ApiServer) -> Iterator[Any]:
    yield live.client(server, "ec2")
    live.reset(server)


def run(ec2: Any, user_data: str | None, **more: Any) -> str:
    """Start an instance; its id."""
    if user_data is not None:
        more["UserData"] = user_data
    started = ec2.run_instances(ImageId=live.IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1, **more)
    return str(started["Instances"][0]["InstanceId"])


def serve(ec2: Any) -> str:
    return run(ec2, live.cloud_config(live.SERVICE))


def state_of(ec2: Any, instance_id: str) -> str:
    (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    return str(reservation["Instances"][0]["State"]["Name"])


def status_of(ec2: Any, instance_id: str) -> dict[str, Any]:
    (status,) = ec2.describe_instance_status(InstanceIds=[instance_id], IncludeAllInstances=True)["InstanceStatuses"]
    return dict(status)


def console_of(ec2: Any, instance_id: str) -> str:
    return str(ec2.get_console_output(InstanceId=instance_id)["Output"])


@pytest.mark.change("ec2-console-output")
def test_an_instance_does_what_its_user_data_says(ec2: Any) -> None:
    """Without it a fleet is a list of names, and no deployment is ever tried out."""
    one, other = serve(ec2), run(ec2, None)
    addresses = [live.wait_for(each, "running") for each in (one, other)]
    assert addresses[0] != addresses[1]
    assert live.get(addresses[0])[0] == 200
    with pytest.raises(ConnectionRefusedError):
        live.get(addresses[1])
    assert f"instance {one} is up" in console_of(ec2, one)
    assert one not in console_of(ec2, other)
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        console_of(ec2, "i-0123456789abcdef0")


@pytest.mark.change("ec2-console-output")
def test_a_boot_that_fails_leaves_the_instance_up_with_the_reason_on_its_console(ec2: Any) -> None:
    """Without it an operator is told that a deployment failed and not why."""
    failed = run(ec2, live.cloud_config({"runcmd": ["curl https://example.com"]}))
    eventually(lambda: live.state_of(failed) == "failed", "a failed boot")
    assert state_of(ec2, failed) == "running"
    assert "Cloud-init failed: the sandbox runs nothing but systemctl in runcmd" in console_of(ec2, failed)
    assert "doesn't run `curl https://example.com`" in console_of(ec2, failed)


@pytest.mark.change("ec2-instance-status")
def test_an_instance_whose_machine_dies_runs_on_and_fails_its_status_check(ec2: Any) -> None:
    """On AWS a crashed system doesn't stop its instance; who only looks at its state would think that all is well."""
    lost, sound = serve(ec2), serve(ec2)
    live.wait_for(lost, "running")
    live.wait_for(sound, "running")
    os.kill(live.pid_of(lost), signal.SIGKILL)
    eventually(lambda: status_of(ec2, lost)["InstanceStatus"]["Status"] == "impaired", "an impaired instance")
    (detail,) = status_of(ec2, lost)["InstanceStatus"]["Details"]
    assert (detail["Name"], detail["Status"]) == ("reachability", "failed")
    assert detail["ImpairedSince"]
    assert status_of(ec2, lost)["SystemStatus"]["Status"] == "ok"
    assert status_of(ec2, sound)["InstanceStatus"] == {
        "Status": "ok",
        "Details": [{"Name": "reachability", "Status": "passed"}],
    }
    assert state_of(ec2, lost) == "running"
    assert "The machine's process ended with status -9" in console_of(ec2, lost)
    root = live.root_of(lost)
    ec2.terminate_instances(InstanceIds=[lost])
    eventually(lambda: not root.exists(), "the end of its file system")
    assert status_of(ec2, lost)["InstanceStatus"] == {"Status": "not-applicable"}


@pytest.mark.change("ec2-instance-status")
def test_the_status_is_initializing_until_the_machine_has_booted(ec2: Any) -> None:
    """A wait for status checks that pass would end before there is anything to check."""
    # No machine is started before the status is asked for.
    machines.worker.stop()
    try:
        instance = run(ec2, live.cloud_config(live.WAITING))
        assert status_of(ec2, instance)["InstanceStatus"]["Status"] == "initializing"
    finally:
        machines.worker.start()
    eventually(lambda: live.state_of(instance) == "booting", "a machine")
    assert status_of(ec2, instance)["InstanceStatus"]["Status"] == "initializing"
    live.let_boot(instance)
    live.wait_for(instance, "running")
    assert status_of(ec2, instance)["InstanceStatus"]["Status"] == "ok"


@pytest.mark.parametrize("operation", ["terminate_instances", "stop_instances"])
def test_an_instance_that_ends_leaves_nothing_but_its_console(ec2: Any, operation: str) -> None:
    """Otherwise every deployment leaves processes, addresses and folders, until the machine has none."""
    instance = serve(ec2)
    address = live.wait_for(instance, "running")
    root, pid, service = live.root_of(instance), live.pid_of(instance), int(live.get(address)[1])
    assert root.is_dir()
    getattr(ec2, operation)(InstanceIds=[instance])
    eventually(lambda: not is_running(pid) and not root.exists(), "the end of the machine")
    assert not is_running(service)
    assert not live.is_held(address)
    assert machines.address_of(instance) is None
    assert f"instance {instance} is up" in console_of(ec2, instance)


def test_a_reset_ends_every_machine_and_forgets_it(ec2: Any, server: ApiServer) -> None:
    """Otherwise machines of a test, or of a sandbox that was emptied, answer in the next one."""
    booting, running = serve(ec2), serve(ec2)
    live.wait_for(running, "running")
    known = live.pids()
    assert known
    live.reset(server)
    eventually(lambda: not any(is_running(pid) for pid in known), "the end of their processes")
    assert [machines.console_of(each) for each in (booting, running)] == ["", ""]


@pytest.mark.change("ec2-no-second-boot")
@pytest.mark.parametrize(("operation", "name"), [("reboot_instances", "Reboot"), ("start_instances", "Start")])
def test_a_second_boot_is_refused_by_name(ec2: Any, operation: str, name: str) -> None:
    """It would install packages again that AWS leaves as they are, or none at all."""
    instance = run(ec2, None)
    with pytest.raises(ClientError, match=f"NotImplemented.*the sandbox doesn't support {name}Instances"):
        getattr(ec2, operation)(InstanceIds=[instance])


class Network:
    """A VPC with one subnet and a bucket that lets in only its endpoint for S3; packages are in the bucket."""

    def __init__(self, server: ApiServer) -> None:
        self.ec2, s3 = live.client(server, "ec2"), live.client(server, "s3")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        self.subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.1.0.0/24")["Subnet"]["SubnetId"]
        (main,) = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["RouteTables"]
        self.main = main["RouteTableId"]
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": live.REGION})
        name = f"orders-{VERSION}-1.noarch.rpm"
        packages = Bucket("")
        release = f"releases/{VERSION}/"
        packages.publish({name: _rpm(name)}, release=release)
        for path, content in packages.objects.items():
            s3.put_object(Bucket=BUCKET, Key=path.split("/", 2)[2], Body=content)
        self._s3 = s3

    def endpoint(self, *tables: str) -> None:
        """Make the endpoint, in these route tables, and let it in."""
        made = self.ec2.create_vpc_endpoint(
            VpcId=self.vpc,
            ServiceName=f"com.amazonaws.{live.REGION}.s3",
            VpcEndpointType="Gateway",
            RouteTableIds=list(tables),
        )
        endpoint = made["VpcEndpoint"]["VpcEndpointId"]
        policy = f"""{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": "*",
            "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{BUCKET}/*",
            "Condition": {{"StringEquals": {{"aws:SourceVpce": "{endpoint}"}}}}}}]}}"""
        self._s3.put_public_access_block(
            Bucket=BUCKET,
            PublicAccessBlockConfiguration={"BlockPublicPolicy": False, "RestrictPublicBuckets": False},
        )
        self._s3.put_bucket_policy(Bucket=BUCKET, Policy=policy)

    def run(self, **more: Any) -> str:
        text = program_cloud_config(application="orders", release=VERSION, bucket_name=BUCKET, region=live.REGION)
        return run(self.ec2, text, SubnetId=self.subnet, **more)


def _rpm(name: str) -> bytes:
    return Path(REPOSITORY, "examples", "orders", "rpms", VERSION, name).read_bytes()


@pytest.fixture
def network(ec2: Any, server: ApiServer) -> Network:
    return Network(server)


def test_a_machine_installs_from_its_regions_bucket_through_its_own_endpoint(network: Network) -> None:
    """This is the way every release takes: network, policy, repository, package, unit, service."""
    network.endpoint(network.main)
    instance = network.run()
    address = live.wait_for(instance, "running")
    eventually(lambda: instance in live.get(address)[1], "the application's answer with its instance")
    assert VERSION in live.get(address)[1]


def test_a_subnet_whose_own_route_table_has_no_endpoint_reaches_no_packages(network: Network) -> None:
    """A subnet that was forgotten in the endpoint's route tables would boot here and stay empty on AWS."""
    network.endpoint(network.main)
    own = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    network.ec2.associate_route_table(RouteTableId=own, SubnetId=network.subnet)
    instance = network.run()
    eventually(lambda: live.state_of(instance) == "failed", "a failed boot")
    missing = f"the route table of subnet {network.subnet} has no gateway endpoint for S3"
    assert missing in console_of(network.ec2, instance)


def test_a_security_group_that_lets_nothing_out_reaches_no_packages(network: Network) -> None:
    """A group without its rule for S3 would boot here and time out on AWS."""
    network.endpoint(network.main)
    group = network.ec2.create_security_group(GroupName="shut", Description="shut", VpcId=network.vpc)["GroupId"]
    network.ec2.revoke_security_group_egress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    )
    instance = network.run(SecurityGroupIds=[group])
    eventually(lambda: live.state_of(instance) == "failed", "a failed boot")
    assert f"no outbound rule of {group} lets TCP port 443 out to S3" in console_of(network.ec2, instance)
