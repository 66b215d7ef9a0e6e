"""A machine, the real process, from its user data to its first answer, or to the reason why there is none."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.checkout import REPOSITORY
from tests.sandbox.machine.bucket import REGION, RELEASE, URL, Bucket, repositories
from tests.sandbox.machine.conftest import StartMachine
from tests.sandbox.machine.machine_process import FACTS, INSTANCE, eventually, way_to_s3
from tests.sandbox.machine.service_files import service_unit, user_data

EXAMPLE = "orders-1.0.0-1.noarch.rpm"


def example() -> bytes:
    return (REPOSITORY / "examples/orders/rpms/1.0.0" / EXAMPLE).read_bytes()


def orders(**changes: Any) -> dict[str, Any]:
    """What the program's fleet gives its instances."""
    return {
        "write_files": [
            {"path": "/etc/dnf/dnf.conf", "append": True, "content": "\nreposdir=/etc/lockstep/repositories\n"}
        ],
        "yum_repo_dir": "/etc/lockstep/repositories",
        "yum_repos": repositories(),
        "packages": ["orders"],
        "runcmd": [["systemctl", "enable", "--now", "orders.service"]],
        **changes,
    }


def test_the_example_application_boots_and_answers_as_its_own_region_and_instance(
    start_machine: StartMachine, bucket: Bucket
) -> None:
    """Without it no release runs in the sandbox at all, however well it was published."""
    bucket.publish({EXAMPLE: example()})
    machine = start_machine(orders()).wait_for("running")
    eventually(lambda: INSTANCE in machine.get("/", 8080)[1], "the application doesn't know its instance")
    status, body = machine.get("/", 8080)
    assert (status, json.loads(body)["version"], json.loads(body)["region"]) == (200, "1.0.0", REGION)
    assert machine.states == ["booting", "running"]
    assert bucket.asked[0].endswith("/repodata/repomd.xml")
    assert not any("/../" in path for path in bucket.asked)


def test_what_was_installed_is_recorded(start_machine: StartMachine, bucket: Bucket) -> None:
    """Whoever looks for what an instance runs would have to guess."""
    bucket.publish({EXAMPLE: example()})
    machine = start_machine(orders()).wait_for("running")
    (package,) = json.loads((machine.root / "var/lib/lockstep/packages.json").read_text())
    assert (package["nevra"], package["version"]) == ("orders-1.0.0-1.noarch", "1.0.0-1")
    assert "Installed: orders-1.0.0-1.noarch" in machine.console


@pytest.mark.parametrize("text", [None, "", "#cloud-config\n", "#cloud-config\n{}\n"])
def test_a_machine_without_anything_to_do_runs(start_machine: StartMachine, text: str | None) -> None:
    """A site without a release has such instances, and they must not look broken."""
    machine = start_machine(text).wait_for("running")
    assert machine.states == ["booting", "running"]


def test_repositories_outside_of_reposdir_are_not_read(start_machine: StartMachine, bucket: Bucket) -> None:
    """An instance would fetch from the distribution's repositories, which a private subnet doesn't reach."""
    bucket.publish({EXAMPLE: example()})
    elsewhere = "https://mirror.example.com/"
    repo = f"[distribution]\nbaseurl={elsewhere}\nenabled=1\nskip_if_unavailable=0\n"
    wanted = orders()
    wanted["write_files"].append({"path": "/etc/yum.repos.d/distribution.repo", "content": repo})
    start_machine(wanted).wait_for("running")
    wanted["write_files"] = wanted["write_files"][1:]
    wanted["yum_repo_dir"] = "/etc/yum.repos.d"
    assert "mirror.example.com isn't S3" in start_machine(wanted).reason


def test_a_disabled_repository_is_not_read(start_machine: StartMachine, bucket: Bucket) -> None:
    """A repository that was switched off would still decide what is installed."""
    bucket.publish({EXAMPLE: example()})
    reason = start_machine(orders(yum_repos=repositories(enabled=False))).reason
    assert "There are no enabled repositories" in reason
    assert bucket.asked == []


