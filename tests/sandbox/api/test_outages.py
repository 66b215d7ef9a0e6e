"""A region that is lost: its API, balancers and machines go together, and come back together."""

import http.client
import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from moto.ec2.models import ec2_backends

from sandbox import processes
from sandbox.api import balancers, images, machines, outages
from sandbox.api.backend_lock import backend_lock
from sandbox.api.server import ApiServer
from sandbox.outages import PATH
from tests.sandbox.api import live
from tests.sandbox.checkout import eventually

LOST = (ConnectionClosedError, ReadTimeoutError)
OTHER = "eu-central-1"
_session: Any = boto3.Session(aws_access_key_id="sandbox", aws_secret_access_key="sandbox")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with live.serving(tmp_path_factory.mktemp("outages")) as server:
        yield server


@pytest.fixture
def api(server: ApiServer) -> Iterator[ApiServer]:
    yield server
    tell(server, region=None, how=None)
    live.reset(server)


def tell(server: ApiServer, **wanted: str | None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(urlsplit(server.endpoint_url).netloc, timeout=60)
    try:
        connection.request("POST", PATH, json.dumps(wanted))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def client(server: ApiServer, service: str, region: str = live.REGION, patience: float = 60) -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=patience)
    return _session.client(service, region_name=region, endpoint_url=server.endpoint_url, config=config)


def run(server: ApiServer, config: Mapping[str, Any] = live.SERVICE) -> str:
    started = client(server, "ec2").run_instances(
        ImageId=live.IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=live.cloud_config(config)
    )
    return str(started["Instances"][0]["InstanceId"])


@pytest.mark.parametrize("how", ["vanish", "refuse"])
def test_the_region_s_api_is_gone_and_the_others_are_there(api: ApiServer, how: str) -> None:
    """A command that needs the lost region would hang, or would work where on AWS it can't."""
    status, told = tell(api, region=live.REGION, how=how)
    assert (status, told[live.REGION]["how"], told[live.REGION]["processes"]) == (200, how, 0)
    for service, call in (("ec2", "describe_instances"), ("sts", "get_caller_identity"), ("s3", "list_buckets")):
        with pytest.raises(LOST):
            getattr(client(api, service, patience=0.5), call)()
        getattr(client(api, service, OTHER), call)()
    # Control planes elsewhere.
    client(api, "route53").list_hosted_zones()
    assert tell(api, region=live.REGION, how=None) == (200, {})
    client(api, "ec2").describe_instances()


def test_us_east_1_takes_the_control_planes_of_route_53_and_iam_along(api: ApiServer) -> None:
    """A runbook that changes a record would pass a drill, and fail on the day."""
    tell(api, region="us-east-1", how="refuse")
    for service, call in (("route53", "list_hosted_zones"), ("iam", "list_roles")):
        with pytest.raises(LOST):
            getattr(client(api, service), call)()
    client(api, "ec2").describe_instances()


def test_an_object_of_a_lost_region_can_t_be_read_without_a_signature_either(api: ApiServer) -> None:
    """Machines read packages like that."""
    client(api, "s3").create_bucket(Bucket="here", CreateBucketConfiguration={"LocationConstraint": live.REGION})
    tell(api, region=live.REGION, how="refuse")
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"{api.endpoint_url}/here/key", timeout=1)


def test_machines_stand_still_and_go_on_where_they_were(api: ApiServer) -> None:
    """On AWS, too, most instances are still there after an event."""
    instance = run(api)
    address = live.wait_for(instance, "running")
    before = live.get(address)
    status, told = tell(api, region=live.REGION, how="vanish")
    assert (status, told[live.REGION]["processes"]) == (200, 1)
    assert processes.is_still(live.pid_of(instance))
    answers: list[tuple[int, str]] = []
    # What asks meanwhile is answered when the region is back, and not before.
    asking = threading.Thread(target=lambda: answers.append(live.get(address)))
    asking.start()
    asking.join(0.5)
    assert not answers
    tell(api, region=live.REGION, how=None)
    asking.join(60)
    assert answers == [before]


def test_nothing_is_started_or_ended_in_a_lost_region(api: ApiServer) -> None:
    """A group that heals itself while its region is gone would be a miracle."""
    instance = run(api)
    live.wait_for(instance, "running")
    pid = live.pid_of(instance)
    tell(api, region=live.REGION, how="refuse")
    with backend_lock:
        # As if the request had come just before.
        for backend in ec2_backends.values():
            backend[live.REGION].terminate_instances([instance])
    machines.worker.wake()
    other = client(api, "ec2", OTHER).run_instances(
        ImageId=images.image_id(OTHER, images.releases()[-1].image_name("x86_64")),
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
    )["Instances"][0]["InstanceId"]
    # The worker has had its turn: it has started the one elsewhere.
    live.wait_for(other, "running")
    assert live.pid_of(instance) == pid
    tell(api, region=live.REGION, how=None)
    eventually(lambda: not machines.processes_in(live.REGION), "its end")


