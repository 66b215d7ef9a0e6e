"""Load balancers are processes: what the API records of them acts, and what they find is what it answers."""

import http.client
import os
import signal
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sandbox import clock
from sandbox.api import addresses, balancers, elbv2_draining, images, machines
from sandbox.api.backend_lock import backend_lock
from sandbox.api.server import ApiServer
from sandbox.balancer.ports import HEALTH_CHECKERS, PORT_OFFSET
from tests.sandbox.api import live
from tests.sandbox.balancer.process import Backend
from tests.sandbox.checkout import eventually, is_running

SPEED = 20.0
ANYWHERE = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


@contextmanager
def serving() -> Iterator[ApiServer]:
    """An API whose balancers are processes; its instances are records, and targets are servers of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "SPEED", SPEED)
        patch.setenv(clock.VARIABLE, str(SPEED))
        with ApiServer() as server:
            balancers.go_live(True)
            balancers.worker.start()
            yield server
            balancers.worker.stop()
            balancers.go_live(False)


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with serving() as server:
        yield server


def reset(server: ApiServer) -> None:
    request = urllib.request.Request(f"{server.endpoint_url}/moto-api/reset", method="POST")
    urllib.request.urlopen(request, timeout=10).close()
    eventually(lambda: not balancers._balancers, "the end of all balancers")


class Site:
    """A public balancer in two of three zones, with a listener on port 80 that forwards to one group."""

    def __init__(self, server: ApiServer, machines_by_id: dict[str, str]) -> None:
        self.ec2, self.elb = live.client(server, "ec2"), live.client(server, "elbv2")
        self._machines = machines_by_id
        self.backends: dict[str, Backend] = {}
        self.vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        self.gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        (main,) = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["RouteTables"]
        self.table = main["RouteTableId"]
        self.ec2.create_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=self.gateway)
        self.subnets = [self._subnet(number, zone) for number, zone in enumerate("abc")]
        self.outside = self._group("balancer", ANYWHERE)
        source = {"UserIdGroupPairs": [{"GroupId": self.outside}]}
        self.from_balancer = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, **source}
        self.inside = self._group("fleet", self.from_balancer)
        self.balancer = self.create()
        self.group = self.target_group("web")
        self.listener = self.listen(80, {"Type": "forward", "TargetGroupArn": self.group})
        eventually(lambda: self.state() == "active", "an active balancer")

    def _subnet(self, number: int, zone: str) -> str:
        block, name = f"10.1.{number}.0/24", f"{live.REGION}{zone}"
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=block, AvailabilityZone=name)
        return str(made["Subnet"]["SubnetId"])

    def _group(self, name: str, permission: dict[str, Any]) -> str:
        made = str(self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"])
        self.ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[permission])
        return made

    def create(self) -> str:
        made = self.elb.create_load_balancer(Name="web", Subnets=self.subnets[:2], SecurityGroups=[self.outside])
        (balancer,) = made["LoadBalancers"]
        self.first_state = balancer["State"]["Code"]
        self.dns_name = balancer["DNSName"].lower()
        return str(balancer["LoadBalancerArn"])

    def target_group(self, name: str, **more: Any) -> str:
        request = {
            "Name": name,
            "Protocol": "HTTP",
            "Port": 8080,
            "VpcId": self.vpc,
            "HealthCheckPath": "/healthz",
            "HealthCheckIntervalSeconds": 5,
            "HealthCheckTimeoutSeconds": 4,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 2,
            **more,
        }
        return str(self.elb.create_target_group(**request)["TargetGroups"][0]["TargetGroupArn"])

    def listen(self, port: int, action: dict[str, Any]) -> str:
        made = self.elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=port, DefaultActions=[action]
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def instance(self, subnet: int = 0) -> str:
        """An instance that serves."""
        started = self.ec2.run_instances(
            ImageId=images.image_id(live.REGION, images.releases()[-1].image_name("x86_64")),
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnets[subnet],
            SecurityGroupIds=[self.inside],
        )
        instance_id = str(started["Instances"][0]["InstanceId"])
        self.backends[instance_id] = Backend(instance_id)
        self._machines[instance_id] = self.backends[instance_id].address
        return instance_id

    def register(self, *instance_ids: str, group: str | None = None) -> None:
        targets = [{"Id": each} for each in instance_ids]
        self.elb.register_targets(TargetGroupArn=group or self.group, Targets=targets)

    def deregister(self, *instance_ids: str) -> None:
        targets = [{"Id": each} for each in instance_ids]
        self.elb.deregister_targets(TargetGroupArn=self.group, Targets=targets)

    def health(self, group: str | None = None) -> dict[str, dict[str, str]]:
        described = self.elb.describe_target_health(TargetGroupArn=group or self.group)["TargetHealthDescriptions"]
        return {each["Target"]["Id"]: each["TargetHealth"] for each in described}

    def states(self, group: str | None = None) -> dict[str, str]:
        return {target_id: each["State"] for target_id, each in self.health(group).items()}

    def healthy(self, subnet: int = 0) -> str:
        """An instance that serves, and is a healthy target of the group."""
        instance_id = self.instance(subnet)
        self.register(instance_id)
        eventually(lambda: self.states()[instance_id] == "healthy", "a healthy target")
        return instance_id

    def set_delay(self, seconds: int) -> None:
        attributes = [{"Key": elbv2_draining.DELAY, "Value": str(seconds)}]
        self.elb.modify_target_group_attributes(TargetGroupArn=self.group, Attributes=attributes)

    def state(self) -> str:
        (found,) = self.elb.describe_load_balancers(LoadBalancerArns=[self.balancer])["LoadBalancers"]
        return str(found["State"]["Code"])

    def address(self) -> str:
        with backend_lock:
            return str(balancers.addresses_by_name()[self.dns_name]["address"])

    def ask(self, path: str = "/", port: int = 80, host: str = "site.example.com") -> tuple[int, str]:
        """Status and body of a request from the internet."""
        connection = http.client.HTTPConnection(self.address(), port + PORT_OFFSET, timeout=60)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def listens(self, port: int = 80) -> bool:
        try:
            socket.create_connection((self.address(), port + PORT_OFFSET), timeout=10).close()
        except ConnectionRefusedError:
            return False
        return True

    def pid(self) -> int:
        with backend_lock:
            pids = balancers.processes_in(live.REGION)
        return pids[0] if len(pids) == 1 else 0

    def hold(self, instance_id: str) -> tuple[threading.Thread, list[int]]:
        """A request that an instance, the only target, answers when it is told to; its status, once it has one."""
        statuses: list[int] = []
        slow = threading.Thread(target=lambda: statuses.append(self.ask("/hold")[0]))
        slow.start()
        assert self.backends[instance_id].holding.wait(30)
        return slow, statuses

    def close(self) -> None:
        for each in self.backends.values():
            each.close()
            addresses.release(each.address)


@pytest.fixture
def site(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    by_id: dict[str, str] = {}
    monkeypatch.setattr(machines, "address_of", by_id.get)
    site = Site(server, by_id)
    yield site
    reset(server)
    site.close()


def target_state(site: Site, instance_id: str) -> str | None:
    """What Auto Scaling is told of a target."""
    with backend_lock:
        return balancers.target_state(site.group, instance_id)


@pytest.mark.change("elbv2-load-balancer-state")
def test_a_balancer_is_active_once_it_listens(site: Site) -> None:
    """Who waits for `active` sends requests next."""
    assert site.first_state == "provisioning"
    assert site.state() == "active"
    eventually(site.listens, "an open listener")
    assert site.ask()[0] == 503


@pytest.mark.change("elbv2-load-balancer-state")
def test_a_balancer_whose_process_never_listens_has_failed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait for `active` would go on for ten minutes, and say nothing."""
    site.elb.delete_load_balancer(LoadBalancerArn=site.balancer)
    eventually(lambda: not balancers._balancers, "the end of its process")
    monkeypatch.setattr(balancers, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    site.balancer = site.create()
    eventually(lambda: site.state() == "failed", "a failed balancer")
    monkeypatch.undo()
    site.elb.delete_load_balancer(LoadBalancerArn=site.balancer)
    eventually(lambda: not balancers._balancers, "the end of it")


@pytest.mark.change("elbv2-target-health")
def test_a_target_is_initial_then_healthy_then_as_its_checks_say(site: Site) -> None:
    """Deployments, Auto Scaling and operators decide by these states and reasons."""
    site.set_delay(0)
    instance_id = site.instance()
    site.register(instance_id)
    assert site.health()[instance_id] == {
        "State": "initial",
        "Reason": "Elb.RegistrationInProgress",
        "Description": "Target registration is in progress",
    }
    eventually(lambda: site.health()[instance_id] == {"State": "healthy"}, "a healthy target")
    assert target_state(site, instance_id) == "healthy"
    assert site.ask() == (200, instance_id)
    site.backends[instance_id].health = 503
    eventually(lambda: site.states()[instance_id] == "unhealthy", "an unhealthy target")
    assert site.health()[instance_id]["Reason"] == "Target.ResponseCodeMismatch"
    assert site.health()[instance_id]["Description"] == "Health checks failed with these codes: [503]"
    assert site.ask() == (200, instance_id), "it fails open"
    site.backends[instance_id].health = 200
    eventually(lambda: site.states()[instance_id] == "healthy", "a healthy target again")
    (described,) = site.elb.describe_target_health(TargetGroupArn=site.group)["TargetHealthDescriptions"]
    assert (described["Target"], described["HealthCheckPort"]) == ({"Id": instance_id, "Port": 8080}, "8080")


@pytest.mark.change("elbv2-target-health")
def test_a_target_that_gets_nothing_says_why(site: Site) -> None:
    """A group that no listener uses, a zone that is off and a stopped instance look the same from outside."""
    site.healthy()
    stopped, elsewhere = site.instance(), site.instance(subnet=2)
    site.register(stopped, elsewhere)
    site.ec2.stop_instances(InstanceIds=[stopped])
    idle = site.target_group("idle")
    site.register(elsewhere, group=idle)
    assert site.health()[stopped] == {
        "State": "unused",
        "Reason": "Target.InvalidState",
        "Description": "Target is in the stopped state",
    }
    assert site.health()[elsewhere] == {
        "State": "unused",
        "Reason": "Target.NotInUse",
        "Description": "Target is in an Availability Zone that is not enabled for the load balancer",
    }
    assert site.health(idle)[elsewhere] == {
        "State": "unused",
        "Reason": "Target.NotInUse",
        "Description": "Target group is not configured to receive traffic from the load balancer",
    }
    asked = site.elb.describe_target_health(
        TargetGroupArn=idle, Targets=[{"Id": stopped}, {"Id": elsewhere, "Port": 1}]
    )
    reasons = [each["TargetHealth"]["Reason"] for each in asked["TargetHealthDescriptions"]]
    assert reasons == ["Target.NotRegistered"] * 2
    site.elb.set_subnets(LoadBalancerArn=site.balancer, Subnets=site.subnets)
    eventually(lambda: site.states()[elsewhere] == "healthy", "a healthy target in the third zone")


@pytest.mark.change("elbv2-target-health")
def test_addresses_are_targets_too(site: Site) -> None:
    """A group of type `ip` reaches the instance that has the address, and waits in vain for one that nobody has."""
    instance_id = site.instance()
    (reservation,) = site.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    address = reservation["Instances"][0]["PrivateIpAddress"]
    group = site.target_group("addresses", TargetType="ip")
    site.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": address}, {"Id": "10.1.0.200"}])
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    site.elb.modify_listener(ListenerArn=site.listener, DefaultActions=forward)
    eventually(lambda: site.states(group) == {address: "healthy", "10.1.0.200": "unhealthy"}, "both states")
    assert site.health(group)["10.1.0.200"]["Reason"] == "Target.Timeout"
    assert site.ask() == (200, instance_id)


@pytest.mark.change("elbv2-draining")
def test_a_target_drains_until_its_requests_are_answered(site: Site) -> None:
    """Auto Scaling ends an instance as soon as it hears that: too early, and a client loses its answer."""
    instance_id = site.healthy()
    slow, statuses = site.hold(instance_id)
    site.deregister(instance_id)
    assert site.health()[instance_id] == {
        "State": "draining",
        "Reason": "Target.DeregistrationInProgress",
        "Description": "Target deregistration is in progress",
    }
    assert target_state(site, instance_id) == "draining"
    eventually(lambda: site.ask()[0] == 503, "no new requests")
    assert target_state(site, instance_id) == "draining"
    site.backends[instance_id].hold.set()
    slow.join(30)
    assert statuses == [200]
    eventually(lambda: target_state(site, instance_id) is None, "the end of draining")
    # "The status of the target is displayed as draining until the deregistration delay timeout expires."
    assert site.states() == {instance_id: "draining"}
    site.set_delay(1)
    eventually(lambda: site.states() == {}, "the end of the delay")


@pytest.mark.change("elbv2-draining")
def test_an_address_drains_as_an_instance_does(site: Site) -> None:
    """Clients of a target that is registered by its address would lose their answers, at every deregistration."""
    instance_id = site.instance()
    (reservation,) = site.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    address = reservation["Instances"][0]["PrivateIpAddress"]
    group = site.target_group("addresses", TargetType="ip")
    site.register(address, group=group)
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    site.elb.modify_listener(ListenerArn=site.listener, DefaultActions=forward)
    eventually(lambda: site.states(group) == {address: "healthy"}, "a healthy target")
    slow, statuses = site.hold(instance_id)
    site.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": address}])
    eventually(lambda: site.ask()[0] == 503, "no new requests")
    with backend_lock:
        assert balancers.target_state(group, address) == "draining"
    site.backends[instance_id].hold.set()
    slow.join(30)
    assert statuses == [200]


@pytest.mark.change("elbv2-draining")
def test_the_delay_ends_requests_that_do_not_end(site: Site) -> None:
    """A request that hangs would keep a deployment from ending."""
    instance_id = site.healthy()
    site.set_delay(20)
    slow, statuses = site.hold(instance_id)
    site.deregister(instance_id)
    slow.join(30)
    assert statuses == [502]
    assert target_state(site, instance_id) is None
    assert site.states() == {}


@pytest.mark.change("elbv2-draining")
def test_a_target_that_is_registered_again_drains_no_more(site: Site) -> None:
    """Who takes a deregistration back would have a target without requests."""
    instance_id = site.healthy()
    slow, statuses = site.hold(instance_id)
    site.deregister(instance_id)

    def said() -> set[str]:
        with backend_lock:
            return {each["state"] for each in balancers._balancers[site.balancer].health[site.group]}

    eventually(lambda: said() == {"draining"}, "the process knows")
    # What it said of the earlier registration holds no longer, though it can't say anything of this one yet.
    os.kill(site.pid(), signal.SIGSTOP)
    try:
        site.register(instance_id)
        assert target_state(site, instance_id) == "initial"
        assert site.health()[instance_id]["Reason"] == "Elb.RegistrationInProgress"
    finally:
        os.kill(site.pid(), signal.SIGCONT)
    eventually(lambda: site.states()[instance_id] == "healthy", "a healthy target again")
    site.backends[instance_id].hold.set()
    slow.join(30)
    assert statuses == [200]


@pytest.mark.change("elbv2-draining")
def test_an_instance_that_is_terminated_leaves_its_groups(site: Site) -> None:
    """Requests would be sent to an address that nobody has, or that another instance has by then."""
    first, second = site.healthy(), site.healthy()
    site.ec2.terminate_instances(InstanceIds=[first])
    assert site.states()[first] == "draining"
    eventually(lambda: {site.ask()[1] for _ in range(4)} == {second}, "requests to the other one only")
    eventually(lambda: target_state(site, first) is None, "the end of draining")


def test_rules_and_weights_act_as_soon_as_they_are_changed(site: Site) -> None:
    """A canary by weight, a maintenance page and a redirect are tried out here, or on customers."""
    instance_id = site.healthy()
    other = site.instance()
    second = site.target_group("second")
    site.register(other, group=second)

    def weights(first: int, then: int) -> list[dict[str, Any]]:
        groups = [
            {"TargetGroupArn": site.group, "Weight": first},
            {"TargetGroupArn": second, "Weight": then},
        ]
        return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]

    site.elb.modify_listener(ListenerArn=site.listener, DefaultActions=weights(0, 1))
    eventually(lambda: site.states(second) == {other: "healthy"}, "a healthy target of the second group")
    eventually(lambda: site.ask()[1] == other, "requests to the second group")
    assert {site.ask()[1] for _ in range(5)} == {other}
    site.elb.modify_listener(ListenerArn=site.listener, DefaultActions=weights(1, 1))
    eventually(lambda: {site.ask()[1] for _ in range(20)} == {instance_id, other}, "requests to both")
    page = {"StatusCode": "503", "ContentType": "text/html", "MessageBody": "back soon"}
    (rule,) = site.elb.create_rule(
        ListenerArn=site.listener,
        Priority=5,
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": ["*.closed.example.com"]}}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": page}],
    )["Rules"]
    eventually(lambda: site.ask(host="www.closed.example.com") == (503, "back soon"), "the page")
    assert site.ask()[0] == 200
    site.elb.delete_rule(RuleArn=rule["RuleArn"])
    eventually(lambda: site.ask(host="www.closed.example.com")[0] == 200, "no page")
    site.ec2.authorize_security_group_ingress(
        GroupId=site.outside, IpPermissions=[{**ANYWHERE, "FromPort": 81, "ToPort": 81}]
    )
    site.listen(81, {"Type": "fixed-response", "FixedResponseConfig": page})
    eventually(lambda: site.listens(81) and site.ask(port=81) == (503, "back soon"), "another listener")


