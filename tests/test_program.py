"""The program of the three stacks, under Pulumi's mocks."""

import json
import runpy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from lockstep.config import stack_files
from lockstep.deployment_record import DeploymentRecord, InProgress, Stage
from tests.components.recording import ACCOUNT, Recording, run

ROOT = Path(__file__).parents[1]
SITES = {"primary": "eu-west-1", "secondary": "eu-central-1"}
STACKS = (*SITES, "global")
PROVIDER = "pulumi:providers:aws"


def site_outputs(site: str) -> dict[str, Any]:
    """What the stack of a site has exported before."""
    bucket = f"orders-packages-{ACCOUNT}-{SITES[site]}"
    return {
        "region": SITES[site],
        "bucketName": bucket,
        "bucketArn": f"arn:aws:s3:::{bucket}",
        "albDnsName": f"{site}.elb.amazonaws.com",
        "albZoneId": "ZLB",
        "drainAlarmName": f"switch-in-{site}",
    }


def switch_in(recording: Recording, site: str) -> Mapping[str, Any]:
    """The drain switch that the stack of `site` declares."""
    return recording.one("aws:cloudwatch/metricAlarm:MetricAlarm", f"orders-{site}-drain-switch-alarm").inputs


BOTH = {site: site_outputs(site) for site in SITES}


def program() -> None:
    """The program as the engine's language host runs it."""
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


def bring_up(
    stack: str, root: Path = ROOT, *, sites: Mapping[str, Mapping[str, Any]] = BOTH, preview: bool = False
) -> Recording:
    """One stack declared, from the configuration in `root`."""
    return run(program, root=root, stack=stack, sites=sites, preview=preview)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the committed configuration."""
    for name in stack_files(SITES):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def set_default(root: Path, key: str, value: Any) -> None:
    """Sets a shared value in Pulumi.yaml."""
    file = root / "Pulumi.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"][f"lockstep:{key}"]["default"] = value
    file.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_is_declared_under_one_provider_in_its_own_region(stack: str, preview: bool) -> None:
    """A region from the environment would put a site where nobody looks for it."""
    recording = bring_up(stack, preview=preview)
    provider = recording.one(PROVIDER)
    assert provider.inputs["region"] == (SITES | {"global": "eu-north-1"})[stack]
    assert len(recording.managed) >= 9
    assert all(resource.provider.startswith(f"{provider.urn}::") for resource in recording.managed)


@pytest.mark.parametrize("stack", STACKS)
def test_everything_is_tagged_with_application_site_and_manager(stack: str) -> None:
    """Costs and clean-up go by tags; commands act on nothing that isn't tagged as theirs."""
    tags = json.loads(bring_up(stack).one(PROVIDER).inputs["defaultTags"])["tags"]
    assert tags == {
        "lockstep:application": "orders",
        "lockstep:site": stack,
        "lockstep:managed-by": "pulumi",
    }


@pytest.mark.parametrize("site", SITES)
def test_a_site_declares_nothing_outside_its_region(site: str) -> None:
    """Losing one region would then break a part of the other site."""
    assert not any("region" in resource.inputs for resource in bring_up(site).managed)


def test_both_sites_are_the_same_but_for_their_values() -> None:
    """The site that traffic moves to would lack something that nobody tried there."""
    shapes = []
    for site in SITES:
        recording = bring_up(site)
        shapes.append(
            sorted((one.type, one.name.replace(site, "SITE"), sorted(one.inputs)) for one in recording.managed)
        )
    assert len(shapes[0]) > 30
    assert shapes[0] == shapes[1]


def test_a_site_exports_the_documented_outputs() -> None:
    """The joining stack, the CLI and whoever else reads them would find nothing."""
    outputs = bring_up("primary").stack_outputs
    assert outputs == {
        "region": "eu-west-1",
        "bucketName": f"orders-packages-{ACCOUNT}-eu-west-1",
        "bucketArn": f"arn:aws:s3:::orders-packages-{ACCOUNT}-eu-west-1",
        "siteDomain": "primary.orders.example.com",
        "albDnsName": "orders-primary-alb.elb.amazonaws.com",
        "albZoneId": "ZLB",
        "fleetName": "orders-primary-group-1234567",
        "launchTemplateId": "orders-primary-template-id",
        "drainAlarmName": "lockstep-orders-drain-secondary",
        "vpcId": "orders-primary-vpc-id",
        "privateRouteTableIds": ["orders-primary-private-id"],
        "instanceGroupId": "orders-primary-instances-id",
    }


