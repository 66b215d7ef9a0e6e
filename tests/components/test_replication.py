"""Replication between the package buckets."""

import json
from typing import Any

import pytest

from components.replication import ReplicatedBucket, Replication, ReplicationArgs
from tests.components.recording import Recording, run

REGIONS = {"primary": "eu-west-1", "secondary": "eu-central-1", "tertiary": "eu-west-3"}
CONFIG = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"


def buckets(*sites: str) -> list[ReplicatedBucket]:
    """The buckets of these sites."""
    return [
        ReplicatedBucket(site=site, region=REGIONS[site], name=f"bucket-{site}", arn=f"arn:aws:s3:::bucket-{site}")
        for site in sites
    ]


def replication(*sites: str) -> Recording:
    """Replication between these sites."""

    def program() -> None:
        Replication("orders", ReplicationArgs(buckets=buckets(*sites)))

    return run(program)


def copied(recording: Recording) -> set[tuple[str, str, str]]:
    """Source bucket, destination bucket and prefix of every rule."""
    return {
        (config.inputs["bucket"], rule["destination"]["bucket"].rpartition(":")[2], rule["filter"]["prefix"])
        for config in recording.of(CONFIG)
        for rule in config.inputs["rules"]
    }


@pytest.mark.parametrize("sites", [("primary", "secondary"), ("primary", "secondary", "tertiary")])
def test_every_bucket_is_copied_to_every_other_one(sites: tuple[str, ...]) -> None:
    """Replicas aren't replicated again: a site would lack what was published to another."""
    assert copied(replication(*sites)) == {
        (f"bucket-{one}", f"bucket-{other}", prefix)
        for one in sites
        for other in sites
        if one != other
        for prefix in ("releases/", "packages/")
    }


def test_leases_stay_in_their_region() -> None:
    """Two deployments at once could each find the other region's lease in its own."""
    assert not any(
        prefix.startswith("leases") or not prefix for _, _, prefix in copied(replication(*list(REGIONS)[:2]))
    )


def rules() -> list[dict[str, Any]]:
    """All rules between two sites."""
    found = [rule for config in replication("primary", "secondary").of(CONFIG) for rule in config.inputs["rules"]]
    assert found
    return found


def test_a_deletion_does_not_reach_the_other_sites() -> None:
    """Deleting a release by mistake in one region would delete it everywhere."""
    assert all(rule["deleteMarkerReplication"] == {"status": "Disabled"} for rule in rules())


def test_rules_are_enabled() -> None:
    """A rule that is there but off copies nothing, and looks fine in a list."""
    assert all(rule["status"] == "Enabled" for rule in rules())


def test_the_rules_of_a_bucket_have_names_and_priorities_of_their_own() -> None:
    """S3 refuses a configuration in which two rules have the same."""
    for config in replication("primary", "secondary", "tertiary").of(CONFIG):
        for part in ("id", "priority"):
            values = [rule[part] for rule in config.inputs["rules"]]
            assert len(set(values)) == len(values) == 4


def test_each_configuration_is_declared_in_its_buckets_region() -> None:
    """The call would go to the region of the stack's provider, and fail."""
    regions = {
        config.inputs["bucket"]: config.inputs["region"] for config in replication("primary", "secondary").of(CONFIG)
    }
    assert regions == {"bucket-primary": "eu-west-1", "bucket-secondary": "eu-central-1"}


def test_the_role_may_do_what_replication_needs_on_these_buckets_and_nothing_else() -> None:
    """Objects would fail one by one, silently; or the role could read, write or delete elsewhere."""
    recording = replication("primary", "secondary")
    statements = json.loads(recording.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]
    actions = {action for statement in statements for action in statement["Action"]}
    assert actions == {
        "s3:GetReplicationConfiguration",
        "s3:ListBucket",
        "s3:GetObjectVersionForReplication",
        "s3:GetObjectVersionAcl",
        "s3:GetObjectVersionTagging",
        "s3:ReplicateObject",
        "s3:ReplicateTags",
    }
    resources = {resource for statement in statements for resource in statement["Resource"]}
    assert all(resource.startswith("arn:aws:s3:::bucket-") for resource in resources)
    assert not any("/leases" in resource or resource.endswith("bucket-primary/*") for resource in resources)
    (trust,) = json.loads(recording.one("aws:iam/role:Role").inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "s3.amazonaws.com"}