def test_only_what_is_public_listens(site: Site) -> None:
    """A site that nobody can reach on AWS would answer here."""
    eventually(site.listens, "an open listener")
    site.ec2.revoke_security_group_ingress(GroupId=site.outside, IpPermissions=[ANYWHERE])
    eventually(lambda: not site.listens(), "a closed security group")
    office = {**ANYWHERE, "IpRanges": [{"CidrIp": "198.51.100.0/24"}]}
    site.ec2.authorize_security_group_ingress(GroupId=site.outside, IpPermissions=[office])
    site.ec2.authorize_security_group_ingress(GroupId=site.outside, IpPermissions=[ANYWHERE])
    eventually(site.listens, "an open security group")
    way = {"RouteTableId": site.table, "DestinationCidrBlock": "0.0.0.0/0"}
    site.ec2.delete_route(**way)
    eventually(lambda: not site.listens(), "no way to the internet")
    site.ec2.create_route(**way, GatewayId=site.gateway)
    eventually(site.listens, "a way to the internet")
    site.ec2.revoke_security_group_ingress(GroupId=site.outside, IpPermissions=[ANYWHERE])
    eventually(lambda: not site.listens(), "a security group that is open to some")


def asking_from(site: Site, source: str) -> int | str:
    """The status of an answer to a request from a loopback address, or how its connection ended."""
    address = balancers.addresses_by_name()[site.dns_name]["address"]
    connection = http.client.HTTPConnection(address, 80 + PORT_OFFSET, timeout=10, source_address=(source, 0))
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except ConnectionRefusedError:
        return "refused"
    except (ConnectionResetError, http.client.RemoteDisconnected):
        return "reset"
    finally:
        connection.close()