def test_the_joining_stack_exports_the_documented_outputs() -> None:
    """As above."""
    assert bring_up("global").stack_outputs == {
        "appDomain": "orders.example.com",
        "zoneId": "Z123",
        "healthCheckIds": {site: f"orders-global-{site}-id" for site in SITES},
        "recordNames": {site: f"{site}.orders.example.com" for site in SITES},
    }


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_has_one_contract_with_its_outputs_in_it(stack: str) -> None:
    """Policies see no other stack's values but through contracts."""
    recording = bring_up(stack)
    contract = recording.one(f"lockstep:contract:{'GlobalContract' if stack == 'global' else 'SiteContract'}")
    outputs = recording.outputs[contract.urn]
    assert outputs == contract.inputs
    assert recording.stack_outputs.items() <= outputs.items()


@pytest.mark.parametrize(("site", "peer"), [("primary", "eu-central-1"), ("secondary", "eu-west-1")])
def test_a_sites_contract_names_its_peers_region(site: str, peer: str) -> None:
    """Nothing would show that a site's packages are to be in another region."""
    contract = bring_up(site).one("lockstep:contract:SiteContract").inputs
    assert (contract["peerRegion"], contract["replicaBucketRegion"]) == (peer, peer)
    assert (contract["rtoSeconds"], contract["rpoSeconds"]) == (120, 60)


def test_the_joining_contract_names_what_it_got_from_each_site() -> None:
    """Policies couldn't prove that a bucket's copy is in another region: an S3 ARN names none."""
    contract = bring_up("global").one("lockstep:contract:GlobalContract").inputs
    assert contract["regions"] == SITES
    assert contract["bucketNames"] == {site: site_outputs(site)["bucketName"] for site in SITES}
    assert contract["siteDomains"] == {site: f"{site}.orders.example.com" for site in SITES}


def test_packages_are_replicated_between_the_sites_buckets_in_their_regions() -> None:
    """A release that was published to one region only would be lost with it."""
    configs = bring_up("global").of("aws:s3/bucketReplicationConfig:BucketReplicationConfig")
    assert {config.inputs["bucket"]: config.inputs["region"] for config in configs} == {
        site_outputs(site)["bucketName"]: region for site, region in SITES.items()
    }


def test_records_point_at_the_sites_balancers() -> None:
    """A site's own name would answer with the other site."""
    records = bring_up("global").of("aws:route53/record:Record")
    aliases = {record.inputs["name"]: record.inputs["aliases"][0] for record in records if "aliases" in record.inputs}
    assert {name: alias["name"] for name, alias in aliases.items()} == {
        f"{site}.orders.example.com": f"{site}.elb.amazonaws.com" for site in SITES
    }


def test_the_switch_of_a_site_is_in_its_peers_region_and_joins_its_check() -> None:
    """A switch in the region that is lost can't be thrown when it is needed; the wrong site's drains the last one."""
    alarms = {site: switch_in(bring_up(site), site) for site in SITES}
    assert {site: alarm["dimensions"] for site, alarm in alarms.items()} == {
        "primary": {"Site": "secondary"},
        "secondary": {"Site": "primary"},
    }
    recording = bring_up("global")
    for site, peer in (("primary", "secondary"), ("secondary", "primary")):
        check = recording.one("aws:route53/healthCheck:HealthCheck", f"orders-global-{site}-switch").inputs
        assert check["cloudwatchAlarmName"] == site_outputs(peer)["drainAlarmName"]
        assert check["cloudwatchAlarmRegion"] == SITES[peer]