def test_a_configuration_waits_for_the_roles_rights() -> None:
    """S3 takes a role without rights, and what is published in the meantime fails to replicate for ever."""
    recording = replication("primary", "secondary")
    policy = recording.one("aws:iam/rolePolicy:RolePolicy")
    assert all(policy.urn in config.dependencies for config in recording.of(CONFIG))


def test_one_bucket_alone_is_refused() -> None:
    """A site would count as replicated with nowhere to replicate to."""
    with pytest.raises(ValueError, match="two buckets"):
        ReplicationArgs(buckets=buckets("primary"))


def test_two_buckets_of_one_region_are_refused() -> None:
    """Losing that region would take both."""
    with pytest.raises(ValueError, match="one region"):
        ReplicationArgs(buckets=buckets("primary", "primary"))


ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def test_every_rule_is_measured_without_time_control() -> None:
    """An object that isn't replicated would be noticed when its region is needed; time control is paid by the GB."""
    for rule in rules():
        assert rule["destination"]["metrics"] == {"status": "Enabled"}
        assert "replicationTime" not in rule["destination"]


@pytest.mark.parametrize("sites", [("primary", "secondary"), ("primary", "secondary", "tertiary")])
def test_an_alarm_for_every_rule_watches_its_failures_where_they_are_published(sites: tuple[str, ...]) -> None:
    """One failed object lets the sites differ; an alarm in another region, or on another rule's name, sees no data."""
    recording = replication(*sites)
    watched = {
        (
            alarm.inputs["region"],
            alarm.inputs["dimensions"]["SourceBucket"],
            alarm.inputs["dimensions"]["DestinationBucket"],
            alarm.inputs["dimensions"]["RuleId"],
        )
        for alarm in recording.of(ALARM)
    }
    assert watched == {
        (
            config.inputs["region"],
            config.inputs["bucket"],
            rule["destination"]["bucket"].rpartition(":")[2],
            rule["id"],
        )
        for config in recording.of(CONFIG)
        for rule in config.inputs["rules"]
    }
    assert len(recording.of(ALARM)) == len(watched)
    for alarm in recording.of(ALARM):
        said = {name: alarm.inputs[name] for name in ("namespace", "metricName", "statistic", "threshold")}
        assert said == {
            "namespace": "AWS/S3",
            "metricName": "OperationsFailedReplication",
            "statistic": "Sum",
            "threshold": 0,
        }
        assert alarm.inputs["comparisonOperator"] == "GreaterThanThreshold"
        assert (alarm.inputs["period"], alarm.inputs["evaluationPeriods"]) == (300, 1)
        # While nothing is published there is no data.
        assert alarm.inputs["treatMissingData"] == "notBreaching"
        assert "alarmActions" not in alarm.inputs


def test_an_alarm_tells_the_topics_of_its_own_region() -> None:
    """CloudWatch publishes to no topic of another region."""
    topics = {site: f"arn:aws:sns:{region}:123456789012:alarms" for site, region in REGIONS.items()}

    def program() -> None:
        made = [
            ReplicatedBucket(site=b.site, region=b.region, name=b.name, arn=b.arn, alarm_actions=[topics[b.site]])
            for b in buckets("primary", "secondary")
        ]
        Replication("orders", ReplicationArgs(buckets=made))

    for alarm in run(program).of(ALARM):
        (topic,) = alarm.inputs["alarmActions"]
        assert topic.split(":")[3] == alarm.inputs["region"]


def test_more_actions_than_cloudwatch_takes_are_refused() -> None:
    """PutMetricAlarm would refuse them half way through an update."""
    with pytest.raises(ValueError, match="6 alarm actions"):
        ReplicatedBucket(site="a", region="eu-west-1", name="b", arn="c", alarm_actions=["arn"] * 6)
