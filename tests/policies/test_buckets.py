"""Group `buckets`, rule by rule: passes, fails, near miss, absent, unknown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lockstep_policies import buckets
from tests.policies import programs
from tests.policies.cases import ADVISORY, PASSES, Case, both, judge, props, rules_without_cases, sources, without
from tests.policies.harness import OUTSIDE, UNKNOWN, Program, Provider, analyze
from tests.policies.programs import (
    BUCKET,
    ENCRYPTION,
    FRANKFURT,
    IRELAND,
    REPLICATION,
    STOCKHOLM,
    VERSIONING,
    rule,
    tls_only,
)

POLICY = "packages-in-two-regions"
BUCKET_NAME = "primary-bucket"
REPLICA = "primary-replication"
KMS_KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"


def case(name: str, what: str, damage: Any, **options: Any) -> Case:
    return Case(rule=f"buckets/{name}", what=what, damage=damage, base=options.pop("base", programs.buckets), **options)


def config(**values: Any) -> dict[str, dict[str, Any]]:
    return {POLICY: values}


def copies(*rules: dict[str, Any], name: str = REPLICA) -> Any:
    return props(name, rules=list(rules))


def to_frankfurt(prefix: str = "", /, **changes: Any) -> dict[str, Any]:
    return rule("arn:aws:s3:::packages-secondary", prefix) | changes


def moved(name: str, region: str | None) -> Any:
    """Puts a resource under another provider."""

    def damage(program: Program) -> None:
        program[name].provider = Provider("elsewhere", region)

    return damage


def encrypted(name: str, algorithm: Any) -> Any:
    return props(name, rules=[{"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}}])


def policy(**changes: Any) -> Any:
    """Changes the statement that refuses plain HTTP."""
    document = json.loads(tls_only("packages-primary"))
    document["Statement"][0] |= changes
    return props("primary-policy", policy=json.dumps(document))


def overwriting(**changes: Any) -> Any:
    """Changes the statement that refuses to write over what is published."""
    document = json.loads(tls_only("packages-primary"))
    document["Statement"][1] |= changes
    return props("primary-policy", policy=json.dumps(document))


def plain_bucket(program: Program, name: str = "spare", **values: Any) -> None:
    program.add(
        BUCKET,
        name,
        {"id": name, "bucket": name, "arn": f"arn:aws:s3:::{name}"} | values,
        provider=Provider("a", IRELAND),
    )


def log_bucket(program: Program) -> None:
    plain_bucket(program, "logs")
    program.add(
        "aws:s3/bucketLogging:BucketLogging",
        "logging",
        {"bucket": "packages-primary", "targetBucket": "logs", "targetPrefix": "s3/"},
        {"targetBucket": [program["logs"]]},
        Provider("a", IRELAND),
    )


def inline(program: Program) -> None:
    """Writes everything of the primary bucket inside of it, as pulumi-aws 6 allows."""
    bucket = program[BUCKET_NAME]
    bucket.props |= {
        "serverSideEncryptionConfiguration": {
            "rule": {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
        },
        "policy": tls_only("packages-primary"),
        "replicationConfiguration": {
            "role": "arn:aws:iam::123456789012:role/replication",
            "rules": [
                {
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "destination": {"bucket": "arn:aws:s3:::packages-secondary"},
                }
            ],
        },
    }
    without("primary-versioning", "primary-encryption", "primary-policy", REPLICA)(program)


KMS = both(
    encrypted("primary-encryption", "aws:kms"),
    encrypted("secondary-encryption", "aws:kms"),
)
OPTED_IN: dict[str, Any] = {
    "sourceSelectionCriteria": {"sseKmsEncryptedObjects": {"status": "Enabled"}},
    "destination": {
        "bucket": "arn:aws:s3:::packages-secondary",
        "encryptionConfiguration": {"replicaKmsKeyId": KMS_KEY},
    },
}
BACK = rule("arn:aws:s3:::packages-primary") | {
    "sourceSelectionCriteria": {"sseKmsEncryptedObjects": {"status": "Enabled"}},
    "destination": {
        "bucket": "arn:aws:s3:::packages-primary",
        "encryptionConfiguration": {"replicaKmsKeyId": KMS_KEY.replace(FRANKFURT, IRELAND)},
    },
}

CASES = [
    # Versioning
    case("versioning", "absent", without("primary-versioning"), on=BUCKET_NAME, says="isn't versioned"),
    case(
        "versioning",
        "fails: suspended",
        props("primary-versioning", versioningConfiguration={"status": "Suspended"}),
        on=BUCKET_NAME,
        says="Suspended",
    ),
    case(
        "versioning",
        "fails: the mirror of the last refresh proves nothing",
        both(without("primary-versioning"), props(BUCKET_NAME, versioning={"enabled": True})),
        on=BUCKET_NAME,
    ),
    case(
        "versioning",
        "fails: of another bucket",
        both(
            props("primary-versioning", bucket="packages-secondary"),
            sources("primary-versioning", "bucket", "secondary-bucket"),
        ),
        on=BUCKET_NAME,
    ),
    case(
        "versioning",
        "fails: of another bucket, with a name made from this one's",
        props("primary-versioning", bucket="packages-primary-logs"),
        on=BUCKET_NAME,
    ),
    case("versioning", "near miss: by name alone", sources("primary-versioning", "bucket"), outcome=PASSES),
    case("versioning", "near miss: by dependency alone", props("primary-versioning", bucket=UNKNOWN), outcome=PASSES),
    case(
        "versioning",
        "near miss: written inside, where that counts",
        both(without("primary-versioning")),
        config=config(inlineSettings=True),
        outcome=PASSES,
    ),
    case(
        "replication",
        "unknown: all rules, from a resource",
        props(REPLICA, rules=UNKNOWN),
        outcome=ADVISORY,
        on=REPLICA,
        says="Bucket secondary-bucket",
    ),
    case(
        "replication",
        "unknown: all rules, from nowhere",
        both(props(REPLICA, rules=None), props(REPLICA, rules=UNKNOWN)),
        on=BUCKET_NAME,
    ),
    case(
        "replication",
        "unknown: one rule of two",
        props(REPLICA, rules=[to_frankfurt("releases/"), UNKNOWN]),
        outcome=ADVISORY,
        on=REPLICA,
    ),
    case(
        "replication",
        "unknown: all rules of a site",
        props(REPLICA, rules=UNKNOWN),
        base=programs.whole,
        outcome=ADVISORY,
        on=REPLICA,
    ),
    case(
        "replication",
        "unknown: all rules of a site that isn't up",
        both(
            props("contract", bucketNames={"primary": UNKNOWN, "secondary": "packages-secondary"}),
            props(REPLICA, bucket=UNKNOWN, rules=UNKNOWN),
            props("secondary-replication", rules=[rule(UNKNOWN, prefix) for prefix in ("releases/", "packages/")]),
        ),
        base=programs.whole,
        outcome=ADVISORY,
        on=REPLICA,
    ),
    case(
        "transport",
        "fails: a second key in the condition lets some through",
        policy(Condition={"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}}),
        on=BUCKET_NAME,
    ),
    case(
        "transport",
        "unknown: the bucket's name, but not the policy",
        props(BUCKET_NAME, bucket=UNKNOWN, id=UNKNOWN),
        outcome=PASSES,
    ),
    case(
        "transport",
        "fails: only objects of a bucket of unknown name",
        both(props(BUCKET_NAME, bucket=UNKNOWN, id=UNKNOWN), policy(Resource="arn:aws:s3:::packages-primary/*")),
        on=BUCKET_NAME,
    ),
    case(
        "replication",
        "fails: one way, but a bucket neither sends nor receives",
        plain_bucket,
        config=config(replication="one-way"),
        on="spare",
        also=("buckets/public-access", "buckets/transport", "buckets/versioning"),
    ),
    case(
        "replication",
        "unknown: written inside, from a resource",
        both(
            inline,
            props(BUCKET_NAME, replicationConfiguration=UNKNOWN),
            sources(BUCKET_NAME, "replicationConfiguration", "secondary-bucket"),
        ),
        config=config(inlineSettings=True),
        outcome=ADVISORY,
        on=BUCKET_NAME,
    ),
    case(
        "replication-kms",
        "unknown: destination of another stack",
        both(
            copies(to_frankfurt(destination=OPTED_IN["destination"] | {"bucket": UNKNOWN})),
            sources(REPLICA, "rules", OUTSIDE),
        ),
        outcome=PASSES,
    ),
    case(
        "versioning",
        "unknown: status from a resource",
        both(
            props("primary-versioning", versioningConfiguration={"status": UNKNOWN}),
            sources("primary-versioning", "versioningConfiguration", "replication"),
        ),
        outcome=ADVISORY,
        on="primary-versioning",
    ),
    case(
        "versioning",
        "unknown: inside, from a resource",
        both(
            without("primary-versioning"),
            props(BUCKET_NAME, versioning=UNKNOWN),
            sources(BUCKET_NAME, "versioning", "replication"),
        ),
        config=config(inlineSettings=True),
        outcome=ADVISORY,
        on=BUCKET_NAME,
    ),
    case(
        "versioning",
        "unknown: AWS will tell, so nobody set it",
        both(without("primary-versioning"), props(BUCKET_NAME, versioning=UNKNOWN)),
        config=config(inlineSettings=True),
        on=BUCKET_NAME,
    ),
    case(
        "versioning",
        "fails: destination of a rule",
        both(
            without("secondary-versioning"),
            props("secondary-bucket", tags={}),
            props(BUCKET_NAME, tags={"lockstep:application": "app"}),
        ),
        config=config(scope="tagged"),
        on="secondary-bucket",
    ),
    case(
        "versioning",
        "near miss: old types",
        both(
            lambda p: setattr(p[BUCKET_NAME], "type", "aws:s3/bucketV2:BucketV2"),
            lambda p: setattr(p["primary-versioning"], "type", "aws:s3/bucketVersioningV2:BucketVersioningV2"),
        ),
        outcome=PASSES,
    ),
    # Encryption
    case("encryption", "absent: S3's default is enough in general", without("primary-encryption"), outcome=PASSES),
    case(
        "encryption",
        "absent: in a site of Lockstep",
        without("primary-encryption"),
        base=programs.site,
        on=BUCKET_NAME,
        says="isn't declared",
    ),
    case(
        "encryption",
        "absent: where it must be declared",
        without("primary-encryption"),
        config=config(encryption="sse-s3"),
        on=BUCKET_NAME,
    ),
    case(
        "encryption",
        "fails: KMS in a site of Lockstep",
        encrypted("primary-encryption", "aws:kms"),
        base=programs.site,
        on=BUCKET_NAME,
        says="anonymous reads",
    ),
    case(
        "encryption",
        "near miss: KMS by configuration",
        encrypted("primary-encryption", "aws:kms"),
        base=programs.site,
        config=config(encryption="any"),
        outcome=PASSES,
    ),
    case(
        "encryption",
        "near miss: KMS in another program, copied with care",
        both(KMS, copies(to_frankfurt(**OPTED_IN)), copies(BACK, name="secondary-replication")),
        outcome=PASSES,
    ),
    case(
        "encryption",
        "unknown: from a resource",
        both(encrypted("primary-encryption", UNKNOWN), sources("primary-encryption", "rules", "replication")),
        outcome=ADVISORY,
        on="primary-encryption",
    ),
    # Private
    case("public-access", "absent", without("primary-public-access"), on=BUCKET_NAME, says="BucketPublicAccessBlock"),
    *(
        case(
            "public-access",
            f"fails: {key} off",
            props("primary-public-access", **{key: False}),
            on=BUCKET_NAME,
            says=argument,
        )
        for key, argument in buckets.PUBLIC_ACCESS_SWITCHES.items()
    ),
    *(
        case(
            "public-access",
            f"absent: {key}",
            props("primary-public-access", **{key: None}),
            on=BUCKET_NAME,
            says=argument,
        )
        for key, argument in buckets.PUBLIC_ACCESS_SWITCHES.items()
    ),
    case(
        "public-access",
        "near miss: by dependency alone",
        props("primary-public-access", bucket=UNKNOWN),
        outcome=PASSES,
    ),
    case(
        "public-access",
        "unknown: from a resource",
        both(
            props("primary-public-access", blockPublicPolicy=UNKNOWN),
            sources("primary-public-access", "blockPublicPolicy", "replication"),
        ),
        outcome=ADVISORY,
        on="primary-public-access",
    ),
    # Plain HTTP
    case("transport", "absent", without("primary-policy"), on=BUCKET_NAME, says="no policy refuses plain HTTP"),
    case("transport", "fails: only one action", policy(Action="s3:GetObject"), on=BUCKET_NAME),
    case("transport", "fails: only objects", policy(Resource="arn:aws:s3:::packages-primary/*"), on=BUCKET_NAME),
    case(
        "transport",
        "fails: another bucket",
        policy(Resource=["arn:aws:s3:::other", "arn:aws:s3:::other/*"]),
        on=BUCKET_NAME,
    ),
    case(
        "transport", "fails: one principal", policy(Principal={"AWS": "arn:aws:iam::123456789012:root"}), on=BUCKET_NAME
    ),
    case("transport", "fails: allows instead", policy(Effect="Allow"), on=BUCKET_NAME),
    case(
        "transport",
        "fails: the condition is the other way round",
        policy(Condition={"Bool": {"aws:SecureTransport": "true"}}),
        on=BUCKET_NAME,
    ),
    case(
        "transport",
        "fails: a second condition lets some through",
        policy(Condition={"Bool": {"aws:SecureTransport": "false"}, "StringNotEquals": {"aws:SourceVpce": "vpce-1"}}),
        on=BUCKET_NAME,
    ),
    case(
        "transport",
        "fails: a condition that can be absent",
        policy(Condition={"BoolIfExists": {"aws:ViaAWSService": "false"}}),
        on=BUCKET_NAME,
    ),
    case(
        "transport",
        "fails: no document",
        props("primary-policy", policy="{"),
        on="primary-policy",
        says="isn't a policy document",
    ),
    case(
        "transport",
        "near miss: lists and other spellings",
        policy(Action=["s3:*"], Principal={"AWS": ["*"]}, Condition={"Bool": {"aws:SecureTransport": [False]}}),
        outcome=PASSES,
    ),
    case(
        "transport",
        "near miss: second statement of two",
        props(
            "primary-policy",
            policy=json.dumps(
                {
                    "Statement": [
                        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"},
                        json.loads(tls_only("packages-primary"))["Statement"][0],
                    ]
                }
            ),
        ),
        outcome=PASSES,
    ),
    case(
        "transport",
        "near miss: one statement without a list",
        props(
            "primary-policy", policy=json.dumps({"Statement": json.loads(tls_only("packages-primary"))["Statement"][0]})
        ),
        outcome=PASSES,
    ),
    case(
        "transport",
        "unknown: from the bucket's ARN",
        props("primary-policy", policy=UNKNOWN),
        outcome=ADVISORY,
        on="primary-policy",
        says="Bucket primary-bucket",
    ),
    case(
        "transport",
        "unknown: from nowhere",
        both(props("primary-policy", policy=None), props("primary-policy", policy=UNKNOWN)),
        on=BUCKET_NAME,
    ),
    # Writing over what is published
    case(
        "overwriting",
        "absent",
        without("primary-policy"),
        base=programs.site,
        on=BUCKET_NAME,
        says="put another object in the place of one below releases/ and packages/",
        also=("buckets/transport",),
    ),
    case(
        "overwriting",
        "fails: no such statement",
        props(
            "primary-policy",
            policy=json.dumps({"Statement": json.loads(tls_only("packages-primary"))["Statement"][:1]}),
        ),
        base=programs.site,
        on=BUCKET_NAME,
    ),
    case(
        "overwriting",
        "fails: allows instead",
        overwriting(Effect="Allow"),
        base=programs.site,
        on=BUCKET_NAME,
    ),
    case(
        "overwriting",
        "fails: one principal",
        overwriting(Principal={"AWS": "arn:aws:iam::123456789012:root"}),
        base=programs.site,
        on=BUCKET_NAME,
    ),
    case(
        "overwriting",
        "fails: another action",
        overwriting(Action="s3:PutObjectAcl"),
        base=programs.site,
        on=BUCKET_NAME,
    ),
    case(
        "overwriting",
        "fails: one prefix of two",
        overwriting(Resource="arn:aws:s3:::packages-primary/releases/*"),
        base=programs.site,
        on=BUCKET_NAME,
        says="one below packages/,",
    ),
    case(
        "overwriting",
        "fails: another bucket",
        overwriting(Resource="arn:aws:s3:::other/*"),
        base=programs.site,
        on=BUCKET_NAME,
    ),
    case(
        "overwriting",
        "fails: the condition is the other way round",
        overwriting(Condition={"Null": {"s3:if-none-match": "false"}}),
        base=programs.site,
        on=BUCKET_NAME,
    ),
    case(
        "overwriting",
        "fails: only parts of uploads",
        overwriting(Condition={"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "false"}}),
        base=programs.site,
        on=BUCKET_NAME,
    ),
    case(
        "overwriting",
        "fails: a further condition lets some through",
        overwriting(Condition={"Null": {"s3:if-none-match": "true"}, "StringEquals": {"aws:PrincipalType": "User"}}),
        base=programs.site,
        on=BUCKET_NAME,
    ),
    case(
        "overwriting",
        "near miss: the whole bucket, other spellings",
        overwriting(
            Action=["s3:PutObject"],
            Principal={"AWS": "*"},
            Resource="arn:aws:s3:::packages-primary/*",
            Condition={"Null": {"s3:If-None-Match": True}},
        ),
        base=programs.site,
        outcome=PASSES,
    ),
    case(
        "overwriting",
        "unknown: from the bucket's ARN",
        props("primary-policy", policy=UNKNOWN),
        base=programs.site,
        outcome=ADVISORY,
        on="primary-policy",
        says="nobody can write over",
    ),
    case("overwriting", "near miss: a program that isn't Lockstep's", overwriting(Effect="Allow"), outcome=PASSES),
    # Replication
    case("replication", "absent: one side", without(REPLICA), on=BUCKET_NAME, says="nothing copies its objects"),
    case("replication", "absent: the other side", without("secondary-replication"), on="secondary-bucket"),
    case(
        "replication",
        "near miss: one way, by configuration",
        without("secondary-replication"),
        config=config(replication="one-way"),
        outcome=PASSES,
    ),
    case(
        "replication",
        "fails: disabled",
        copies(to_frankfurt(status="Disabled")),
        on=BUCKET_NAME,
        says="no enabled rule that leads to another region",
    ),
    case(
        "replication",
        "fails: no destination",
        copies({"status": "Enabled", "filter": {"prefix": ""}, "deleteMarkerReplication": {"status": "Disabled"}}),
        on=REPLICA,
        says="`destination`",
    ),
    case(
        "replication",
        "near miss: a disabled rule beside an enabled one",
        copies(to_frankfurt(status="Disabled"), to_frankfurt()),
        outcome=PASSES,
    ),
    case("replication", "near miss: the bucket that receives access logs", log_bucket, outcome=PASSES),
    case(
        "replication",
        "fails: a third bucket",
        plain_bucket,
        on="spare",
        also=("buckets/public-access", "buckets/transport", "buckets/versioning"),
    ),
    case(
        "replication",
        "near miss: a third bucket without the tag",
        both(
            plain_bucket,
            props(BUCKET_NAME, tags={"lockstep:application": "app"}),
            props("secondary-bucket", tagsAll={"lockstep:application": "app"}),
        ),
        config=config(scope="tagged"),
        outcome=PASSES,
    ),
    case(
        "replication",
        "near miss: in a site it is the global stack's",
        lambda p: None,
        base=programs.site,
        outcome=PASSES,
    ),
    case(
        "replication",
        "near miss: written inside, where that counts",
        inline,
        config=config(inlineSettings=True),
        outcome=PASSES,
    ),
    case(
        "replication",
        "unknown: status from a resource",
        copies(to_frankfurt(status=UNKNOWN)),
        outcome=ADVISORY,
        on=REPLICA,
    ),
    case(
        "replication",
        "unknown: status from nowhere",
        both(copies(to_frankfurt(status=UNKNOWN)), sources(REPLICA, "rules")),
        on=REPLICA,
    ),
    case("replication-role", "absent", props(REPLICA, role=None), on=REPLICA, says="`role`"),
    case("replication-role", "near miss: of another stack", sources(REPLICA, "role", OUTSIDE), outcome=PASSES),
    case(
        "replication-role",
        "unknown: from a role",
        props(REPLICA, role=UNKNOWN),
        outcome=ADVISORY,
        on=REPLICA,
        says="Role replication",
    ),
    case(
        "replication-role",
        "unknown: from no role",
        both(props(REPLICA, role=UNKNOWN), sources(REPLICA, "role", BUCKET_NAME)),
        on=REPLICA,
    ),
    case(
        "replication-overwritten",
        "fails",
        lambda p: p.add(REPLICATION, "second", p[REPLICA].props, p[REPLICA].sources, p[REPLICA].provider),
        on="second",
        says="the last one written wins",
    ),
    case("replication-overwritten", "near miss: one for each bucket", lambda p: None, outcome=PASSES),
    # Another region
    case(
        "same-region",
        "fails",
        moved("secondary-bucket", IRELAND),
        on=REPLICA,
        says="lost together",
        also=("buckets/replication",),
    ),
    case(
        "same-region",
        "fails: by the resource's own region",
        props("secondary-bucket", region=IRELAND),
        on=REPLICA,
        also=("buckets/replication",),
    ),
    case(
        "same-region",
        "near miss: the resource's own region wins",
        both(moved("secondary-bucket", IRELAND), props("secondary-bucket", region=FRANKFURT)),
        outcome=PASSES,
    ),
    case(
        "same-region",
        "fails: one of two rules",
        copies(to_frankfurt(), rule("arn:aws:s3:::packages-primary")),
        on=REPLICA,
    ),
    case(
        "same-region",
        "absent: no region to be seen",
        moved("secondary-bucket", None),
        on="secondary-bucket",
        says="its region can't be seen",
    ),
    case("same-region", "absent: no region of the source to be seen", moved(BUCKET_NAME, None), on=BUCKET_NAME),
    case(
        "same-region",
        "fails: bucket of another program",
        both(copies(rule("arn:aws:s3:::elsewhere")), sources(REPLICA, "rules")),
        on=REPLICA,
        says="`bucketRegions`",
    ),
    case(
        "same-region",
        "near miss: bucket of another program, with its region",
        both(copies(rule("arn:aws:s3:::elsewhere")), sources(REPLICA, "rules")),
        config=config(bucketRegions={"elsewhere": STOCKHOLM}),
        outcome=PASSES,
    ),
    case(
        "same-region",
        "fails: bucket of another program in the same region",
        both(copies(rule("arn:aws:s3:::elsewhere")), sources(REPLICA, "rules")),
        config=config(bucketRegions={"elsewhere": IRELAND}),
        on=REPLICA,
        also=("buckets/replication",),
    ),
    case("same-region", "unknown: destination from a bucket in another region", copies(rule(UNKNOWN)), outcome=PASSES),
    case(
        "same-region",
        "unknown: destination from another stack",
        both(copies(rule(UNKNOWN)), sources(REPLICA, "rules", OUTSIDE)),
        outcome=ADVISORY,
        on=REPLICA,
        says="another stack",
    ),
    case(
        "same-region",
        "unknown: destination from nowhere",
        both(copies(rule(UNKNOWN)), sources(REPLICA, "rules")),
        on=REPLICA,
    ),
    # What is copied
    case("coverage", "fails: a part of the keys", copies(to_frankfurt("releases/")), on=REPLICA, says="everything"),
    case(
        "coverage",
        "near miss: that part is all that is wanted",
        copies(to_frankfurt("releases/")),
        config=config(prefixes=["releases/"]),
        outcome=PASSES,
    ),
    case(
        "coverage",
        "near miss: a shorter prefix",
        copies(to_frankfurt("rel")),
        config=config(prefixes=["releases/"]),
        outcome=PASSES,
    ),
    case(
        "coverage",
        "fails: a longer prefix",
        copies(to_frankfurt("releases/1")),
        config=config(prefixes=["releases/"]),
        on=REPLICA,
    ),
    case(
        "coverage",
        "fails: a disabled rule covers nothing",
        copies(to_frankfurt("releases/"), to_frankfurt("packages/", status="Disabled")),
        config=config(prefixes=["releases/", "packages/"]),
        on=REPLICA,
        says="packages/",
    ),
    case(
        "coverage",
        "fails: only objects with a tag",
        copies(to_frankfurt(filter={"tag": {"key": "copy", "value": "yes"}})),
        on=REPLICA,
        says="tags",
    ),
    case(
        "coverage",
        "fails: only objects with tags and a prefix",
        copies(to_frankfurt(filter={"and": {"prefix": "", "tags": {"copy": "yes"}}})),
        on=REPLICA,
    ),
    case(
        "coverage",
        "fails: one package prefix is missing",
        copies(rule("arn:aws:s3:::packages-secondary", "releases/")),
        base=programs.whole,
        on=REPLICA,
        says="packages/",
    ),
    case(
        "coverage",
        "fails: leases too",
        copies(rule("arn:aws:s3:::packages-secondary")),
        base=programs.whole,
        on=REPLICA,
        says="leases/",
    ),
    case(
        "coverage",
        "near miss: leases too, by configuration",
        copies(rule("arn:aws:s3:::packages-secondary")),
        base=programs.whole,
        config=config(excludedPrefixes=[]),
        outcome=PASSES,
    ),
    case("coverage", "absent: a filter without a prefix", copies(to_frankfurt(filter={})), outcome=PASSES),
    case(
        "coverage",
        "unknown: prefix from a resource",
        copies(to_frankfurt(filter={"prefix": UNKNOWN})),
        outcome=ADVISORY,
        on=REPLICA,
    ),
    # Deletions
    case(
        "delete-markers",
        "fails",
        copies(to_frankfurt(deleteMarkerReplication={"status": "Enabled"})),
        on=REPLICA,
        says="replicates delete markers",
    ),
    case(
        "delete-markers",
        "absent: no filter, so version 1",
        copies({"status": "Enabled", "destination": {"bucket": "arn:aws:s3:::packages-secondary"}}),
        on=REPLICA,
        says="version 1",
    ),
    case(
        "delete-markers",
        "near miss: in a disabled rule",
        copies(to_frankfurt(), to_frankfurt(status="Disabled", deleteMarkerReplication={"status": "Enabled"})),
        outcome=PASSES,
    ),
    case(
        "delete-markers",
        "unknown: from a resource",
        copies(to_frankfurt(deleteMarkerReplication={"status": UNKNOWN})),
        outcome=ADVISORY,
        on=REPLICA,
    ),
    # Objects under keys
    case(
        "replication-kms",
        "fails: not opted in",
        both(KMS, copies(BACK, name="secondary-replication")),
        on=REPLICA,
        says="skips every object",
    ),
    case(
        "replication-kms",
        "fails: key of the wrong region",
        both(
            KMS,
            copies(to_frankfurt(**OPTED_IN)),
            copies(
                BACK
                | {
                    "destination": {
                        "bucket": "arn:aws:s3:::packages-primary",
                        "encryptionConfiguration": {"replicaKmsKeyId": KMS_KEY},
                    }
                },
                name="secondary-replication",
            ),
        ),
        on="secondary-replication",
        says=f"key of {FRANKFURT}",
    ),
    case(
        "replication-kms",
        "near miss: opted in, key of the destination's region",
        both(KMS, copies(to_frankfurt(**OPTED_IN)), copies(BACK, name="secondary-replication")),
        outcome=PASSES,
    ),
    # The contract
    case(
        "site-replication",
        "absent: no rule out of a site",
        without(REPLICA),
        base=programs.whole,
        on="contract",
        says="out of packages-primary",
    ),
    case(
        "site-replication",
        "fails: disabled",
        copies(
            *(rule("arn:aws:s3:::packages-secondary", p) | {"status": "Disabled"} for p in ("releases/", "packages/"))
        ),
        base=programs.whole,
        on="contract",
        says="site primary",
    ),
    case(
        "site-replication",
        "fails: one way by configuration, but a site has no rule",
        without("secondary-replication"),
        base=programs.whole,
        config=config(replication="one-way"),
        on="contract",
        says="site secondary",
    ),
    case(
        "site-replication",
        "unknown: the site isn't up",
        both(
            props("contract", bucketNames={"primary": UNKNOWN, "secondary": "packages-secondary"}),
            props(REPLICA, bucket=UNKNOWN),
            props("secondary-replication", rules=[rule(UNKNOWN, p) for p in ("releases/", "packages/")]),
        ),
        base=programs.whole,
        outcome=ADVISORY,
        on=REPLICA,
        says="`pulumi up -s primary`",
    ),
    case(
        "site-replication",
        "unknown: the site isn't up and nothing waits for it",
        both(without(REPLICA), props("contract", bucketNames={"primary": UNKNOWN, "secondary": "packages-secondary"})),
        base=programs.whole,
        on="contract",
        says="site primary",
        also=("buckets/same-region",),
    ),
    case(
        "site-without-bucket",
        "absent",
        props("contract", bucketNames={"primary": "packages-primary"}),
        base=programs.whole,
        on="contract",
        says="site secondary",
        also=("buckets/same-region",),
    ),
]


@pytest.mark.parametrize("damaged", CASES, ids=str)
def test_rule(damaged: Case) -> None:
    """Without these a release of the pack could let packages exist in one region only, or block a program that is
    right.
    """
    judge(damaged)


def test_every_rule_has_a_case_that_fails_and_one_that_passes() -> None:
    """A rule without a failing case may never fire; one without a passing case may fire always."""
    never_fails, never_passes = rules_without_cases(CASES, buckets)
    assert never_fails == set()
    # Without a bucket of a site there is nothing of that site's that could pass.
    assert never_passes == {"site-without-bucket"}


def test_a_program_that_is_right_passes_without_a_word() -> None:
    """Noise on a sound program makes people switch the pack off."""
    assert analyze(programs.buckets()).findings == []


def test_the_first_preview_passes_with_advisories() -> None:
    """Bucket ids, ARNs and policies are unknown then: a violation would block the first deployment for good."""
    report = analyze(programs.buckets_in_preview())
    assert report.rules(mandatory=True) == []
    assert report.rules(mandatory=False) == ["buckets/replication-role", "buckets/transport"]


def test_only_the_contracts_bucket_is_judged_in_a_site() -> None:
    """A site's log bucket needs no replication; a rule for it would block every site that keeps logs."""
    program = programs.site()
    plain_bucket(program, "logs")
    assert analyze(program).findings == []


def test_rules_that_a_site_bucket_mirrors_after_a_refresh_are_not_judged() -> None:
    """The global stack's rules appear in the site's state after `pulumi refresh`; judging them there would block the
    site.
    """
    program = programs.site()
    program[BUCKET_NAME].props["replicationConfiguration"] = {
        "role": "arn:aws:iam::123456789012:role/replication",
        "rules": [{"status": "Enabled", "destination": {"bucket": "arn:aws:s3:::packages-secondary"}}],
    }
    assert analyze(program).findings == []


def test_settings_of_one_bucket_do_not_count_for_another() -> None:
    """Two buckets that look alike must not vouch for each other."""
    program = programs.buckets()
    without("secondary-versioning", "secondary-encryption")(program)
    program.add(VERSIONING, "twice", program["primary-versioning"].props, program["primary-versioning"].sources)
    program.add(ENCRYPTION, "again", program["primary-encryption"].props, program["primary-encryption"].sources)
    assert [finding.urn for finding in analyze(program).of("buckets/versioning")] == [program["secondary-bucket"].urn]