def test_health_checkers_and_clients_are_let_in_by_their_own_rules(site: Site) -> None:
    """A list of clients that forgets the checkers looks fine here, and takes the site out of DNS on AWS."""
    site.healthy()
    client, stranger = "127.0.0.7", "127.0.1.7"
    (checkers,) = site.ec2.describe_managed_prefix_lists(
        Filters=[{"Name": "prefix-list-name", "Values": [f"com.amazonaws.{live.REGION}.route53-healthchecks"]}]
    )["PrefixLists"]
    by_list = {**ANYWHERE, "IpRanges": [], "PrefixListIds": [{"PrefixListId": checkers["PrefixListId"]}]}
    office = {**ANYWHERE, "IpRanges": [{"CidrIp": "127.0.0.0/24"}]}
    site.ec2.revoke_security_group_ingress(GroupId=site.outside, IpPermissions=[ANYWHERE])
    site.ec2.authorize_security_group_ingress(GroupId=site.outside, IpPermissions=[office])
    eventually(lambda: asking_from(site, stranger) == "reset", "a security group that is open to some")
    assert (asking_from(site, client), asking_from(site, HEALTH_CHECKERS)) == (200, "reset")
    site.ec2.authorize_security_group_ingress(GroupId=site.outside, IpPermissions=[by_list])
    eventually(lambda: asking_from(site, HEALTH_CHECKERS) == 200, "a security group that is open to checkers")
    assert (asking_from(site, client), asking_from(site, stranger)) == (200, "reset")
    site.ec2.revoke_security_group_ingress(GroupId=site.outside, IpPermissions=[by_list])
    ranges = site.ec2.get_managed_prefix_list_entries(PrefixListId=checkers["PrefixListId"])["Entries"]
    by_range = {**ANYWHERE, "IpRanges": [{"CidrIp": each["Cidr"]} for each in ranges]}
    site.ec2.authorize_security_group_ingress(GroupId=site.outside, IpPermissions=[by_range])
    eventually(lambda: asking_from(site, HEALTH_CHECKERS) == 200, "rules that hold every range of the checkers")


