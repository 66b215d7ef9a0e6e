"""The environment that points at the sandbox, and back."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from sandbox import environment
from sandbox.processes import ProcessId
from sandbox.state import Member, SandboxState

USER = {"PATH": "/usr/bin:/bin", "HOME": "/home/me", "EDITOR": "vi"}


@pytest.fixture
def state(tmp_path: Path) -> SandboxState:
    """A sandbox's record, with a project whose tools `make setup` has built."""
    for tool in (".venv/bin/python", ".tools/bin/pulumi"):
        (tmp_path / "project" / tool).parent.mkdir(parents=True)
        (tmp_path / "project" / tool).touch()
    return SandboxState(
        home=tmp_path / "state",
        project=tmp_path / "project",
        started_at=0.0,
        addresses={
            "api": "http://127.0.0.1:4566",
            "apiPlain": "http://127.0.0.1:4567",
            "provider": "127.0.0.1:4777",
            "dns": "127.0.0.1:4053",
            "gateway": "http://127.0.0.1:4080",
        },
        members=(Member(name="supervisor", process=ProcessId(1, 1), log="log/supervisor.log"),),
        zone="example.com",
        stacks=("primary", "global"),
        boot_id="boot",
        speed=1.0,
    )


def test_boto3_and_pulumi_are_pointed_at_the_sandbox(state: SandboxState) -> None:
    """Any one of these missing sends a command to the real AWS, to Pulumi's service, or to a download."""
    found = environment.applied(state, USER)
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert found["AWS_ACCESS_KEY_ID"] == found["AWS_SECRET_ACCESS_KEY"] == "sandbox"
    assert found["AWS_EC2_METADATA_DISABLED"] == "true"
    assert found["PULUMI_BACKEND_URL"] == f"file://{state.home}/backend?metadata=skip"
    assert found["PULUMI_CONFIG_PASSPHRASE"] == ""
    assert found["PULUMI_DEBUG_PROVIDERS"] == "aws:4777"
    assert found["PULUMI_HOME"] == f"{state.home}/pulumi"
    assert found["PULUMI_SKIP_UPDATE_CHECK"] == "true"
    assert found["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"


def test_requests_to_the_sites_names_go_through_the_gateway(state: SandboxState) -> None:
    """No resolver of this machine knows those names: without the proxy a deployment can't see which release answers."""
    assert environment.applied(state, USER)["LOCKSTEP_HTTP_PROXY"] == "http://127.0.0.1:4080"
    assert environment.applied(state, USER)["LOCKSTEP_NAME_SERVER"] == "127.0.0.1:4053"
    before = {**USER, "LOCKSTEP_HTTP_PROXY": "http://mine:3128"}
    assert environment.restored(environment.applied(state, before)) == before


def test_the_projects_own_tools_come_first_on_path(state: SandboxState) -> None:
    """Another pulumi on PATH may be too old, and another python has none of the program's modules."""
    found = environment.applied(state, USER)
    assert found["PATH"] == f"{state.project}/.venv/bin:{state.project}/.tools/bin:/usr/bin:/bin"


def test_without_a_pulumi_of_our_own_that_of_the_path_is_used(state: SandboxState) -> None:
    """`make setup` builds one only where there is none; an empty folder on PATH would only mislead."""
    (state.project / ".tools/bin/pulumi").unlink()
    assert environment.applied(state, USER)["PATH"] == f"{state.project}/.venv/bin:/usr/bin:/bin"


@pytest.mark.parametrize(
    "name",
    [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_ROUTE_53",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "PULUMI_CONFIG_PASSPHRASE_FILE",
        "PYTHONDONTWRITEBYTECODE",
    ],
)
def test_what_would_lead_past_the_sandbox_is_taken_out_and_given_back(state: SandboxState, name: str) -> None:
    """Each of these outranks what points at the sandbox, and so reaches a real account, or slows every run down."""
    before = {**USER, name: "value"}
    during = environment.applied(state, before)
    assert name not in during
    assert environment.restored(during) == before


def test_a_region_of_the_user_stays(state: SandboxState) -> None:
    """Stacks set their region themselves; boto3 by hand needs the user's."""
    assert environment.applied(state, {**USER, "AWS_REGION": "eu-west-1"})["AWS_REGION"] == "eu-west-1"


def test_loopback_is_never_sent_to_a_proxy(state: SandboxState) -> None:
    """boto3 and gRPC ask HTTP_PROXY even for 127.0.0.1, and the company's proxy answers 403."""
    found = environment.applied(state, {**USER, "NO_PROXY": "intranet,localhost"})
    assert found["NO_PROXY"] == found["no_proxy"] == "intranet,localhost,127.0.0.1"
    assert environment.applied(state, USER)["no_proxy"] == "127.0.0.1,localhost"


def test_undoing_gives_back_exactly_what_was_there(state: SandboxState) -> None:
    """A shell that keeps dummy keys makes the next command on AWS fail."""
    before = {**USER, "AWS_ACCESS_KEY_ID": "mine", "PULUMI_HOME": "", "NO_PROXY": "intranet"}
    assert environment.restored(environment.applied(state, before)) == before
    assert environment.restored(before) == before


def test_applying_twice_is_applying_once(state: SandboxState) -> None:
    """A second eval, after the sandbox has restarted on other ports, must not take dummy keys for the user's own."""
    before = {**USER, "AWS_ACCESS_KEY_ID": "mine", "AWS_PROFILE": "work"}
    once = environment.applied(state, before)
    assert environment.applied(state, once) == once
    assert environment.restored(environment.applied(state, once)) == before


def test_what_the_user_changes_meanwhile_survives(state: SandboxState) -> None:
    """A folder put on PATH, or a profile set, after the eval is the user's latest word."""
    during = environment.applied(state, {**USER, "AWS_PROFILE": "work"})
    changed = {**during, "PATH": f"/opt/bin:{during['PATH']}", "AWS_PROFILE": "later", "NEW": "1"}
    assert environment.restored(changed) == {
        **USER,
        "PATH": "/opt/bin:/usr/bin:/bin",
        "AWS_PROFILE": "later",
        "NEW": "1",
    }


def test_every_variable_that_is_set_is_known_to_the_undoing(state: SandboxState) -> None:
    """A variable that only one of the two knows stays in the user's shell for ever."""
    assert set(environment.variables(state, {})) == set(environment.SET)


def test_an_empty_environment_works(state: SandboxState) -> None:
    """`env -i` has no PATH; it must get one without an empty part, which would mean the working folder."""
    found = environment.applied(state, {})
    assert found["PATH"] == f"{state.project}/.venv/bin:{state.project}/.tools/bin"
    assert environment.restored(found) == {}


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("value", ["", "two words", "it's", '"$HOME" `id` $(id) \\', "a\nb", "ü;&|<>*?~#"])
def test_the_script_gives_a_shell_exactly_these_values(shell: str, value: str) -> None:
    """What is eval-ed unquoted is run."""
    before = {"PATH": os.environ["PATH"], "GONE": "x"}
    after = {"PATH": os.environ["PATH"], "VALUE": value}
    script = environment.script(before, after) + "env -0"
    done = subprocess.run([shell, "-c", f"eval {shlex.quote(script)}"], env=before, capture_output=True, check=True)
    found = dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)
    assert found["VALUE"] == value
    assert "GONE" not in found


def test_names_that_no_shell_can_have_are_left_out_of_the_script() -> None:
    """bash exports functions as variables with such names; a line about one is a syntax error that breaks the eval."""
    assert environment.script({"BASH_FUNC_x%%": "() { :; }"}, {"BAD-NAME": "1", "GOOD": "1"}) == "export GOOD=1\n"
