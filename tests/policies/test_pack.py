"""The pack as the engine starts it, and what it says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from lockstep_policies import (
    GROUPS,
    POLICIES,
    backups,
    buckets,
    databases,
    fleets,
    health_checks,
    regions,
    releases,
    rules,
    safeguards,
    traffic,
)
from tests.policies import programs
from tests.policies.cases import rules_named
from tests.policies.harness import configure

PACK = Path(__file__).parents[2] / "policies"
START_SECONDS = 60


@pytest.fixture(scope="module")
def analyzer() -> Iterator[Any]:
    """The pack in a process of its own, as `python -m pulumi.policy` runs it, and a client for it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", "."],
        cwd=PACK,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                grpc.channel_ready_future(channel).result(timeout=START_SECONDS)
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def info(analyzer: Any) -> analyzer_pb2.AnalyzerInfo:
    found: analyzer_pb2.AnalyzerInfo = analyzer.GetAnalyzerInfo(empty_pb2.Empty(), timeout=START_SECONDS)
    return found


def test_the_pack_starts_and_judges_in_its_own_process(analyzer: Any) -> None:
    """An import that prints, or fails without the checkout on the path, would break every preview with the pack."""
    server = _Stub(analyzer)
    configure(server)
    request = programs.traffic_in_preview().request()
    response = analyzer.AnalyzeStack(request, timeout=START_SECONDS)
    assert {item.enforcementLevel for item in response.diagnostics} == {analyzer_pb2.ADVISORY}
    damaged = programs.traffic()
    del damaged["primary-member"].props["healthCheckId"]
    del damaged["primary-member"].sources["healthCheckId"]
    response = analyzer.AnalyzeStack(damaged.request(), timeout=START_SECONDS)
    assert [item.urn for item in response.diagnostics] == [damaged["primary-member"].urn]
    assert [item.enforcementLevel for item in response.diagnostics] == [analyzer_pb2.MANDATORY]


class _Stub:
    """The client in the shape that the harness expects of a servicer."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    def GetAnalyzerInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802  the protocol's name
        return self._stub.GetAnalyzerInfo(empty_pb2.Empty(), timeout=START_SECONDS)

    def Configure(self, request: Any, _context: Any) -> Any:  # noqa: N802  the protocol's name
        return self._stub.Configure(request, timeout=START_SECONDS)


def test_groups_are_mandatory_and_what_is_not_proved_is_advisory(info: analyzer_pb2.AnalyzerInfo) -> None:
    """A pack without a level is advisory for the SDK: it would let everything pass."""
    levels = {policy.name: policy.enforcementLevel for policy in info.policies}
    assert levels == {
        "traffic-fails-over": analyzer_pb2.MANDATORY,
        "packages-in-two-regions": analyzer_pb2.MANDATORY,
        "databases-outlive-their-region": analyzer_pb2.MANDATORY,
        "backups-leave-their-region": analyzer_pb2.MANDATORY,
        "fleets-carry-the-load": analyzer_pb2.MANDATORY,
        "sites-run-one-release": analyzer_pb2.MANDATORY,
        "sites-keep-to-their-region": analyzer_pb2.MANDATORY,
        "safeguards-are-on": analyzer_pb2.MANDATORY,
        "not-proved-yet": analyzer_pb2.ADVISORY,
    }
    # Last, because it reports what the groups before it left open.
    assert info.policies[-1].name == "not-proved-yet"


def test_every_policy_says_what_to_do(info: analyzer_pb2.AnalyzerInfo) -> None:
    """Whoever meets a policy in a failed preview has only these texts."""
    for policy in info.policies:
        assert policy.severity != analyzer_pb2.POLICY_SEVERITY_UNSPECIFIED
        assert policy.displayName
        assert policy.description.endswith(".")
        assert policy.remediation_steps
        assert policy.url.startswith("https://")
        assert "disaster-recovery" in policy.tags
        assert policy.policy_type == analyzer_pb2.POLICY_TYPE_STACK


def test_the_list_of_rules_has_every_rule_and_no_other() -> None:
    """Exemptions name rules, and the documentation lists them from here."""
    modules = {
        "traffic": (traffic, health_checks),
        "buckets": (buckets,),
        "databases": (databases,),
        "backups": (backups,),
        "fleet": (fleets,),
        "releases": (releases,),
        "regions": (regions,),
        "safeguards": (safeguards,),
    }
    assert {group: set(listed) for group, listed in rules.RULES.items()} == {
        group: rules_named(*parts) for group, parts in modules.items()
    }
    assert set(GROUPS.values()) == set(rules.RULES)
    assert [policy.name for policy in POLICIES if policy.name not in GROUPS] == ["not-proved-yet"]


def test_the_pack_needs_neither_the_program_nor_pulumi_aws() -> None:
    """It is used from other projects; and importing pulumi_aws would add a second to every preview."""
    code = (
        "import sys, lockstep_policies\nprint([name for name in sys.modules if name.split('.')[0] in {'pulumi_aws', "
        "'components', 'lockstep', 'sandbox'}])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=PACK, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_project_file_pins_runtime_and_version() -> None:
    """The SDK reports version 0.0.1 for every pack; without a virtualenv the engine takes whatever Python it finds."""
    project = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text())
    assert project["runtime"] == {"name": "python", "options": {"toolchain": "pip", "virtualenv": "../.venv"}}
    assert project["version"]
    assert project["description"]


def test_the_example_configuration_uses_every_option_and_no_other(info: analyzer_pb2.AnalyzerInfo) -> None:
    """The file is what people copy; an option that is gone makes the engine refuse it."""
    example = json.loads((PACK / "example-config.json").read_text())
    schemas = {policy.name: set(dict(policy.configSchema.properties)) for policy in info.policies}
    assert set(example) == set(schemas)
    for name, values in example.items():
        given = set(values) - {"enforcementLevel"} if isinstance(values, dict) else set()
        assert given == schemas[name], name


def test_the_readme_lists_every_option(info: analyzer_pb2.AnalyzerInfo) -> None:
    """An option that isn't documented doesn't exist for its users."""
    readme = (PACK / "README.md").read_text()
    for policy in info.policies:
        assert f"`{policy.name}`" in readme
        for option in dict(policy.configSchema.properties):
            assert f"`{option}`" in readme, option