@pytest.mark.change("elbv2-target-health")
@pytest.mark.parametrize("closed", ["the instance's group", "the balancer's group"])
def test_a_target_that_is_shut_out_times_out(site: Site, closed: str) -> None:
    """A security group that is forgotten is what most targets fail by, and nothing else tells of it."""
    instance_id = site.healthy()
    if closed == "the instance's group":
        site.ec2.revoke_security_group_ingress(GroupId=site.inside, IpPermissions=[site.from_balancer])
    else:
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        site.ec2.revoke_security_group_egress(GroupId=site.outside, IpPermissions=[everything])
    eventually(lambda: site.states()[instance_id] == "unhealthy", "an unhealthy target")
    assert site.health()[instance_id]["Reason"] == "Target.Timeout"
    assert site.ask()[0] == 504


def test_a_check_port_that_is_shut_out_leaves_requests_alone(site: Site) -> None:
    """The port of checks has rules of its own: a target that fails them isn't one that can't be reached."""
    instance_id = site.healthy()
    site.elb.modify_target_group(TargetGroupArn=site.group, HealthCheckPort="9090")
    eventually(lambda: site.states()[instance_id] == "unhealthy", "an unhealthy target")
    assert site.health()[instance_id]["Reason"] == "Target.Timeout"
    assert site.ask() == (200, instance_id)