def test_with_https_both_ends_agree_on_it(project: Path) -> None:
    """Route 53 would take a redirect for a site that serves, or ask where nobody listens."""
    set_default(project, "https", True)
    listeners = bring_up("primary", project).of("aws:lb/listener:Listener")
    assert {listener.inputs["port"] for listener in listeners} == {80, 443}
    check = bring_up("global", project).one("aws:route53/healthCheck:HealthCheck", "orders-global-primary-endpoint")
    assert (check.inputs["type"], check.inputs["port"], check.inputs["enableSni"]) == ("HTTPS", 443, True)


def test_contracts_say_how_much_of_the_load_is_ready(project: Path) -> None:
    """Nothing would judge whether a site carries what a lost peer sends it."""
    set_default(project, "release", "1.2.3")
    fleet = yaml.safe_load((project / "Pulumi.yaml").read_text())["config"]["lockstep:fleet"]["default"]
    set_default(project, "fleet", fleet | {"instances": 3, "capacity": 60})
    site = bring_up("primary", project).one("lockstep:contract:SiteContract").inputs
    assert (site["readyInstances"], site["loadInstances"]) == (3, 5)
    outputs = {name: values | {"release": "1.2.3"} for name, values in BOTH.items()}
    joint = bring_up("global", project, sites=outputs).one("lockstep:contract:GlobalContract").inputs
    assert (joint["readyInstances"], joint["loadInstances"]) == ({"primary": 3, "secondary": 3}, 5)


def test_instances_are_wanted_as_soon_as_there_is_a_release(project: Path) -> None:
    """A site would have a release and nothing that runs it, or instances with nothing to run."""
    group = "aws:autoscaling/group:Group"
    assert bring_up("primary", project).one(group).inputs["desiredCapacity"] == 0
    set_default(project, "release", "1.2.3")
    recording = bring_up("primary", project)
    assert recording.one(group).inputs["desiredCapacity"] == 2
    assert recording.stack_outputs["release"] == "1.2.3"
    assert recording.one("lockstep:contract:SiteContract").inputs["release"] == "1.2.3"


def test_the_balancer_and_route_53_check_the_same_path(project: Path) -> None:
    """A release would fail one check and not the other: errors that move no traffic."""
    set_default(project, "healthCheck", {"path": "/ready", "interval": 10, "threshold": 3})
    targets = bring_up("primary", project).one("aws:lb/targetGroup:TargetGroup")
    endpoint = bring_up("global", project).one("aws:route53/healthCheck:HealthCheck", "orders-global-primary-endpoint")
    assert targets.inputs["healthCheck"]["path"] == endpoint.inputs["resourcePath"] == "/ready"


