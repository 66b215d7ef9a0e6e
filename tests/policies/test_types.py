"""The names that the checks use against the installed pulumi-aws: a name that doesn't exist makes a check that never
fires.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from lockstep_policies import (
    backups,
    buckets,
    contracts,
    databases,
    fleets,
    global_types,
    health_checks,
    keys,
    regions,
    releases,
    safeguards,
    traffic,
)
from lockstep_policies.global_types import GLOBAL_MODULES, GLOBAL_TYPES, is_global

_CLASS: Final = re.compile(r"super\(\w+, __self__\)\.__init__\(\s*'(aws:[^']+)',\s*resource_name,\s*__props__")
_OUTPUT: Final = re.compile(
    r"@_builtins\.property\s+@pulumi\.getter(?:\(name=\"(\w+)\"\))?\s+(?:@_utilities\.deprecated\(.*\)\s+)?"
    r"def (\w+)\(self\) -> pulumi\.Output"
)
_ARGUMENT: Final = re.compile(r"__props__\.__dict__\[\"(\w+)\"\]")
_TOKEN: Final = re.compile(r"\"(aws:\w+/\w+:\w+)\"")
_MODULES: Final = (
    backups,
    buckets,
    contracts,
    databases,
    fleets,
    global_types,
    health_checks,
    keys,
    regions,
    releases,
    safeguards,
    traffic,
)


def _package() -> Path:
    found = importlib.util.find_spec("pulumi_aws")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


@pytest.fixture(scope="module")
def classes() -> dict[str, str]:
    """Source of every resource class of the package by type token, without importing the package (it takes seconds)."""
    found = {}
    for path in _package().rglob("*.py"):
        if not path.name.startswith(("_", "get_")):
            source = path.read_text()
            if match := _CLASS.search(source):
                found[match[1]] = source
    assert len(found) > 1500
    return found


def _properties(source: str) -> set[str]:
    return {wire or name for wire, name in _OUTPUT.findall(source)}


def _pack_source() -> Iterable[tuple[str, str]]:
    for module in _MODULES:
        assert module.__file__ is not None
        yield module.__name__, Path(module.__file__).read_text()


def test_every_type_that_a_check_names_exists(classes: dict[str, str]) -> None:
    """A misspelt type is a rule that never finds a resource and so passes everything."""
    named = {token for _, source in _pack_source() for token in _TOKEN.findall(source)}
    assert len(named) > 30
    assert named - set(classes) == set()


def test_every_property_allowed_to_cross_regions_exists(classes: dict[str, str]) -> None:
    """A misspelt property would block the replica that it is meant for."""
    for entry in regions.CROSS_REGION_PROPERTIES:
        token, _, name = entry.rpartition(".")
        assert name in _properties(classes[token]), entry


def test_the_global_types_are_those_without_a_region(classes: dict[str, str]) -> None:
    """A regional type in this list would never be judged; a global one outside of it would block every site."""
    without_region = {token for token, source in classes.items() if "region" not in set(_ARGUMENT.findall(source))}
    assert {token for token in classes if is_global(token)} == without_region
    assert without_region >= GLOBAL_TYPES
    assert {token.split(":")[1].split("/")[0] for token in without_region} >= GLOBAL_MODULES


# Properties that the checks read, by the type they read them from. Nested names are in the wire form too.
READ: Final = {
    health_checks.CHECK: {
        "type",
        "childHealthchecks",
        "childHealthThreshold",
        "cloudwatchAlarmName",
        "cloudwatchAlarmRegion",
        "disabled",
        "failureThreshold",
        "fqdn",
        "insufficientDataHealthStatus",
        "invertHealthcheck",
        "ipAddress",
        "port",
        "requestInterval",
        "resourcePath",
        "searchString",
    },
    health_checks.RECORD: {
        "name",
        "fqdn",
        "type",
        "zoneId",
        "records",
        "aliases",
        "ttl",
        "setIdentifier",
        "healthCheckId",
        *traffic.ROUTING,
    },
    health_checks.ALARM: {
        "name",
        "period",
        "evaluationPeriods",
        "treatMissingData",
        "comparisonOperator",
        "threshold",
        "dimensions",
    },
    traffic.ZONE: {"name"},
    health_checks.BALANCERS[0]: {
        "internal",
        "dnsName",
        "zoneId",
        "dropInvalidHeaderFields",
        "loadBalancerType",
        "enableDeletionProtection",
        "securityGroups",
    },
    buckets.BUCKETS[0]: {
        "bucket",
        "arn",
        "tags",
        "tagsAll",
        "versioning",
        "serverSideEncryptionConfiguration",
        "policy",
        "replicationConfiguration",
        "region",
    },
    buckets.BUCKETS[1]: {"bucket", "arn", "tags", "tagsAll", "region"},
    buckets.VERSIONING[0]: {"bucket", "versioningConfiguration"},
    buckets.VERSIONING[1]: {"bucket", "versioningConfiguration"},
    buckets.ENCRYPTION[0]: {"bucket", "rules"},
    buckets.ENCRYPTION[1]: {"bucket", "rules"},
    buckets.PUBLIC_ACCESS[0]: {"bucket", *buckets.PUBLIC_ACCESS_SWITCHES},
    buckets.POLICY[0]: {"bucket", "policy"},
    buckets.REPLICATION[0]: {"bucket", "role", "rules", "region"},
    buckets.LOGGING[0]: {"targetBucket"},
    buckets.LOGGING[1]: {"targetBucket"},
    fleets.GROUPS[0]: {
        "name",
        "vpcZoneIdentifiers",
        "availabilityZones",
        "healthCheckType",
        "suspendedProcesses",
        "minSize",
        "targetGroupArns",
        "trafficSources",
        "loadBalancers",
    },
    fleets.ATTACHMENTS[0]: {"autoscalingGroupName", "lbTargetGroupArn", "elb"},
    fleets.ATTACHMENTS[1]: {"autoscalingGroupName", "trafficSource"},
    fleets.SUBNETS[0]: {"availabilityZone", "availabilityZoneId"},
    fleets.SUBNETS[1]: {"availabilityZone", "availabilityZoneId"},
    fleets.TARGETS[0]: {"arn", "healthCheck"},
    fleets.LISTENERS[0]: {"loadBalancerArn", "defaultActions"},
    safeguards.ROLES[0]: {"inlinePolicies", "managedPolicyArns"},
    safeguards.OWNERSHIP[0]: {"rule"},
    safeguards.LIFECYCLES[0]: {"rules"},
    safeguards.VPCS[0]: {"enableDnsSupport"},
    safeguards.ENDPOINTS[0]: {"vpcEndpointType", "policy", "routeTableIds"},
    safeguards.ASSOCIATIONS[0]: {"subnetId", "routeTableId"},
    safeguards.ROUTES[0]: {"routeTableId", "gatewayId", "natGatewayId"},
    safeguards.INGRESS[0]: {"securityGroupId", "cidrIpv4"},
    safeguards.EGRESS[0]: {"securityGroupId"},
    databases.INSTANCES[0]: {
        "arn",
        "identifier",
        "replicateSourceDb",
        "kmsKeyId",
        "storageEncrypted",
        "deletionProtection",
        "skipFinalSnapshot",
        "backupRetentionPeriod",
    },
    databases.CLUSTERS[0]: {
        "arn",
        "clusterIdentifier",
        "replicationSourceIdentifier",
        "globalClusterIdentifier",
        "kmsKeyId",
        "storageEncrypted",
        "deletionProtection",
        "skipFinalSnapshot",
        "backupRetentionPeriod",
    },
    databases.GLOBAL_CLUSTERS[0]: {"globalClusterIdentifier", "deletionProtection"},
    databases.BACKUP_REPLICATIONS[0]: {"sourceDbInstanceArn", "kmsKeyId", "retentionPeriod"},
    backups.PLANS[0]: {"rules"},
    backups.SELECTIONS[0]: {"planId", "resources"},
    backups.VAULTS[0]: {"arn", "name", "kmsKeyArn", "forceDestroy"},
    backups.AIR_GAPPED[0]: {"encryptionKeyArn"},
    backups.LOCKS[0]: {"backupVaultName"},
    keys.KEYS[0]: {"arn", "keyId"},
    keys.ALIASES[0]: {"arn"},
    releases.TEMPLATES[0]: {
        "tagSpecifications",
        "metadataOptions",
        "blockDeviceMappings",
        "vpcSecurityGroupIds",
        "imageId",
        "instanceType",
        "userData",
    },
}


@pytest.mark.parametrize("token", sorted(READ))
def test_every_property_that_a_check_reads_exists(classes: dict[str, str], token: str) -> None:
    """A misspelt property is always absent, so its rule never fires, or always."""
    assert READ[token] - _properties(classes[token]) == set()


def test_every_property_that_a_check_reads_is_compared() -> None:
    """The table above would otherwise forget the next property."""
    listed = {name for names in READ.values() for name in names} | {"id"}
    contract = {
        "region",
        "peerRegion",
        "replicaBucketRegion",
        "rtoSeconds",
        "bucketName",
        "bucketArn",
        "siteDomain",
        "appDomain",
        "rpoSeconds",
        "release",
        "releases",
        "drainAlarmName",
        "readyInstances",
        "loadInstances",
        "databaseArns",
        *releases.SAME_EVERYWHERE,
        *regions.SITE_PROMISES,
        contracts.REGIONS,
        contracts.BUCKET_NAMES,
        contracts.SITE_DOMAINS,
        contracts.RECORD_NAMES,
    }
    literal = re.compile(r"\.get\(\"(\w+)\"\)")
    for module, source in _pack_source():
        read = set(literal.findall(source)) - {"SecureTransport"}
        nested = {
            "status",
            "prefix",
            "rules",
            "role",
            "destination",
            "filter",
            "sourceSelectionCriteria",
            "Effect",
            "Principal",
            "Action",
            "Resource",
            "Condition",
            "deleteMarkerReplicationStatus",
            "deleteMarkerReplication",
            "sites",
            "resourceType",
            "tags",
            "schedule",
            "lifecycle",
            "ruleName",
            "destinationVaultArn",
            # Options of the policies.
            "loadInstances",
            "rpoSeconds",
        }
        assert read - listed - contract - nested == set(), module


def test_nested_names_exist() -> None:
    """Names inside of blocks are in other files of the package, as arguments with a wire name."""
    blocks = {
        "s3": {
            "deleteMarkerReplication",
            "sourceSelectionCriteria",
            "sseKmsEncryptedObjects",
            "encryptionConfiguration",
            "replicaKmsKeyId",
            "applyServerSideEncryptionByDefault",
            "sseAlgorithm",
            "deleteMarkerReplicationStatus",
        },
        "route53": {"evaluateTargetHealth", "awsRegion"},
        "backup": {"copyActions", "destinationVaultArn", "deleteAfter", "ruleName"},
        "ec2": {"resourceType"},
    }
    for module, names in blocks.items():
        source = (_package() / module / "_inputs.py").read_text()
        missing = {name for name in names if f'"{name}"' not in source}
        assert missing == set(), module


def test_every_argument_that_a_message_tells_to_set_exists(classes: dict[str, str]) -> None:
    """A remedy that names an argument that doesn't exist sends the reader the wrong way."""
    arguments = set()
    for token in READ:
        module = token.split(":")[1].split("/")[0]
        arguments |= set(_ARGUMENT.findall(classes[token]))
        arguments |= set(re.findall(r"def (\w+)\(self\)", (_package() / module / "_inputs.py").read_text()))
    sources = [source for _, source in _pack_source()]
    named = {name for source in sources for name in re.findall(r"[Ss]et `([a-z]+(?:_[a-z]+)*)(?:=[^`]*)?`", source)}
    # An option of the policies' configuration, not an argument.
    named -= {"prefixes"}
    assert len(named) >= 8
    assert named - arguments == set()