def test_a_balancer_that_stands_still_holds_up_nobody_else(site: Site) -> None:
    """A region is lost by stopping its processes; the API of the others has to answer."""
    instance_id = site.healthy()
    pid = site.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(50):
            site.set_delay(0)
            site.register(instance_id)
            assert set(site.states()) == {instance_id}
            site.deregister(instance_id)
    finally:
        os.kill(pid, signal.SIGCONT)
    site.register(instance_id)
    eventually(lambda: site.ask() == (200, instance_id), "it goes on")
    assert site.pid() == pid


def test_a_balancer_that_is_killed_is_replaced_and_knows_its_targets(site: Site) -> None:
    """AWS replaces nodes that fail; targets that nobody has seen fail are as healthy as before."""
    well, sick = site.healthy(), site.healthy()
    site.elb.modify_target_group(TargetGroupArn=site.group, UnhealthyThresholdCount=10, HealthyThresholdCount=10)
    site.elb.modify_target_group(TargetGroupArn=site.group, HealthCheckIntervalSeconds=300)
    site.backends[sick].health = 500
    pid, address = site.pid(), site.address()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: site.pid() not in (0, pid), "another process")
    eventually(lambda: site.states() == {well: "healthy", sick: "healthy"}, "what the old one knew")
    assert site.address() == address
    assert site.ask()[0] == 200