def test_files_are_written_in_cloud_inits_order_with_their_modes(start_machine: StartMachine, bucket: Bucket) -> None:
    """Settings would be missing when the service starts, or be overwritten by the package."""
    bucket.publish({EXAMPLE: example()})
    text = "hello\n"
    files = [
        {"path": "/etc/plain", "content": text, "permissions": "0600", "owner": "nobody:nobody"},
        {
            "path": "/etc/packed",
            "content": base64.b64encode(gzip.compress(text.encode())).decode(),
            "encoding": "gz+b64",
        },
        {"path": "/etc/appended", "content": "a"},
        {"path": "/etc/appended", "content": "b", "append": True},
        {"path": "/usr/lib/orders/settings.json", "content": "{}"},
        {
            "path": "/usr/lib/orders/settings.json",
            "content": '{"application": "orders", "version": "deferred", "healthy": true}',
            "defer": True,
        },
    ]
    machine = start_machine(orders(write_files=files, yum_repo_dir="/etc/yum.repos.d")).wait_for("running")
    assert (machine.root / "etc/plain").stat().st_mode & 0o777 == 0o600
    assert (machine.root / "etc/packed").read_text() == text
    assert (machine.root / "etc/appended").read_text() == "ab"
    assert json.loads(machine.get("/", 8080)[1])["version"] == "deferred"


def test_a_service_has_a_clean_environment(start_machine: StartMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that runs here thanks to the developer's shell would fail on AWS."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-developer")
    machine = start_machine(
        user_data(
            service_unit(
                "Environment=COLOUR=red 'SHAPE=a round one'",
                "Environment=NAME=%p",
                "EnvironmentFile=/etc/probe.conf",
                "EnvironmentFile=-/etc/missing.conf",
                command="/usr/bin/python3 /usr/lib/probe/server.py $WORDS --name=${NAME} --file=/etc/probe.conf",
            ),
            others={"/etc/probe.conf": '# a comment\nCOLOUR=blue\nWORDS="one two"\n'},
        )
    ).wait_for("running")
    told = json.loads(machine.get("/", 8080)[1])
    environment = told["environment"]
    assert environment["COLOUR"] == "blue"
    assert environment["SHAPE"] == "a round one"
    assert told["arguments"] == ["one", "two", "--name=probe", f"--file={machine.root}/etc/probe.conf"]
    assert environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] == f"http://{machine.address}:1338"
    assert environment["LISTEN_PID"] == str(told["pid"])
    assert (environment["LISTEN_FDS"], environment["LISTEN_FDNAMES"]) == ("1", "probe.socket")
    assert environment["LOCKSTEP_SANDBOX_PROCESS"].startswith("member:")
    assert not {"AWS_ACCESS_KEY_ID", "HOME", "PYTHONPATH", "VIRTUAL_ENV"} & set(environment)
    assert Path(told["folder"]) == machine.root


def test_a_service_does_not_see_the_hosts_python_packages(start_machine: StartMachine) -> None:
    """A service that imports what only the developer has installed would run here and fail on AWS."""
    program = "import importlib.util\nprint('found', importlib.util.find_spec('yaml'), flush=True)\n"
    unit = service_unit("Type=simple", command="/usr/bin/python3 /usr/lib/probe/look.py")
    machine = start_machine(
        user_data(unit, socket=None, start=("probe.service",), others={"/usr/lib/probe/look.py": program})
    )
    eventually(lambda: "found None" in machine.console, machine.console)


