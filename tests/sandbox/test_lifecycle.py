"""`lockstep sandbox up|down|status|env` with real processes: the real API, the real provider, the real Pulumi CLI."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import dns.message
import dns.query
import pytest
import typer

from lockstep.commands import sandbox as sandbox_commands
from lockstep.errors import FailedUnchangedError, InvalidInputError
from sandbox import lifecycle
from sandbox.dns.resolver import NoSuchNameError, resolve
from sandbox.start import Ports, Project
from tests.sandbox.checkout import Checkout, eventually, is_running, make
from tests.sandbox.gateway.sites import ADDRESS, answering, balancer

pytestmark = pytest.mark.engine

PROCESSES = ("supervisor", "api", "provider", "dns", "gateway", "checkers")
SANDBOX = f"{shlex.quote(sys.executable)} -m lockstep.cli sandbox"
VENV_BIN = Path(sys.executable).parent


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout whose sandbox is gone after the test, whatever the test did to it."""
    root = tmp_path / "project"
    root.mkdir()
    made = make(root, tmp_path / "state")
    yield made
    done = made.run("sandbox", "down")
    assert done.returncode == 0, done.stderr
    assert made.left_over() == []


def pid_of(record: dict[str, Any], name: str) -> int:
    return next(int(process["pid"]) for process in record["processes"] if process["name"] == name)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/moto-api/", timeout=5).close()
    except OSError:
        return False
    return True


def soa_of(name: str, server: str) -> str:
    host, port = server.split(":")
    reply = dns.query.udp(dns.message.make_query(name, "SOA"), host, port=int(port), timeout=5)
    return "".join(rrset.to_text() for rrset in reply.answer)


def gateway_says(url: str, gateway: str) -> str:
    """Why the gateway can't reach `url`."""
    proxy = urllib.request.ProxyHandler({"http": gateway})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(proxy).open(url, timeout=5)
    said: str = caught.value.headers["X-Lockstep-Gateway-Error"]
    caught.value.close()
    return said


def point_at(address: str, name: str, record: dict[str, Any]) -> None:
    """Give `name` an address in the sandbox's zone, and wait until it is answered."""
    route53: Any = boto3.client(
        "route53",
        region_name="us-east-1",
        endpoint_url=record["addresses"]["api"],
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
    )
    record_set = {"Name": name, "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": address}]}
    route53.change_resource_record_sets(
        HostedZoneId=route53.list_hosted_zones()["HostedZones"][0]["Id"],
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record_set}]},
    )
    host, _, port = record["addresses"]["dns"].rpartition(":")

    def is_answered() -> bool:
        try:
            return resolve(name, (host, int(port))).address == address
        except NoSuchNameError:
            return False

    eventually(is_answered, f"{name} is {address}")


