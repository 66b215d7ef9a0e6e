"""One deployment at a time: the lease on the real S3 of the sandbox, with real processes where they matter."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from lockstep.errors import ExitCode, InvalidInputError, RefusedError, RegionUnreachableError
from lockstep.lease import KEY, TTL, Holder, Lease, LeaseLostError, peek
from sandbox.api import faults
from sandbox.api.server import ApiServer

# Taken in this order, which is that of their names.
BUCKETS = {"eu-central-1": "packages-central", "eu-west-1": "packages-west"}
FIRST, SECOND = BUCKETS
PATIENCE = 20.0
# Long enough that nothing renews while a test looks.
NEVER = 3600.0
HOLDING = """
import sys
from lockstep import aws
from lockstep.lease import Holder, Lease
buckets = dict(pair.split("=") for pair in sys.argv[1:])
with Lease(aws.client, buckets, Holder.this_process("lockstep deploy 1.1.0")).hold():
    print("held", flush=True)
    sys.stdin.read()
"""


@dataclass
class Place:
    """The buckets of two regions, and who does what there."""

    api: ApiServer
    client: Callable[..., Any]

    def lease(self, holder: Holder | None = None, buckets: dict[str, str] | None = None, **settings: Any) -> Lease:
        settings = {"renew_seconds": NEVER, **settings}
        return Lease(self.client, BUCKETS if buckets is None else buckets, holder or holder_of("other"), **settings)

    def content(self, region: str) -> dict[str, Any] | None:
        """What is written in the lease; None if there is none."""
        if peek(self.client, BUCKETS[region], region) is None:
            return None
        answer = self.client("s3", region).get_object(Bucket=BUCKETS[region], Key=KEY)
        content: dict[str, Any] = json.loads(answer["Body"].read())
        return content

    def owner(self, region: str) -> str | None:
        content = self.content(region)
        return str(content["id"]) if content else None

    def put(self, region: str, body: bytes) -> None:
        self.client("s3", region).put_object(Bucket=BUCKETS[region], Key=KEY, Body=body)

    def left_by(self, holder: Holder, age: float = 0.0) -> None:
        """Have both buckets hold the lease of `holder`, written so many seconds ago by S3's clock."""
        for region, bucket in BUCKETS.items():
            self.put(region, holder.model_dump_json().encode())
            self.key(bucket).last_modified -= timedelta(seconds=age)

    def key(self, bucket: str) -> Any:
        return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys[KEY]

    def set_fault(self, kind: str, **what: Any) -> None:
        """Have this fault, and no other."""
        self._control({"faults": [{"kind": kind, **what}]})

    def hits(self) -> int:
        """How many requests have met the fault."""
        return int(self._control()["faults"][0]["hit"])

    def _control(self, data: Any = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(f"{self.api.endpoint_url}/_sandbox/faults", body, timeout=10) as answer:
            return json.load(answer)

    def process(self) -> "subprocess.Popen[str]":
        """A process that holds the lease by now."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": self.api.endpoint_url,
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDING, *(f"{region}={bucket}" for region, bucket in BUCKETS.items())],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process


@pytest.fixture
def place(api: ApiServer, aws: Callable[..., Any]) -> Iterator[Place]:
    for region, bucket in BUCKETS.items():
        s3 = aws("s3", region)
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    yield Place(api, aws)
    faults.reset()


def holder_of(name: str, **changes: Any) -> Holder:
    """This process, as a holder with an id of its own."""
    return Holder.this_process(f"lockstep deploy {name}").model_copy(update={"id": name, **changes})


def elsewhere(name: str) -> Holder:
    """A process of another machine, whose number this machine can't judge."""
    return holder_of(name, host="build-7.example.com", machine="another", pid=2**22 + 1)


def until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def test_it_is_held_in_every_region_and_given_back(place: Place) -> None:
    """One that stays keeps the next deployment out for a minute; one region alone doesn't keep out a plain update."""
    with place.lease(holder_of("mine")).hold() as lease:
        assert [place.owner(region) for region in BUCKETS] == ["mine", "mine"]
        lease.check()
    assert [place.owner(region) for region in BUCKETS] == [None, None]


def test_it_is_given_back_when_the_work_fails(place: Place) -> None:
    """`lockstep settle` would have to wait until it runs out."""
    with pytest.raises(ZeroDivisionError), place.lease().hold():
        raise ZeroDivisionError
    assert [place.owner(region) for region in BUCKETS] == [None, None]


def test_it_can_be_taken_over_a_delete_marker(place: Place) -> None:
    """Package buckets are versioned: the second deployment of an application's life would be refused for ever."""
    for _ in range(2):
        with place.lease().hold():
            assert place.owner(FIRST) == "other"
    versions = place.client("s3", FIRST).list_object_versions(Bucket=BUCKETS[FIRST])
    assert len(versions["DeleteMarkers"]) == 2


def test_a_second_one_is_refused_and_told_who_is_at_work(place: Place) -> None:
    """Two deployments at once would each undo the other's sites."""
    with (
        place.lease(holder_of("1.1.0")).hold(),
        pytest.raises(RefusedError) as refused,
        place.lease(holder_of("x")).hold(),
    ):
        pytest.fail("held twice")
    assert refused.value.exit_code is ExitCode.REFUSED
    said = f"{refused.value.message} {refused.value.remedy}"
    for part in (FIRST, "`lockstep deploy 1.1.0`", socket.gethostname(), f"pid {os.getpid()}", "since 20", "runs out"):
        assert part in said
    assert place.owner(FIRST) is None


def test_what_was_taken_is_given_back_when_another_region_is_held(place: Place) -> None:
    """A site that is updated alone holds one region; a deployment that was refused must leave the others free."""
    with place.lease(elsewhere("alone"), {SECOND: BUCKETS[SECOND]}).hold():
        with pytest.raises(RefusedError, match=SECOND), place.lease().hold():
            pytest.fail("held twice")
        assert [place.owner(region) for region in BUCKETS] == [None, "alone"]


def test_of_many_who_begin_together_one_gets_all_of_it(place: Place) -> None:
    """With an order of their own each, two would hold one region each and both be refused."""
    everybody = threading.Barrier(6)
    outcomes: list[str] = []

    def begin(number: int) -> None:
        # Given in either order.
        buckets = dict(sorted(BUCKETS.items(), reverse=bool(number % 2)))
        with ExitStack() as stack:
            everybody.wait(PATIENCE)
            try:
                stack.enter_context(place.lease(holder_of(str(number)), buckets).hold())
                outcomes.append("held")
            except RefusedError:
                outcomes.append("refused")
            everybody.wait(PATIENCE)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
    assert sorted(outcomes) == ["held", *["refused"] * 5]


def test_a_process_that_is_at_work_is_respected_and_one_that_was_killed_is_not(place: Place) -> None:
    """After `kill -9` the operator would wait a minute for nothing; before it, two would be at work."""
    process = place.process()
    try:
        with pytest.raises(RefusedError, match=f"pid {process.pid}"), place.lease().hold():
            pytest.fail("held twice")
        holder = Holder.model_validate(place.content(FIRST))
        assert not holder.is_gone
        process.send_signal(signal.SIGKILL)
        # Not waited for: it is a zombie until its parent asks, and never again at work.
        until(lambda: holder.is_gone)
        with place.lease(holder_of("next")).hold():
            assert [place.owner(region) for region in BUCKETS] == ["next", "next"]
    finally:
        process.kill()
        process.communicate()
    assert holder.is_gone


def test_a_process_that_ends_by_itself_gives_it_back(place: Place) -> None:
    """Machines that share nothing but S3 see only what is there."""
    process = place.process()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert [place.owner(region) for region in BUCKETS] == [None, None]


@pytest.mark.parametrize(
    ("holder", "gone"),
    [
        (holder_of("alive"), False),
        (holder_of("number used again", process_started="1"), True),
        (holder_of("no such process", pid=2**22 + 1), True),
        (holder_of("no number at all", pid=2**70), False),
        (holder_of("another host", host="build-7.example.com", pid=2**22 + 1), False),
        (holder_of("a container of the same name", machine="another", pid=2**22 + 1), False),
    ],
    ids=lambda value: value.id if isinstance(value, Holder) else "",
)
def test_only_a_process_of_this_machine_can_be_known_to_be_gone(holder: Holder, gone: bool) -> None:
    """Numbers of other machines mean nothing here, and CI's containers are all named alike."""
    assert holder.is_gone is gone


def test_another_machines_lease_is_taken_over_once_it_has_run_out(place: Place) -> None:
    """A runner that was destroyed would keep every deployment out for ever."""
    place.left_by(elsewhere("runner"), age=TTL - 5)
    with pytest.raises(RefusedError, match=r"build-7\.example\.com"), place.lease().hold():
        pytest.fail("taken from somebody at work")
    place.left_by(elsewhere("runner"), age=TTL + 1)
    with place.lease(holder_of("next")).hold():
        assert [place.owner(region) for region in BUCKETS] == ["next", "next"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"pid": "x"}', b"\xff"])
def test_what_cannot_be_read_is_respected_until_it_runs_out(place: Place, body: bytes) -> None:
    """A later version may write it otherwise, and be at work."""
    place.put(FIRST, body)
    with pytest.raises(RefusedError, match="somebody unknown"), place.lease().hold():
        pytest.fail("taken from somebody at work")
    place.key(BUCKETS[FIRST]).last_modified -= timedelta(seconds=TTL + 1)
    with place.lease(holder_of("next")).hold():
        assert place.owner(FIRST) == "next"


def test_what_a_later_version_adds_does_not_hide_the_holder(place: Place) -> None:
    """Somebody whose process is gone would be waited for."""
    gone = holder_of("gone", pid=2**22 + 1).model_dump()
    place.put(FIRST, json.dumps({**gone, "site": "primary"}).encode())
    with place.lease(holder_of("next")).hold():
        assert place.owner(FIRST) == "next"


class Meddling:
    """An S3 client with which something happens just before a lease is written."""

    def __init__(self, client: Any, before_write: Callable[[], None]) -> None:
        self._client = client
        self._before_write = before_write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_object(self, **arguments: Any) -> Any:
        self._before_write()
        return self._client.put_object(**arguments)


def test_a_lease_that_is_renewed_at_the_last_moment_is_not_taken(place: Place) -> None:
    """Its holder was paused for a minute and goes on: an ETag that says nothing new would let both hold it."""
    paused = place.lease(elsewhere("paused"))
    with paused.hold():
        for bucket in BUCKETS.values():
            place.key(bucket).last_modified -= timedelta(seconds=TTL + 1)

        def meddled(service: str, region: str) -> Any:
            return Meddling(place.client(service, region), paused._holds[region].renew)

        with pytest.raises(RefusedError, match="build-7"), Lease(meddled, BUCKETS, holder_of("next")).hold():
            pytest.fail("taken from somebody at work")
        paused.check()


def test_it_is_renewed_in_every_region_while_the_work_goes_on(place: Place) -> None:
    """A deployment takes longer than its lease lives."""
    with place.lease(renew_seconds=0.02).hold() as lease:
        until(lambda: all((place.content(region) or {}).get("writes", 0) >= 4 for region in BUCKETS))
        lease.check()
    assert [place.owner(region) for region in BUCKETS] == [None, None]


def test_a_region_that_is_silent_does_not_keep_the_others_from_renewing(place: Place) -> None:
    """Each attempt there takes half a minute: one after the other, the leases of the living regions would run out."""
    with place.lease(renew_seconds=0.02).hold() as lease:
        place.set_fault("vanish", region=FIRST)
        until(place.hits)
        before = place.content(SECOND)
        until(lambda: place.content(SECOND) != before)
        lease.check()
        faults.reset()


def test_who_has_lost_it_is_told_at_the_next_step(place: Place) -> None:
    """Both would go on."""
    with place.lease(renew_seconds=0.02).hold() as lease:
        place.put(SECOND, holder_of("thief").model_dump_json().encode())
        until(lambda: lease._holds[SECOND].lost)
        with pytest.raises(LeaseLostError, match=SECOND) as lost:
            lease.check()
    assert lost.value.exit_code is ExitCode.INCOMPLETE
    assert "`lockstep deploy thief`" in lost.value.message
    assert [place.owner(region) for region in BUCKETS] == [None, "thief"]


def test_only_the_own_lease_is_given_back(place: Place) -> None:
    """A process that was paused, and ends, would take the lease from whoever is at work by then."""
    with place.lease().hold():
        place.put(FIRST, holder_of("thief").model_dump_json().encode())
    assert [place.owner(region) for region in BUCKETS] == ["thief", None]


def test_a_lease_that_vanished_is_lost(place: Place) -> None:
    """Somebody may have had it and given it back meanwhile, after a whole deployment."""
    with place.lease(renew_seconds=0.02).hold() as lease:
        place.client("s3", SECOND).delete_object(Bucket=BUCKETS[SECOND], Key=KEY)
        until(lambda: lease._holds[SECOND].lost)
        with pytest.raises(LeaseLostError, match="nobody's"):
            lease.check()
    assert place.owner(SECOND) is None


def test_a_write_whose_answer_was_lost_is_known_again(place: Place) -> None:
    """It is sent again and meets itself: the deployment would refuse to run because of itself."""
    place.set_fault("refuse", operation="PutObject", after=True, count=1)
    with place.lease(holder_of("mine")).hold() as lease:
        assert place.hits() == 1
        assert place.owner(FIRST) == "mine"
        place.set_fault("refuse", operation="PutObject", after=True, count=1)
        for each in lease._holds.values():
            each.renew()
        assert place.hits() == 1
        assert not any(each.ran_out for each in lease._holds.values())
        lease.check()
    assert [place.owner(region) for region in BUCKETS] == [None, None]


def test_a_write_that_was_never_answered_is_given_back_all_the_same(place: Place) -> None:
    """Nobody would know of it, and it would keep others out until it runs out."""
    # The first try and its repetition.
    place.set_fault("refuse", region=SECOND, operation="PutObject", after=True, count=2)
    with pytest.raises(RegionUnreachableError), place.lease().hold():
        pytest.fail("held without an answer")
    assert [place.owner(region) for region in BUCKETS] == [None, None]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_process_that_was_paused_renews_before_it_goes_on(place: Place) -> None:
    """A laptop that slept holds a lease that ran out; nobody has taken it, so that nothing is lost."""
    clock = Clock()
    with place.lease(clock=clock).hold() as lease:
        clock.now += TTL + 1
        lease.check()
        assert [(place.content(region) or {})["writes"] for region in BUCKETS] == [2, 2]


def test_a_process_that_was_paused_while_another_deployed_is_told_so(place: Place) -> None:
    """It would go on rolling sites that somebody else has just settled."""
    clock = Clock()
    with place.lease(clock=clock).hold() as lease:
        place.left_by(elsewhere("another"))
        clock.now += TTL + 1
        with pytest.raises(LeaseLostError, match="`lockstep deploy another`"):
            lease.check()
    assert [place.owner(region) for region in BUCKETS] == ["another", "another"]


def test_one_region_that_answers_keeps_it(place: Place) -> None:
    """The loss of a region must not stop what the other one needs; nobody can take all of it meanwhile."""
    clock = Clock()
    with place.lease(clock=clock).hold() as lease:
        place.set_fault("refuse", region=FIRST)
        clock.now += TTL + 1
        lease.check()
        faults.reset()


@pytest.mark.parametrize("kind", ["refuse", "deny", "throttle"])
def test_it_is_lost_if_no_region_takes_the_renewal(place: Place, kind: str) -> None:
    """A login that runs out in the middle would go unnoticed, and others take the lease a minute later."""
    clock = Clock()
    with place.lease(clock=clock).hold() as lease:
        place.set_fault(kind, service="s3")
        clock.now += TTL - 1
        lease.check()
        clock.now += 2
        with pytest.raises(LeaseLostError, match=f"{FIRST}, {SECOND} couldn't be renewed for 60 s"):
            lease.check()
        faults.reset()


@pytest.mark.parametrize("kind", ["refuse", "throttle"])
def test_a_region_that_does_not_answer_is_named_and_nothing_is_held(place: Place, kind: str) -> None:
    """A lease on half the regions is none."""
    place.set_fault(kind, region=SECOND, service="s3")
    with pytest.raises(RegionUnreachableError, match=SECOND) as raised, place.lease().hold():
        pytest.fail("held in one region")
    assert raised.value.exit_code is ExitCode.REGION_UNREACHABLE
    faults.reset()
    assert place.owner(FIRST) is None


def test_a_login_that_may_not_is_not_a_region_that_is_down(place: Place) -> None:
    """Whoever waits for the region to come back waits for ever."""
    place.set_fault("deny", region=SECOND, service="s3")
    with pytest.raises(InvalidInputError, match="AccessDenied") as raised, place.lease().hold():
        pytest.fail("held in one region")
    assert "log in" in raised.value.remedy


def test_a_site_that_is_not_up_is_named(place: Place) -> None:
    """`NoSuchBucket` tells nobody what to do."""
    buckets = {FIRST: BUCKETS[FIRST], SECOND: "packages-nowhere"}
    with pytest.raises(InvalidInputError, match="packages-nowhere in eu-west-1") as raised:
        place.lease(buckets=buckets).hold().__enter__()
    assert raised.value.remedy == "lockstep up"
    assert place.owner(FIRST) is None


def test_a_user_without_a_name_can_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers often run under a number that is in no password file."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert Holder.this_process("lockstep deploy 1.0.0").who == "user 54321"