def test_the_metadata_service_is_version_2(start_machine: StartMachine) -> None:
    """An application that asks without a token works here and fails on AWS, or the other way around."""
    machine = start_machine(None).wait_for("running")
    seconds = "X-aws-ec2-metadata-token-ttl-seconds"

    def token(ttl: str = "60", **headers: str) -> tuple[int, str]:
        return machine.get("/latest/api/token", 1338, {seconds: ttl, **headers}, "PUT")

    assert machine.get("/latest/meta-data/instance-id", 1338)[0] == 401
    assert [token(ttl)[0] for ttl in ("0", "1", "21600", "21601", "-1", "x", "")] == [400, 200, 200, 400, 400, 400, 400]
    assert token(**{"X-Forwarded-For": "10.0.0.1"})[0] == 403
    status, value = token()
    assert status == 200
    given = {"X-aws-ec2-metadata-token": value}
    answers = {
        name: machine.get(f"/latest/meta-data/{name}", 1338, given)
        for name in ("instance-id", "placement/region", "placement/availability-zone", "local-ipv4", "ami-id")
    }
    assert answers == {
        "instance-id": (200, INSTANCE),
        "placement/region": (200, REGION),
        "placement/availability-zone": (200, f"{REGION}b"),
        "local-ipv4": (200, "10.1.16.7"),
        "ami-id": (200, FACTS["image_id"]),
    }
    document = json.loads(machine.get("/latest/dynamic/instance-identity/document", 1338, given)[1])
    assert (document["architecture"], document["instanceType"]) == ("arm64", "t4g.small")
    assert machine.get("/latest/meta-data/", 1338, given)[1].split() == [
        "ami-id",
        "instance-id",
        "instance-type",
        "local-ipv4",
        "placement/",
    ]
    assert machine.get("/latest/meta-data/hostname", 1338, given)[0] == 404
    assert machine.get("/latest/meta-data/instance-id", 1338, {"X-aws-ec2-metadata-token": "other"})[0] == 401


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"users": ["default"]}, "the sandbox doesn't support users of cloud-config"),
        ({"runcmd": ["curl http://example.com"]}, "doesn't run `curl http://example.com`"),
        ({"runcmd": ["systemctl start a && true"]}, "no shell for '&'"),
        ({"runcmd": [["systemctl", "mask", "orders"]]}, "doesn't support systemctl mask"),
        ({"runcmd": [["systemctl", "start", "other"]]}, "Unit other.service not found"),
        ({"packages": ["other"]}, "Unable to find a match: other"),
        ({"package_upgrade": True}, "package_upgrade: true"),
        ({"yum_repos": repositories(sslcacert="/x")}, "doesn't support sslcacert of repository lockstep"),
        ({"yum_repos": repositories(("https://mirror.example.com/al2023",))}, "private subnet reaches nothing else"),
        ({"yum_repos": repositories((URL.replace("https", "http"),))}, "fetches over https, not http"),
        (
            {"yum_repos": repositories((URL.replace(REGION, "eu-central-1"),))},
            "a gateway endpoint leads to S3 of its own region, eu-west-1, only",
        ),
    ],
)
def test_a_boot_that_fails_leaves_the_reason_and_the_machine(
    start_machine: StartMachine, bucket: Bucket, changes: dict[str, Any], expected: str
) -> None:
    """An instance that silently does less than on AWS is worse than one that fails: nobody learns of it before AWS."""
    bucket.publish({EXAMPLE: example()})
    machine = start_machine(orders(**changes))
    assert expected in machine.reason
    assert expected in machine.console
    assert machine.process.poll() is None
    with pytest.raises(ConnectionRefusedError):
        machine.get("/", 8080)
    assert machine.stop() == 0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("#!/bin/sh\necho hello\n", "a script"),
        ("## template: jinja\n#cloud-config\n{}\n", "a jinja template"),
        ("Content-Type: multipart/mixed\n", "a MIME message"),
        ("\x1f\ufffd\x08", "gzip data"),
        ("hello", "something else"),
    ],
)
def test_other_kinds_of_user_data_are_refused_by_name(start_machine: StartMachine, text: str, kind: str) -> None:
    """They run on AWS; ignored here, the instance would come up without them and look right."""
    assert f"this is {kind}" in start_machine(text).reason


def test_without_a_way_to_s3_the_reason_is_the_networks(start_machine: StartMachine, bucket: Bucket) -> None:
    """A missing route to the endpoint is the commonest cause of an instance that doesn't come up."""
    bucket.publish({EXAMPLE: example()})
    why = "the route table of its subnet has no route to a gateway endpoint"
    machine = start_machine(orders(), {**way_to_s3(bucket.url), "vpce": None, "why": why})
    assert "Connection timed out" in machine.reason
    assert why in machine.reason
    assert bucket.asked == []


def test_a_bucket_that_refuses_the_endpoint_fails_the_boot(start_machine: StartMachine, bucket: Bucket) -> None:
    """A bucket policy that names another endpoint must show here, and not first on AWS."""
    bucket.publish({EXAMPLE: example()})
    machine = start_machine(orders(), {**way_to_s3(bucket.url), "vpce": "vpce-0f0f0f0f0f0f0f0f0"})
    assert "Status code: 403" in machine.reason
    assert len(bucket.asked) == 1


def test_errors_of_s3_that_pass_are_tried_again(start_machine: StartMachine, bucket: Bucket) -> None:
    """A single 503, which S3 answers when it scales, would cost an instance."""
    bucket.publish({EXAMPLE: example()})
    index = f"/orders-packages/{RELEASE}repodata/repomd.xml"
    bucket.statuses[index] = [503, 500]
    start_machine(orders()).wait_for("running")
    assert bucket.asked.count(index) == 3