def shell(checkout: Checkout, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `script` in sh, with the `lockstep` of this environment on PATH and `variables` exported."""
    return subprocess.run(
        ["sh", "-eu", "-c", script],
        env={**checkout.environment(), **variables},
        cwd=checkout.root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_sandbox_that_is_up_answers_and_has_zone_and_stacks(checkout: Checkout) -> None:
    """Without zone or stacks the first `pulumi up` fails, on a sandbox that calls itself up."""
    before = {path.name: path.read_bytes() for path in checkout.root.glob("Pulumi*.yaml")}
    done = checkout.run("sandbox", "up")
    assert done.returncode == 0, done.stderr
    assert 'eval "$(lockstep sandbox env)"' in done.stdout
    record = checkout.record()
    assert [process["name"] for process in record["processes"]] == list(PROCESSES)
    assert all(is_running(process["pid"]) for process in record["processes"])
    assert answers(record["addresses"]["api"])
    assert answers(record["addresses"]["apiPlain"])
    host, port = record["addresses"]["provider"].split(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    assert soa_of("example.com", record["addresses"]["dns"])
    assert gateway_says("http://absent.example.com/", record["addresses"]["gateway"]) == (
        "absent.example.com: there is no such name (NXDOMAIN)"
    )
    assert (checkout.home / "sandbox.json").stat().st_mode & 0o777 == 0o600

    used = shell(
        checkout,
        f'eval "$({SANDBOX} env)"; pulumi stack ls --json; '
        'python -c \'import boto3; c = boto3.client("route53", region_name="eu-west-1"); '
        'print([z["Name"] for z in c.list_hosted_zones()["HostedZones"]])\'',
        PATH=f"{VENV_BIN}:{os.environ['PATH']}",
    )
    assert used.returncode == 0, used.stderr
    stacks, _, zones = used.stdout.rpartition("]\n[")
    assert [stack["name"] for stack in json.loads(stacks + "]")] == ["global", "primary", "secondary"]
    assert zones.strip() == "'example.com.']"
    assert {path.name: path.read_bytes() for path in checkout.root.glob("Pulumi*.yaml")} == before


def test_down_leaves_no_process_and_no_file(checkout: Checkout) -> None:
    """A process that stays holds its port and a gigabyte; a file that stays is the next run's riddle."""
    record = checkout.up()
    done = checkout.run("sandbox", "down")
    assert done.returncode == 0
    assert "nothing of it is left" in done.stderr
    assert checkout.left_over() == []
    assert not any(is_running(process["pid"]) for process in record["processes"])


def test_down_without_a_sandbox_is_fine(checkout: Checkout) -> None:
    """Clean-up in a script must not fail because there was nothing to clean."""
    done = checkout.run("sandbox", "down")
    assert done.returncode == 0
    assert "nothing to take down" in done.stderr


def test_a_second_up_changes_nothing(checkout: Checkout) -> None:
    """A second `up` that started anew would throw away what the first has in it."""
    first = checkout.up()
    done = checkout.run("sandbox", "up")
    assert done.returncode == 0
    assert "up already" in done.stderr
    assert checkout.record() == first


def test_of_two_ups_at_once_one_starts_and_the_other_waits(checkout: Checkout) -> None:
    """Two supervisors over one STATE would each end the other's processes."""
    ups = [checkout.start("sandbox", "up") for _ in range(3)]
    said = [process.communicate(timeout=60)[1] for process in ups]
    assert [process.returncode for process in ups] == [0, 0, 0], said
    assert sum("AWS API on" in text for text in said) == 1
    assert sum("up already" in text for text in said) == 2
    assert all(is_running(process["pid"]) for process in checkout.record()["processes"])


def test_up_and_down_at_once_end_in_one_of_both_states(checkout: Checkout) -> None:
    """`down` while another terminal says `up` must not leave half of a sandbox."""
    starting, ending = checkout.start("sandbox", "up"), checkout.start("sandbox", "down")
    said = [process.communicate(timeout=60)[1] for process in (starting, ending)]
    assert [starting.returncode, ending.returncode] == [0, 0], said
    if checkout.home.exists():
        assert checkout.run("sandbox", "status").returncode == 0
    else:
        assert checkout.left_over() == []


@pytest.mark.parametrize("victim", PROCESSES)
def test_after_a_kill_of_any_process_status_tells_and_up_repairs(checkout: Checkout, victim: str) -> None:
    """Whoever's process was killed, by hand or for lack of memory, must learn it from `status`, not from a time-out."""
    record = checkout.up()
    os.kill(pid_of(record, victim), signal.SIGKILL)
    eventually(lambda: not any(is_running(p["pid"]) for p in record["processes"]), "all processes end with one")

    told = checkout.run("sandbox", "status", "--json")
    assert told.returncode == 10
    found = json.loads(told.stdout)
    assert found["status"] == "degraded"
    assert not any(process["alive"] for process in found["processes"])
    if victim != "supervisor":
        assert f"{victim} (pid {pid_of(record, victim)}) was killed by signal 9 (SIGKILL)" in found["ended"]
    used = checkout.run("sandbox", "env")
    assert (used.returncode, used.stdout) == (7, "false\n")

    repaired = checkout.up()
    assert {p["pid"] for p in repaired["processes"]}.isdisjoint(p["pid"] for p in record["processes"])
    assert answers(repaired["addresses"]["api"])


@pytest.mark.parametrize("victim", ["supervisor", "api", "gateway"])
def test_after_a_kill_of_any_process_down_leaves_nothing(checkout: Checkout, victim: str) -> None:
    """`down` must find what is left even when what knew about it is dead."""
    record = checkout.up()
    os.kill(pid_of(record, victim), signal.SIGKILL)
    assert checkout.run("sandbox", "down").returncode == 0
    assert checkout.left_over() == []
    assert not any(is_running(process["pid"]) for process in record["processes"])


def test_down_finds_the_processes_when_their_files_are_gone(checkout: Checkout) -> None:
    """`rm -rf .sandbox` is what people do; the processes must still be found."""
    record = checkout.up()
    shutil.rmtree(checkout.home)
    assert checkout.run("sandbox", "down").returncode == 0
    assert checkout.left_over() == []
    assert not any(is_running(process["pid"]) for process in record["processes"])


def test_a_dead_api_shows_the_last_lines_of_its_log(checkout: Checkout) -> None:
    """Why it died is in its log; whoever asks for the status should not have to look for that file."""
    record = checkout.up()
    with (checkout.home / "log" / "api.log").open("a") as log:
        log.write("the reason of its end\n")
    os.kill(pid_of(record, "api"), signal.SIGKILL)
    eventually(lambda: not is_running(pid_of(record, "supervisor")), "the supervisor ends when the API does")
    told = checkout.run("sandbox", "status")
    assert told.returncode == 10
    assert "the reason of its end" in told.stdout


MOMENTS = ("at once", "state", "AWS API", "name server", "HTTP proxy", "Pulumi provider", "stacks")
# The provider is ready last, and the stacks are made by then.
LAST_MOMENTS = ("Pulumi provider", "stacks")


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGKILL, moment) for moment in MOMENTS]
    + [(signal.SIGINT, moment) for moment in ("state", "AWS API", "name server", "Pulumi provider")]
    + [(signal.SIGTERM, "AWS API"), (signal.SIGHUP, "AWS API")],
)
def test_up_that_is_killed_leaves_nothing(checkout: Checkout, number: signal.Signals, moment: str) -> None:
    """Ctrl-C, a closed terminal or a killed CI job while it starts must not leave processes that nobody knows about."""
    process = checkout.start("sandbox", "up")
    assert process.stderr is not None
    if moment == "state":
        eventually(lambda: checkout.home.exists() or process.poll() is not None, "STATE is made")
    elif moment != "at once":
        for line in process.stderr:
            if line.startswith(moment):
                break
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if number in (signal.SIGINT, signal.SIGTERM):
        assert process.returncode == 130, said
        assert checkout.left_over() == []

    def settled() -> bool:
        # After its last lines it may have finished before the signal came: then the sandbox is up, and in order.
        up = moment in LAST_MOMENTS and checkout.run("sandbox", "status").returncode == 0
        return up or not checkout.left_over()

    eventually(settled, "nothing is left")