def test_a_sites_packages_are_kept_and_logged_as_config_says(project: Path) -> None:
    """A key that nothing reads would be believed."""
    set_default(project, "packages", {"noncurrentDays": 11, "accessLogs": True, "accessLogDays": 12})
    site = bring_up("secondary", project)
    days = {
        str(rule["id"]): rule.get("noncurrentVersionExpiration", {}).get("noncurrentDays", rule.get("expiration"))
        for lifecycle in site.of("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
        for rule in lifecycle.inputs["rules"]
    }
    assert days == {"expire-noncurrent-versions": 11, "expire-logs": {"days": 12}}
    logging = site.one("aws:s3/bucketLogging:BucketLogging").inputs
    policies = {each.inputs["bucket"]: each.inputs["policy"] for each in site.of("aws:s3/bucketPolicy:BucketPolicy")}
    admitted = json.loads(policies[logging["targetBucket"]])["Statement"][1]
    assert admitted["Condition"]["ArnLike"] == {"aws:SourceArn": f"arn:aws:s3:::{logging['bucket']}"}
    assert admitted["Resource"].endswith(f"{logging['targetBucket']}/{logging['targetPrefix']}*")


@pytest.mark.parametrize("stack", STACKS)
def test_protection_can_be_taken_off_for_a_teardown_and_only_so(project: Path, stack: str) -> None:
    """A destroy by mistake would go through, or a teardown never would."""
    assert any(resource.protect for resource in bring_up(stack, project).managed)
    set_default(project, "protect", False)
    recording = bring_up(stack, project)
    assert not any(resource.protect for resource in recording.managed)
    if stack != "global":
        assert recording.one("aws:lb/loadBalancer:LoadBalancer").inputs["enableDeletionProtection"] is False
        assert recording.one("aws:s3/bucket:Bucket").inputs["forceDestroy"] is True


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("stack", STACKS)
def test_a_bad_configuration_ends_before_anything_is_declared(project: Path, stack: str, preview: bool) -> None:
    """AWS would refuse it half way through an update."""
    set_default(project, "ttl", 0)
    set_default(project, "application", "Orders")
    kept = Recording()
    with pytest.raises(pulumi.RunError) as caught:
        run(program, root=project, stack=stack, sites=BOTH, preview=preview, recording=kept)
    for part in ("2 problems", "lockstep:ttl", "lockstep:application", "Pulumi.yaml, line"):
        assert part in str(caught.value)
    assert [resource.type for resource in kept.resources] == ["pulumi:pulumi:Stack"]


def test_text_where_an_object_belongs_is_refused_like_any_other_value(project: Path) -> None:
    """`pulumi config set` without `--path` writes text: reading it would end in a traceback."""
    file = project / "Pulumi.primary.yaml"
    file.write_text(file.read_text() + "  lockstep:fleet: two of them\n")
    with pytest.raises(pulumi.RunError, match="an object with image, instanceTypes, instances, bakeSeconds"):
        bring_up("primary", project)


def test_a_stack_that_is_no_site_is_refused_with_the_names_of_all() -> None:
    """A misspelt stack would be built as something else."""
    with pytest.raises(pulumi.RunError, match="one of primary, secondary, global"):
        bring_up("tertiary")


def test_an_update_of_the_joining_stack_before_its_sites_declares_nothing() -> None:
    """The application's name would point at nothing."""
    kept = Recording()
    with pytest.raises(pulumi.RunError, match="pulumi up -s secondary"):
        run(program, root=ROOT, stack="global", sites=BOTH | {"secondary": {}}, recording=kept)
    assert [resource.type for resource in kept.resources] == ["pulumi:pulumi:Stack"]


def test_a_preview_of_the_joining_stack_before_its_sites_shows_everything() -> None:
    """Nobody could review a new pair, with its policies, before it exists."""
    recording = bring_up("global", sites={site: {} for site in SITES}, preview=True)
    whole = bring_up("global", preview=True)
    assert sorted(one.urn for one in recording.managed) == sorted(one.urn for one in whole.managed)
    assert len(recording.warnings) == 1


@pytest.mark.parametrize("more", [{"tertiary": "eu-west-3"}, {"tertiary": "eu-west-3", "quaternary": "eu-west-2"}])
def test_a_site_more_joins_with_a_name_and_a_file(project: Path, more: dict[str, str]) -> None:
    """More than two sites would be a rewrite."""
    regions = SITES | more
    names = list(regions)
    set_default(project, "sites", names)
    for number, (name, region) in enumerate(more.items(), start=3):
        text = f"config: {{'lockstep:region': {region}, 'lockstep:cidr': 10.{number}0.0.0/16}}\n"
        (project / f"Pulumi.{name}.yaml").write_text(text)
    outputs: dict[str, dict[str, Any]] = {}
    # The list is a ring: what is declared in a site for the one before it has to be all of what `global` looks for.
    for before, name in zip([names[-1], *names], names, strict=False):
        recording = bring_up(name, project)
        peer = names[(names.index(name) + 1) % len(names)]
        contract = recording.one("lockstep:contract:SiteContract").inputs
        assert (contract["peerRegion"], contract["replicaBucketRegion"]) == (regions[peer], regions[peer])
        alarm = recording.one("aws:cloudwatch/metricAlarm:MetricAlarm", f"orders-{name}-drain-switch-alarm").inputs
        assert alarm["dimensions"] == {"Site": before}
        outputs[name] = dict(recording.stack_outputs)
    joint = bring_up("global", project, sites=outputs)
    assert set(joint.stack_outputs["healthCheckIds"]) == set(names)
    for name in names:
        check = joint.one("aws:route53/healthCheck:HealthCheck", f"orders-global-{name}-switch").inputs
        peer = names[(names.index(name) + 1) % len(names)]
        assert check["cloudwatchAlarmName"] == f"lockstep-orders-drain-{name}" == outputs[peer]["drainAlarmName"]
        assert check["cloudwatchAlarmRegion"] == regions[peer]
    weighted = [one.inputs for one in joint.of("aws:route53/record:Record") if "setIdentifier" in one.inputs]
    assert {record["setIdentifier"] for record in weighted} == set(names)
    replicated = {
        (config.inputs["bucket"], rule["destination"]["bucket"])
        for config in joint.of("aws:s3/bucketReplicationConfig:BucketReplicationConfig")
        for rule in config.inputs["rules"]
    }
    assert replicated == {
        (outputs[source]["bucketName"], outputs[target]["bucketArn"])
        for source in names
        for target in names
        if source != target
    }


def test_flow_logs_and_peering_are_there_only_where_asked_for(project: Path) -> None:
    """A site that nobody configured would cost more; one that was would lack them."""
    flow_log, connection = "aws:ec2/flowLog:FlowLog", "aws:ec2/vpcPeeringConnection:VpcPeeringConnection"
    assert not bring_up("primary").has(flow_log)
    assert not bring_up("global").has(connection)
    set_default(project, "network", {"flowLogDays": 30})
    assert bring_up("primary", project).one("aws:cloudwatch/logGroup:LogGroup").inputs["retentionInDays"] == 30


def with_record(root: Path, record: DeploymentRecord, release: str) -> Recording:
    """Stack primary, wanting `release`, in a region with `record`."""
    set_default(root, "release", release)
    kept = Recording(parameters={"/lockstep/orders/deployment": record.model_dump_json(by_alias=True)})
    return run(program, root=root, stack="primary", sites=BOTH, recording=kept)


SETTLED = (
    DeploymentRecord().settle("1.0.0", "2026-01-01T00:00:00Z", SITES).settle("1.1.0", "2026-01-02T00:00:00Z", SITES)
)


@pytest.mark.parametrize(("release", "words"), [("1.0.0", "older than 1.1.0"), ("", "never a deletion")])
def test_a_checkout_that_is_behind_the_record_declares_nothing(project: Path, release: str, words: str) -> None:
    """A checkout that is a day old would undo a deployment, or take all instances away."""
    with pytest.raises(pulumi.RunError, match=words):
        with_record(project, SETTLED, release)


@pytest.mark.parametrize("release", ["1.1.0", "1.2.0"])
def test_what_is_settled_and_what_is_new_goes_on(project: Path, release: str) -> None:
    """A merge of a new release is what rolls a site."""
    assert with_record(project, SETTLED, release).one("aws:autoscaling/group:Group").inputs["desiredCapacity"] == 2


def test_a_deployments_own_program_goes_on_and_no_other_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once would roll the fleets against each other."""
    deployment = InProgress(
        id="its-id",
        release_to="1.2.0",
        release_from="1.1.0",
        sites_from=dict.fromkeys(SITES, "1.1.0"),
        versions_from=dict.fromkeys(SITES, 2),
        started_at="2026-01-03T00:00:00Z",
        holder="me@host pid 1",
        stage=Stage.ROLLING,
    )
    record = SETTLED.begin(deployment)
    with pytest.raises(pulumi.RunError, match="me@host pid 1"):
        with_record(project, record, "1.2.0")
    monkeypatch.setenv("LOCKSTEP_DEPLOYMENT", "its-id")
    assert with_record(project, record, "1.2.0").managed


def test_the_fleet_is_rolled_by_hooks_of_the_program() -> None:
    """Without them `pulumi up` changes a template that nothing ever runs."""
    recording = bring_up("primary")
    assert set(recording.hooks) == {"roll-the-fleet", "wait-for-the-fleet"}