def test_deleted_balancers_and_a_reset_leave_nothing(site: Site, server: ApiServer) -> None:
    """Otherwise balancers of a test, or of a sandbox that was emptied, answer in the next one."""
    eventually(site.listens, "an open listener")
    first, address = site.pid(), site.address()
    site.elb.delete_load_balancer(LoadBalancerArn=site.balancer)
    eventually(lambda: not is_running(first), "the end of its process")
    eventually(lambda: not live.is_held(address), "its address is free")
    site.balancer = site.create()
    eventually(lambda: site.state() == "active", "another balancer")
    second = site.pid()
    reset(server)
    assert not is_running(second)
    with backend_lock:
        assert balancers.addresses_by_name() == {}


def test_a_balancer_counts_as_healthy_while_each_group_has_a_healthy_target(site: Site) -> None:
    """Route 53 leaves it out of its answers otherwise (API Reference, AliasTarget, EvaluateTargetHealth)."""

    def counts() -> bool:
        with backend_lock:
            return bool(balancers.addresses_by_name()[site.dns_name]["healthy"])

    eventually(lambda: site.state() == "active", "an active balancer")
    assert not counts()
    instance_id = site.healthy()
    assert counts()
    site.backends[instance_id].health = 500
    eventually(lambda: not counts(), "without a healthy target")