def test_a_killed_supervisor_fails_the_up_that_waits_for_it_and_leaves_nothing(checkout: Checkout) -> None:
    """If the process that cleans up is the one that dies, somebody else has to."""
    process = checkout.start("sandbox", "up")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("AWS API")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    supervisor = next(p for p in children if "sandbox.supervisor" in Path(f"/proc/{p}/cmdline").read_text())
    os.kill(int(supervisor), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "supervisor" in said
    assert "SIGKILL" in said
    assert checkout.left_over() == []


def test_up_works_where_sigint_is_ignored(checkout: Checkout) -> None:
    """A script's background job starts with SIGINT ignored; then neither Ctrl-C nor `down` may depend on it."""
    script = (
        f'trap "" INT; {SANDBOX} up >/dev/null 2>&1 & while ! test -e "{checkout.home}/log"; do sleep 0.01; done; '
        "kill -INT $!; wait $!"
    )
    done = shell(checkout, script, PATH=f"{VENV_BIN}:{os.environ['PATH']}")
    assert done.returncode == 130
    assert checkout.left_over() == []


@pytest.mark.parametrize(
    ("option", "variable"),
    [
        ("--port", "LOCKSTEP_SANDBOX_PORT"),
        ("--plain-port", "LOCKSTEP_SANDBOX_PLAIN_PORT"),
        ("--provider-port", "LOCKSTEP_SANDBOX_PROVIDER_PORT"),
        ("--dns-port", "LOCKSTEP_SANDBOX_DNS_PORT"),
        ("--gateway-port", "LOCKSTEP_SANDBOX_GATEWAY_PORT"),
    ],
)
def test_a_port_in_use_is_named_with_the_option_that_changes_it(checkout: Checkout, option: str, variable: str) -> None:
    """The user has to know which of five ports it is, and must not be left with a sandbox on some other port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for done in (
            checkout.run("sandbox", "up", option, port),
            checkout.run("sandbox", "up", env=checkout.environment(**{variable: port})),
        ):
            assert done.returncode == 3
            assert f"{option} {port}: can't listen" in done.stderr
            assert "Address already in use" in done.stderr
            assert checkout.left_over() == []


def test_a_name_servers_port_that_is_taken_for_udp_is_named_too(checkout: Checkout) -> None:
    """UDP is what most queries use, and a port that is free for TCP may not be free for UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        done = checkout.run("sandbox", "up", "--dns-port", port)
    assert done.returncode == 3
    assert f"--dns-port {port}: can't listen" in done.stderr
    assert checkout.left_over() == []


def test_the_speed_that_is_asked_for_is_every_members_and_stays(checkout: Checkout) -> None:
    """Members of different speeds disagree on when a check is late; a report has to name the factor it was made at."""
    record = checkout.up("--speed", "6")
    assert record["speed"] == 6.0
    for process in record["processes"]:
        assert "LOCKSTEP_SANDBOX_SPEED=6.0" in Path(f"/proc/{process['pid']}/environ").read_text().split("\0")
    told = lifecycle.status(checkout.home)
    assert told.to_json()["speed"] == 6.0
    assert "speed       6" in checkout.run("sandbox", "status").stdout

    project = Project(root=checkout.root, zone="example.com", stacks=("primary",))
    for speed in (None, 6.0):
        assert lifecycle.up(project, checkout.home, Ports(), lambda _: None, speed=speed) == told.record
    done = checkout.run("sandbox", "up", env=checkout.environment(LOCKSTEP_SANDBOX_SPEED="5"))
    assert done.returncode == 3
    assert "up at speed 6, and --speed asks for 5" in done.stderr
    assert "`lockstep sandbox down` first" in done.stderr
    assert checkout.record() == record


@pytest.mark.parametrize("speed", ["0.5", "61"])
def test_a_speed_out_of_range_is_refused(checkout: Checkout, speed: str) -> None:
    """Slower than AWS helps nobody, and beyond 60 starting a process takes longer than a check's interval."""
    done = checkout.run("sandbox", "up", "--speed", speed)
    assert done.returncode == 2
    assert "--speed" in done.stderr
    assert checkout.left_over() == []


def test_ports_that_are_asked_for_are_used_and_one_port_for_two_is_refused(checkout: Checkout) -> None:
    """A script that fixes the port relies on it; a sandbox that is up on another port isn't what was asked for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    twice = checkout.run("sandbox", "up", "--port", port, "--plain-port", port)
    assert twice.returncode == 3
    assert f"--plain-port {port}" in twice.stderr
    assert checkout.left_over() == []

    assert checkout.up("--port", port)["addresses"]["api"] == f"http://127.0.0.1:{port}"
    assert checkout.run("sandbox", "up", "--port", port).returncode == 0
    other = checkout.run("sandbox", "up", "--port", "1")
    assert other.returncode == 3
    assert "`lockstep sandbox down` first" in other.stderr


def test_a_request_shows_who_answers_at_a_name(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is how a user sees where traffic goes; its exit status tells scripts whether anything is there."""
    record = checkout.up()
    assert record["speed"] == 1.0
    for name, value in checkout.environment().items():
        monkeypatch.setenv(name, value)

    def request(url: str, count: int = 1, json: bool = False) -> tuple[int, str, str]:
        capfd.readouterr()
        status = 0
        try:
            sandbox_commands.request(url, count, json)
        except typer.Exit as ended:
            status = ended.exit_code
        said = capfd.readouterr()
        return status, said.out, said.err

    point_at(ADDRESS, "www.example.com", record)
    assert request("http://absent.example.com/") == (
        7,
        "",
        "warning: no answer: absent.example.com: there is no such name (NXDOMAIN); `lockstep sandbox status` and "
        "`lockstep status` show what is up\n",
    )
    said = b"HTTP/1.1 200 OK\r\nLockstep-Release: 1.0.0\r\nContent-Length: 5\r\n\r\nhello"
    with balancer(answering(said)) as port:
        url, address = f"http://www.example.com:{port}/", f"{ADDRESS}:{port + 8000}"
        one = checkout.run("sandbox", "request", url)
        assert one.returncode == 0
        assert one.stdout.startswith(f"www.example.com -> {address}\nHTTP 200 OK\nLockstep-Release: 1.0.0\n")
        assert one.stdout.endswith("\n\nhello\n")
        status, out, _ = request(url, 5)
        assert (status, out.splitlines()[1].split()) == (0, ["1.0.0", address, "200", "5"])
        told = json.loads(request(url, 2, json=True)[1])
        assert [each["body"] for each in told["requests"]] == ["hello", "hello"]
        assert told["summary"]["answers"] == [{"release": "1.0.0", "address": address, "status": 200, "count": 2}]
    with balancer(answering(b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n")) as port:
        assert request(f"http://www.example.com:{port}/")[0] == 10
    assert request(url, 2)[0] == 7
    with pytest.raises(InvalidInputError, match="ftp") as caught:
        request("ftp://www.example.com/")
    assert "lockstep sandbox request http://example.com/" in caught.value.remedy


def test_a_region_is_lost_and_healed(checkout: Checkout) -> None:
    """The main thing that the sandbox is for; what it says is what scripts and people go by."""
    checkout.up()
    lost = checkout.run("sandbox", "break", "eu-west-1")
    assert lost.returncode == 0
    assert "eu-west-1 is lost (vanish), with 0 balancers and machines" in lost.stderr
    assert "lockstep sandbox heal eu-west-1" in lost.stderr
    ways = {"eu-west-1": "vanish", "us-east-1": "refuse"}
    both = checkout.run("sandbox", "break", "us-east-1", "--refuse", "--json")
    assert {name: each["how"] for name, each in json.loads(both.stdout)["lost"].items()} == ways
    status = json.loads(checkout.run("sandbox", "status", "--json").stdout)
    assert (status["status"], {name: each["how"] for name, each in status["lost"].items()}) == ("up", ways)
    assert "lost        eu-west-1 (vanish), us-east-1 (refuse)" in checkout.run("sandbox", "status").stdout
    assert "eu-west-1 is back" in checkout.run("sandbox", "heal", "eu-west-1").stderr
    assert "us-east-1 is back" in checkout.run("sandbox", "heal").stderr
    assert "no region is lost" in checkout.run("sandbox", "heal").stderr


def test_a_region_that_aws_does_not_have_cannot_be_lost(checkout: Checkout) -> None:
    """A drill with a typo would prove that nothing breaks."""
    assert checkout.run("sandbox", "break", "eu-west-1").returncode == 7
    checkout.up()
    done = checkout.run("sandbox", "break", "eu-west-11")
    assert done.returncode == 3
    assert "AWS has no region 'eu-west-11'" in done.stderr
    checkout.run("sandbox", "break", "eu-west-1")
    assert checkout.run("sandbox", "down").returncode == 0


def test_a_request_without_a_sandbox_exits_with_7(checkout: Checkout) -> None:
    """The remedy is to start it."""
    done = checkout.run("sandbox", "request", "http://www.example.com/")
    assert done.returncode == 7
    assert "lockstep sandbox up" in done.stderr


def test_a_sandbox_of_another_project_is_not_taken_for_ones_own(checkout: Checkout, tmp_path: Path) -> None:
    """Two checkouts with one LOCKSTEP_SANDBOX_HOME would otherwise deploy into each other."""
    checkout.up()
    (tmp_path / "other").mkdir()
    other = make(tmp_path / "other", checkout.home)
    done = other.run("sandbox", "up")
    assert done.returncode == 3
    assert f"belongs to the project in {checkout.root}" in done.stderr


def test_status_without_a_sandbox_exits_with_7(checkout: Checkout) -> None:
    """Scripts tell "not up" from "broken" by the number."""
    done = checkout.run("sandbox", "status", "--json")
    assert done.returncode == 7
    assert json.loads(done.stdout)["status"] == "down"


def test_status_tells_processes_memory_and_addresses(checkout: Checkout) -> None:
    """The memory that issue 3 bounds, and every address, come from here."""
    record = checkout.up()
    found = json.loads(checkout.run("sandbox", "status", "--json").stdout)
    assert found["status"] == "up"
    assert found["addresses"] == record["addresses"]
    assert [process["name"] for process in found["processes"]] == list(PROCESSES)
    assert all(process["alive"] and process["residentBytes"] > 0 for process in found["processes"])
    assert found["residentBytes"] == sum(process["residentBytes"] for process in found["processes"])
    text = checkout.run("sandbox", "status").stdout
    assert all(name in text for name in (*PROCESSES, *record["addresses"].values()))


def test_env_without_a_sandbox_fails_in_eval_too(checkout: Checkout) -> None:
    """`eval ""` succeeds: a script would go on to the next line, `pulumi up`, on the real AWS."""
    done = checkout.run("sandbox", "env")
    assert (done.returncode, done.stdout) == (7, "false\n")
    assert "lockstep sandbox up" in done.stderr
    script = f"set -e; eval {shlex.quote(done.stdout)}; echo went on"
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout == ""


def test_env_and_unset_give_the_shell_back_as_it_was(checkout: Checkout) -> None:
    """A shell that keeps dummy keys, or loses its profile, fails on AWS, or works in another account."""
    checkout.up()
    script = (
        f'export -p > before; eval "$({SANDBOX} env)"; eval "$({SANDBOX} env)"; export -p > during; '
        f'eval "$({SANDBOX} env --unset)"; export -p > after; cmp before after; ! cmp -s before during'
    )
    done = shell(
        checkout,
        script,
        PATH=f"{VENV_BIN}:{os.environ['PATH']}",
        AWS_PROFILE="it's mine",
        AWS_ACCESS_KEY_ID='$(false) `false` "\\',
        PULUMI_HOME="a\nb",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_proxies_profiles_and_endpoints_of_the_caller_do_not_reach_the_sandbox(checkout: Checkout) -> None:
    """A company's HTTP_PROXY, or an AWS_ENDPOINT_URL left over, must not decide whether the sandbox starts."""
    env = checkout.environment(
        HTTP_PROXY="http://127.0.0.1:9",
        http_proxy="http://127.0.0.1:9",
        AWS_PROFILE="absent",
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        AWS_ENDPOINT_URL_ROUTE_53="http://127.0.0.1:9",
        PULUMI_BACKEND_URL="file:///nonexistent",
        PULUMI_CONFIG_PASSPHRASE="other",
        PYTHONDONTWRITEBYTECODE="1",
    )
    checkout.up(env=env)
    for process in checkout.record()["processes"]:
        environment = Path(f"/proc/{process['pid']}/environ").read_text()
        assert "127.0.0.1:9" not in environment
        assert "AWS_PROFILE" not in environment


def test_a_state_folder_that_cannot_be_made_is_named(checkout: Checkout) -> None:
    """The message has to say which folder, and which variable moves it."""
    env = checkout.environment(LOCKSTEP_SANDBOX_HOME=str(checkout.root / "absent" / "state"))
    done = checkout.run("sandbox", "up", env=env)
    assert done.returncode == 3
    assert str(checkout.root / "absent") in done.stderr
    assert "LOCKSTEP_SANDBOX_HOME" in done.stderr


def test_a_folder_with_other_files_is_neither_used_nor_removed(checkout: Checkout) -> None:
    """LOCKSTEP_SANDBOX_HOME=$HOME must not cost a home directory."""
    mine = checkout.root / "mine"
    mine.mkdir()
    (mine / "thesis").write_text("irreplaceable")
    for command in ("up", "down"):
        done = checkout.run("sandbox", command, env=checkout.environment(LOCKSTEP_SANDBOX_HOME=str(mine)))
        assert done.returncode == 3
        assert "thesis" in done.stderr
    assert [path.name for path in mine.iterdir()] == ["thesis"]


@pytest.fixture
def mounted(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A small file system of its own, mounted with the options that the test gives."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("mounted", ["size=4k", "size=16k", "size=32k"], indirect=True)
def test_a_full_disk_is_said_and_nothing_stays(checkout: Checkout, mounted: Path) -> None:
    """With the disk full the sandbox can't keep its record; a half one would be unmanageable."""
    full = Checkout(root=checkout.root, home=mounted / "state")
    done = full.run("sandbox", "up")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "no space left on device" in done.stderr.lower()
    assert full.left_over() == []
    assert list(mounted.iterdir()) == []


@pytest.mark.parametrize("mounted", ["ro"], indirect=True)
def test_a_read_only_disk_is_said_and_nothing_stays(checkout: Checkout, mounted: Path) -> None:
    """A read-only checkout is common in CI; the message has to say what can't be written."""
    read_only = Checkout(root=checkout.root, home=mounted / "state")
    done = read_only.run("sandbox", "up")
    assert done.returncode == 5, done.stdout + done.stderr
    assert f"Read-only file system: {read_only.home}" in done.stderr
    assert read_only.left_over() == []


def test_a_site_without_its_stack_file_is_refused(checkout: Checkout) -> None:
    """A stack without its file would come up with no region, and fail much later."""
    (checkout.root / "Pulumi.secondary.yaml").unlink()
    done = checkout.run("sandbox", "up")
    assert done.returncode == 3
    assert "Pulumi.secondary.yaml" in done.stderr
    assert checkout.left_over() == []


def test_a_zone_that_the_api_refuses_leaves_nothing(checkout: Checkout) -> None:
    """Route 53 refuses some names that look right; it does when the API is up already, and then that has to go."""
    project = Project(root=checkout.root, zone="bad..zone", stacks=("primary",))
    with pytest.raises(FailedUnchangedError, match=r"bad\.\.zone"):
        lifecycle.up(project, checkout.home, Ports(), lambda _: None)
    assert checkout.left_over() == []


def test_folders_with_special_characters_work(tmp_path: Path) -> None:
    """The Pulumi CLI decodes the backend's URL: unless encoded, a blank, % or # in a path leads elsewhere."""
    root = tmp_path / "it's 50% of #1"
    root.mkdir()
    made = make(root, root / ".sandbox")
    try:
        made.up()
        assert list(made.home.glob("backend/.pulumi/stacks/lockstep/primary.json"))
    finally:
        assert made.run("sandbox", "down").returncode == 0
    assert made.left_over() == []


def test_without_modules_of_the_sandbox_the_remedy_is_make_setup(checkout: Checkout, tmp_path: Path) -> None:
    """The product is installed without moto; a ModuleNotFoundError would look like a defect."""
    blocker = tmp_path / "blocked"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text("import sys\nsys.modules['moto'] = None\n")
    done = checkout.run("sandbox", "up", env=checkout.environment(PYTHONPATH=str(blocker)))
    assert done.returncode == 3
    assert "moto" in done.stderr
    assert "make setup" in done.stderr


def test_elsewhere_than_on_linux_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a Mac the product works and the sandbox doesn't; a missing /proc would be no explanation."""
    monkeypatch.setattr(sys, "platform", "darwin")
    for command in (lifecycle.status, lifecycle.current_state, lambda home: lifecycle.down(home, print)):
        with pytest.raises(InvalidInputError, match="Linux only, and this is darwin"):
            command(tmp_path)