def test_the_way_can_be_changed_while_it_is_lost(api: ApiServer) -> None:
    """`heal` must take back all of it."""
    live.wait_for(run(api), "running")
    tell(api, region=live.REGION, how="vanish")
    _, told = tell(api, region=live.REGION, how="refuse")
    assert [(each["how"], each["processes"]) for each in told.values()] == [("refuse", 1)]
    tell(api, region=live.REGION, how=None)
    assert not any(processes.is_still(pid) for pid in live.pids())


def test_a_machine_that_ended_meanwhile_holds_up_nobody(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`heal` would wait for each of them in vain."""
    monkeypatch.setattr(outages, "PATIENCE_SECONDS", 600.0)
    one, other = run(api), run(api)
    for instance in (one, other):
        live.wait_for(instance, "running")
    kept = live.pid_of(other)
    tell(api, region=live.REGION, how="vanish")
    os.kill(live.pid_of(one), signal.SIGKILL)
    eventually(lambda: live.state_of(one) == "dead", "the end of its process")
    assert tell(api, region=live.REGION, how=None) == (200, {})
    assert live.pid_of(other) == kept
    assert not processes.is_still(kept)


def test_a_machine_that_is_being_stopped_stands_still_too(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The region is lost at whatever moment it is; and then it ends as it would have."""
    monkeypatch.setattr(outages, "PATIENCE_SECONDS", 600.0)
    # Ends only when it is told to a second time.
    slow = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: None)\ntime.sleep(600)\n"
    unit = "[Service]\nExecStart=/usr/bin/python3 /usr/lib/probe/slow.py\nTimeoutStopSec=60\n"
    files = {"/usr/lib/probe/slow.py": slow, "/etc/systemd/system/slow.service": unit}
    config = {
        "write_files": [{"path": path, "content": content} for path, content in files.items()],
        "runcmd": [["systemctl", "start", "slow.service"]],
    }
    instance = run(api, config)
    live.wait_for(instance, "running")
    pid = live.pid_of(instance)
    client(api, "ec2").terminate_instances(InstanceIds=[instance])
    eventually(lambda: machines.address_of(instance) is None, "it is being stopped")
    _, told = tell(api, region=live.REGION, how="vanish")
    assert told[live.REGION]["processes"] == 1
    assert processes.is_still(pid)
    assert processes.identify(pid) is not None
    tell(api, region=live.REGION, how=None)
    eventually(lambda: processes.identify(pid) is None, "its end")


def test_losing_it_once_more_changes_nothing(api: ApiServer) -> None:
    """It would be there for a moment, and measurements would begin anew."""
    instance = run(api)
    live.wait_for(instance, "running")
    _, first = tell(api, region=live.REGION, how="vanish")
    assert tell(api, region=live.REGION, how="vanish")[1] == first
    _, other = tell(api, region=live.REGION, how="refuse")
    assert other[live.REGION]["since"] == first[live.REGION]["since"]


def test_what_is_lost_is_told_while_a_region_is_on_its_way(api: ApiServer) -> None:
    """`sandbox status` would hang for as long as a machine takes to stand still."""
    with outages._lock, urllib.request.urlopen(f"{api.endpoint_url}{PATH}", timeout=30) as answer:
        assert json.load(answer) == {}


@pytest.mark.parametrize(
    ("region", "how", "said"),
    [
        ("eu-nowhere-1", "vanish", "AWS has no region 'eu-nowhere-1'"),
        (live.REGION, "burn", "vanish or refuse, not 'burn'"),
        (None, "vanish", "which region"),
    ],
)
def test_what_makes_no_sense_is_refused(api: ApiServer, region: str | None, how: str, said: str) -> None:
    """A drill with a typo would prove nothing."""
    status, told = tell(api, region=region, how=how)
    assert status == 400
    assert said in told["error"]


def test_an_api_that_ends_while_a_region_is_lost_leaves_no_process(tmp_path: Any) -> None:
    """They stand still, and wouldn't hear that they are to end."""
    with live.serving(tmp_path) as server:
        live.wait_for(run(server), "running")
        tell(server, region=live.REGION, how="vanish")
        (pid,) = live.pids()
    assert processes.identify(pid) is None
    assert balancers.children_in(live.REGION) == []