def test_requests_are_spread_by_the_groups_algorithm(site: Site) -> None:
    """Least outstanding requests: a target that hangs gets no more, while others answer."""
    first, second = site.healthy(), site.healthy()
    algorithm = {"Key": "load_balancing.algorithm.type", "Value": "least_outstanding_requests"}
    site.elb.modify_target_group_attributes(TargetGroupArn=site.group, Attributes=[algorithm])
    statuses: list[int] = []
    slow = threading.Thread(target=lambda: statuses.append(site.ask("/hold")[0]))
    slow.start()

    def holding() -> list[str]:
        return [each for each in (first, second) if site.backends[each].holding.is_set()]

    eventually(lambda: bool(holding()), "a request that hangs")
    (busy,) = holding()
    eventually(lambda: {site.ask()[1] for _ in range(6)} == {first, second} - {busy}, "requests to the other one only")
    site.backends[busy].hold.set()
    slow.join(30)
    assert statuses == [200]


def test_attributes_reach_the_process(site: Site) -> None:
    """A setting that is kept and doesn't act is tried out for nothing."""
    instance_id = site.healthy()
    values = {
        "routing.http.xff_header_processing.mode": "remove",
        "routing.http.preserve_host_header.enabled": "true",
        "routing.http.drop_invalid_header_fields.enabled": "true",
    }
    site.elb.modify_load_balancer_attributes(
        LoadBalancerArn=site.balancer, Attributes=[{"Key": key, "Value": value} for key, value in values.items()]
    )
    seen: Callable[[], dict[str, str]] = lambda: site.backends[instance_id].seen[-1]  # noqa: E731

    def is_as_set() -> bool:
        site.ask(host="site.example.com:80")
        return "X-Forwarded-For" not in seen()

    eventually(is_as_set, "no X-Forwarded-For")
    assert seen()["Host"] == "site.example.com:80"
