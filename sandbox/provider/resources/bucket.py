"""S3: buckets and what is configured on them.

What each property is follows the schemas of terraform-provider-aws v6, internal/service/s3, files bucket*.go. A
bucket's own properties from before those resources existed (`versioning`, `policy` and so on) would fight with them and
are refused by name, like every property that isn't described.
"""

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from sandbox.provider.aws import Aws
from sandbox.provider.calls import ID, Call, Constant, deleting, kept, reading, search, tag_list, tag_map
from sandbox.provider.schema import (
    AutoName,
    Change,
    Kind,
    Property,
    ResourceType,
    State,
    Update,
    block,
    block_set,
    blocks,
    boolean,
    integer,
    json_text,
    length,
    one_of,
    output,
    string,
    string_map,
)
from sandbox.provider.values import Json, contains_unknown, is_unknown

_NO_BUCKET = "NoSuchBucket"
_FIRST_REGION = "us-east-1"
# S3 API Reference, DeleteObjects: keys per call.
_MOST_KEYS = 1000
# S3 User Guide, "Replication configuration file elements".
_MOST_REPLICATION_RULES = 1000


def _status(**options: Any) -> Property:
    return string(required=True, check=one_of("Enabled", "Disabled"), **options)


def _switch() -> Property:
    """A nested object that only says whether something is on."""
    return block({"status": _status()})


# S3's names where they aren't ours with a capital letter.
_S3_NAMES = {
    "id": "ID",
    "sseAlgorithm": "SSEAlgorithm",
    "kmsMasterKeyId": "KMSMasterKeyID",
    "replicaKmsKeyId": "ReplicaKmsKeyID",
}


def _s3_name(name: str) -> str:
    return _S3_NAMES.get(name, name[0].upper() + name[1:])


def _to_s3(prop: Property, value: Json) -> Json:
    """A nested property in the form of S3's API."""
    if prop.kind is Kind.OBJECT:
        return {
            _s3_name(name): _to_s3(field, value[name])
            for name, field in prop.fields.items()
            if value.get(name) is not None
        }
    if prop.kind in (Kind.LIST, Kind.SET) and prop.element is not None:
        return [_to_s3(prop.element, item) for item in value]
    return tag_list(value) if prop.kind is Kind.MAP else value


def _from_s3(prop: Property, value: Json) -> Json:
    """What S3's API says of a nested property, in the property's form."""
    if prop.kind is Kind.OBJECT:
        found = {name: value.get(_s3_name(name)) for name in prop.fields}
        return {name: _from_s3(prop.fields[name], item) for name, item in found.items() if item is not None}
    if prop.kind in (Kind.LIST, Kind.SET) and prop.element is not None:
        return [_from_s3(prop.element, item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return tag_map(value) if prop.kind is Kind.MAP else value


def _in_s3s_form(prop: Property, name: str) -> Callable[[State], Json]:
    """The template of the property `name` in the form of S3's API."""
    return lambda inputs: _to_s3(prop, inputs[name])


def _reading_s3(
    call: Call, outputs: Mapping[str, tuple[Property, str]], missing: str
) -> Callable[[Aws, str, State], State | None]:
    """A `read` from one call: each property, and where the answer holds it (JMESPath). No bucket means gone, too."""
    raw = reading(
        call, "@", {name: expression for name, (_, expression) in outputs.items()}, missing=(_NO_BUCKET, missing)
    )

    def read(aws: Aws, id: str, state: State) -> State | None:
        found = raw(aws, id, state)
        return found and {
            name: None if found[name] is None else _from_s3(prop, found[name]) for name, (prop, _) in outputs.items()
        }

    return read


def _configuration(
    *,
    token: str,
    properties: Mapping[str, Property],
    put: Callable[[Aws, str, State], Any],
    read: Callable[[Aws, str, State], State | None],
    delete: Callable[[Aws, str, State], None],
    keeps: tuple[str, ...] = (),
    validate: Callable[[State], Iterable[tuple[str, str]]] | None = None,
) -> ResourceType:
    """The type of a configuration that hangs on a bucket and has the bucket's name for its id.

    S3 has one call, `put`, that makes the configuration and replaces it as a whole. `keeps` names properties that only
    the provider uses.
    """

    def create(aws: Aws, inputs: State) -> str:
        put(aws, inputs["bucket"], inputs)
        return str(inputs["bucket"])

    def read_with_name(aws: Aws, id: str, state: State) -> State | None:
        current = read(aws, id, state)
        return None if current is None else {"bucket": id, **current}

    return ResourceType(
        token=token,
        properties={"bucket": string(required=True, replaces=True, check=length(1, 63)), **properties},
        create=create,
        read=read_with_name,
        updates=(
            Update(
                properties=tuple(name for name in properties if name not in keeps),
                run=lambda aws, change: put(aws, change.id, change.new),
            ),
            kept(*keeps),
        ),
        delete=delete,
        validate=validate,
    )


def _write_bucket_tags(aws: Aws, id: str, state: State, add: dict[str, str], remove: list[str]) -> None:
    """S3 replaces a bucket's tags as a whole."""
    if state.get("tagsAll"):
        aws.call("s3", "put_bucket_tagging", Bucket=id, Tagging={"TagSet": tag_list(state["tagsAll"])})
    else:
        aws.call("s3", "delete_bucket_tagging", Bucket=id)


def _tag_new_bucket(aws: Aws, change: Change) -> None:
    if not change.old:
        _write_bucket_tags(aws, change.id, change.new, {}, [])


def _create_bucket(aws: Aws, inputs: State) -> str:
    name = str(inputs["bucket"])
    if aws.region != _FIRST_REGION:
        where = {"LocationConstraint": aws.region}
        aws.call("s3", "create_bucket", Bucket=name, CreateBucketConfiguration=where)
        return name
    # In its first region S3 says yes to an owner who creates a bucket again (API Reference, CreateBucket, Errors), and
    # the program would take over, and later delete, what isn't its own.
    if _read_bucket(aws, name, {}) is not None:
        message = f"bucket {name} exists already"
        raise ClientError({"Error": {"Code": "BucketAlreadyOwnedByYou", "Message": message}}, "CreateBucket")
    aws.call("s3", "create_bucket", Bucket=name)
    return name


def _read_bucket(aws: Aws, id: str, state: State) -> State | None:
    try:
        region = aws.call("s3", "head_bucket", Bucket=id)["BucketRegion"]
    except ClientError as error:
        # A HEAD request's answer has no body, and so no other code than the status.
        if error.response["Error"]["Code"] in ("404", _NO_BUCKET):
            return None
        raise
    tags = reading(Call("s3", "get_bucket_tagging", {"Bucket": ID}), "@", {}, missing=("NoSuchTagSet",), tags="TagSet")(
        aws, id, state
    )
    return {
        "bucket": id,
        "arn": f"arn:{aws.PARTITION}:s3:::{id}",
        "bucketRegion": region,
        "bucketDomainName": f"{id}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{id}.s3.{region}.amazonaws.com",
        "tagsAll": (tags or {}).get("tagsAll", {}),
    }


def _empty_bucket(aws: Aws, id: str) -> None:
    """Delete every version and delete marker. Raises ClientError for the first that S3 keeps."""
    versions = "[Versions, DeleteMarkers][][].{Key: Key, VersionId: VersionId}"
    # Always the first page: a marker for the next one would name a key that isn't there any more.
    while found := search(versions, aws.call("s3", "list_object_versions", Bucket=id, MaxKeys=_MOST_KEYS)):
        answer = aws.call("s3", "delete_objects", Bucket=id, Delete={"Objects": found, "Quiet": True})
        for failure in answer.get("Errors", ()):
            text = f"{failure['Message']} (object {failure['Key']}, version {failure.get('VersionId')})"
            raise ClientError({"Error": {"Code": failure["Code"], "Message": text}}, "DeleteObjects")


def _delete_bucket(aws: Aws, id: str, state: State) -> None:
    try:
        if state.get("forceDestroy"):
            _empty_bucket(aws, id)
        aws.call("s3", "delete_bucket", Bucket=id)
    except ClientError as error:
        if error.response["Error"]["Code"] != _NO_BUCKET:
            raise


# S3 User Guide, "General purpose bucket naming rules".
_NAME = re.compile(
    r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*(\.\.|-s3alias$|--ol-s3$|\.mrap$|--x-s3$|--table-s3$))"
    r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
)


def _bucket_name(value: Json) -> str | None:
    if _NAME.fullmatch(value):
        return None
    return (
        "expected 3 to 63 lower-case letters, digits, dots and hyphens (S3 User Guide, 'General purpose bucket naming "
        f"rules'), got {value!r}"
    )


BUCKET = ResourceType(
    token="aws:s3/bucket:Bucket",
    properties={
        "bucket": string(
            computed=True, replaces=True, auto_name=AutoName(max_length=63, lower=True), check=_bucket_name
        ),
        "forceDestroy": boolean(default=False),
        "arn": output(),
        "bucketRegion": output(),
        "bucketDomainName": output(),
        "bucketRegionalDomainName": output(),
    },
    create=_create_bucket,
    read=_read_bucket,
    updates=(
        # With CreateBucket's own tags moto does nothing.
        Update(properties=("tagsAll",), on_create=True, run=_tag_new_bucket),
        kept("forceDestroy"),
    ),
    delete=_delete_bucket,
    write_tags=_write_bucket_tags,
)


_VERSIONING = block({"status": string(required=True, check=one_of("Enabled", "Suspended", "Disabled"))}, required=True)
# Terraform's word for a bucket that never had versions. S3 has none, and no way back to it.
_NEVER_VERSIONED = "Disabled"


def _live_versioning(aws: Aws, id: str) -> str:
    return str(aws.call("s3", "get_bucket_versioning", Bucket=id).get("Status", _NEVER_VERSIONED))


def _put_versioning(aws: Aws, id: str, inputs: State) -> None:
    """Raises ClientError (MalformedXML) for "Disabled" on a bucket that has, or had, versions."""
    wanted = inputs["versioningConfiguration"]["status"]
    if wanted != _NEVER_VERSIONED or _live_versioning(aws, id) != _NEVER_VERSIONED:
        aws.call("s3", "put_bucket_versioning", Bucket=id, VersioningConfiguration={"Status": wanted})


def _read_versioning(aws: Aws, id: str, state: State) -> State | None:
    try:
        return {"versioningConfiguration": {"status": _live_versioning(aws, id)}}
    except ClientError as error:
        if error.response["Error"]["Code"] == _NO_BUCKET:
            return None
        raise


def _delete_versioning(aws: Aws, id: str, state: State) -> None:
    """Versioning can't be taken off a bucket, only suspended."""
    if state["versioningConfiguration"]["status"] == _NEVER_VERSIONED:
        return
    suspended = {"Status": Constant("Suspended")}
    put = Call("s3", "put_bucket_versioning", {"Bucket": ID, "VersioningConfiguration": suspended})
    deleting(put, missing=(_NO_BUCKET,))(aws, id, state)


BUCKET_VERSIONING = _configuration(
    token="aws:s3/bucketVersioning:BucketVersioning",
    properties={"versioningConfiguration": _VERSIONING},
    put=_put_versioning,
    read=_read_versioning,
    delete=_delete_versioning,
)


_KMS = ("aws:kms", "aws:kms:dsse")
_ENCRYPTION_RULES = block_set(
    {
        "applyServerSideEncryptionByDefault": block(
            {
                "sseAlgorithm": string(required=True, check=one_of("AES256", "aws:fsx", *_KMS)),
                "kmsMasterKeyId": string(),
            }
        ),
        "bucketKeyEnabled": boolean(),
    },
    required=True,
)


def _validate_encryption(inputs: State) -> Iterable[tuple[str, str]]:
    rules = inputs["rules"]
    if contains_unknown(rules):
        return
    if len(rules) != 1:
        yield "rules", f"S3 takes exactly one encryption rule, got {len(rules)}"
    for index, rule in enumerate(rules):
        default = rule.get("applyServerSideEncryptionByDefault") or {}
        if default.get("kmsMasterKeyId") and default["sseAlgorithm"] not in _KMS:
            path = f"rules[{index}].applyServerSideEncryptionByDefault.kmsMasterKeyId"
            yield path, f"a KMS key needs one of the algorithms {', '.join(_KMS)}, got {default['sseAlgorithm']}"


BUCKET_ENCRYPTION = _configuration(
    token="aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    properties={"rules": _ENCRYPTION_RULES},
    put=Call(
        "s3",
        "put_bucket_encryption",
        {"Bucket": ID, "ServerSideEncryptionConfiguration": {"Rules": _in_s3s_form(_ENCRYPTION_RULES, "rules")}},
    ),
    read=_reading_s3(
        Call("s3", "get_bucket_encryption", {"Bucket": ID}),
        {"rules": (_ENCRYPTION_RULES, "ServerSideEncryptionConfiguration.Rules")},
        missing="ServerSideEncryptionConfigurationNotFoundError",
    ),
    delete=deleting(
        Call("s3", "delete_bucket_encryption", {"Bucket": ID}),
        missing=(_NO_BUCKET, "ServerSideEncryptionConfigurationNotFoundError"),
    ),
    validate=_validate_encryption,
)


_PUBLIC_ACCESS = {
    name: boolean(default=False)
    for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
}
_NO_PUBLIC_ACCESS_BLOCK = "NoSuchPublicAccessBlockConfiguration"


def _delete_public_access_block(aws: Aws, id: str, state: State) -> None:
    if not state.get("skipDestroy"):
        call = Call("s3", "delete_public_access_block", {"Bucket": ID})
        deleting(call, missing=(_NO_BUCKET, _NO_PUBLIC_ACCESS_BLOCK))(aws, id, state)


BUCKET_PUBLIC_ACCESS_BLOCK = _configuration(
    token="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    properties={**_PUBLIC_ACCESS, "skipDestroy": boolean()},
    put=Call(
        "s3",
        "put_public_access_block",
        {"Bucket": ID, "PublicAccessBlockConfiguration": {_s3_name(name): name for name in _PUBLIC_ACCESS}},
    ),
    read=_reading_s3(
        Call("s3", "get_public_access_block", {"Bucket": ID}),
        {name: (prop, f"PublicAccessBlockConfiguration.{_s3_name(name)}") for name, prop in _PUBLIC_ACCESS.items()},
        missing=_NO_PUBLIC_ACCESS_BLOCK,
    ),
    delete=_delete_public_access_block,
    keeps=("skipDestroy",),
)


_OWNERSHIP_RULE = block(
    {
        "objectOwnership": string(
            required=True, check=one_of("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced")
        )
    },
    required=True,
)

BUCKET_OWNERSHIP_CONTROLS = _configuration(
    token="aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    properties={"rule": _OWNERSHIP_RULE},
    put=Call(
        "s3",
        "put_bucket_ownership_controls",
        {"Bucket": ID, "OwnershipControls": {"Rules": [_in_s3s_form(_OWNERSHIP_RULE, "rule")]}},
    ),
    read=_reading_s3(
        Call("s3", "get_bucket_ownership_controls", {"Bucket": ID}),
        {"rule": (_OWNERSHIP_RULE, "OwnershipControls.Rules[0]")},
        missing="OwnershipControlsNotFoundError",
    ),
    delete=deleting(
        Call("s3", "delete_bucket_ownership_controls", {"Bucket": ID}),
        missing=(_NO_BUCKET, "OwnershipControlsNotFoundError"),
    ),
)


_POLICY = json_text(required=True, check=length(1, 20 * 1024))

BUCKET_POLICY = _configuration(
    token="aws:s3/bucketPolicy:BucketPolicy",
    properties={"policy": _POLICY},
    put=Call("s3", "put_bucket_policy", {"Bucket": ID, "Policy": "policy"}),
    read=_reading_s3(
        Call("s3", "get_bucket_policy", {"Bucket": ID}), {"policy": (_POLICY, "Policy")}, missing="NoSuchBucketPolicy"
    ),
    delete=deleting(Call("s3", "delete_bucket_policy", {"Bucket": ID}), missing=(_NO_BUCKET,)),
)


# What objects can be moved to, and replicas be kept in (S3 API Reference, Transition; Destination).
_COLDER_CLASSES = ("STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE")
_PREFIX = string(check=length(0, 1024))
_TAG = block({"key": string(required=True), "value": string(required=True)})
_REPLICATION_RULES = blocks(
    {
        "id": string(computed=True, check=length(0, 255)),
        "status": _status(),
        "priority": integer(),
        "prefix": _PREFIX,
        "filter": block({"prefix": _PREFIX, "tag": _TAG, "and": block({"prefix": _PREFIX, "tags": string_map()})}),
        "deleteMarkerReplication": _switch(),
        "destination": block(
            {
                "bucket": string(required=True),
                "account": string(),
                "storageClass": string(check=one_of("STANDARD", "REDUCED_REDUNDANCY", *_COLDER_CLASSES)),
                "accessControlTranslation": block({"owner": string(required=True, check=one_of("Destination"))}),
                "encryptionConfiguration": block({"replicaKmsKeyId": string(required=True)}),
                "metrics": block(
                    {"status": _status(), "eventThreshold": block({"minutes": integer(0, required=True)})}
                ),
                "replicationTime": block(
                    {"status": _status(), "time": block({"minutes": integer(0, required=True)}, required=True)}
                ),
            },
            required=True,
        ),
        "sourceSelectionCriteria": block({"replicaModifications": _switch(), "sseKmsEncryptedObjects": _switch()}),
    },
    required=True,
)


def _replication_rules(inputs: State) -> list[Json]:
    """The rules in S3's form, in which a rule with a filter has a priority and one without a filter has a prefix."""
    rules: list[Json] = _to_s3(_REPLICATION_RULES, inputs["rules"])
    for rule in rules:
        if "Filter" not in rule:
            rule.setdefault("Prefix", "")
            continue
        rule.setdefault("Priority", 0)
        if not rule["Filter"]:
            rule["Filter"] = {"Prefix": ""}
    return rules


def _validate_replication(inputs: State) -> Iterable[tuple[str, str]]:
    """S3 API Reference, PutBucketReplication: rules with a filter are of another version of the schema than others."""
    rules = inputs["rules"]
    if is_unknown(rules) or any(is_unknown(rule) for rule in rules):
        return
    if not 1 <= len(rules) <= _MOST_REPLICATION_RULES:
        yield "rules", f"expected 1 to {_MOST_REPLICATION_RULES} rules, got {len(rules)}"
    for index, rule in enumerate(rules):
        filtered = rule.get("filter") is not None
        if filtered and rule.get("deleteMarkerReplication") is None:
            yield f"rules[{index}].deleteMarkerReplication", "must be set for a rule with a filter"
        for name in () if filtered else ("priority", "deleteMarkerReplication"):
            if rule.get(name) is not None:
                yield f"rules[{index}].{name}", "can only be set for a rule with a filter"
    if len({rule.get("filter") is not None for rule in rules}) > 1:
        yield "rules", "either every rule has a filter, or none has"


BUCKET_REPLICATION = _configuration(
    token="aws:s3/bucketReplicationConfig:BucketReplicationConfig",
    properties={"role": string(required=True), "rules": _REPLICATION_RULES},
    put=Call(
        "s3",
        "put_bucket_replication",
        {"Bucket": ID, "ReplicationConfiguration": {"Role": "role", "Rules": _replication_rules}},
    ),
    read=_reading_s3(
        Call("s3", "get_bucket_replication", {"Bucket": ID}),
        {
            "role": (string(), "ReplicationConfiguration.Role"),
            "rules": (_REPLICATION_RULES, "ReplicationConfiguration.Rules"),
        },
        missing="ReplicationConfigurationNotFoundError",
    ),
    delete=deleting(
        Call("s3", "delete_bucket_replication", {"Bucket": ID}),
        missing=(_NO_BUCKET, "ReplicationConfigurationNotFoundError"),
    ),
    validate=_validate_replication,
)


_SIZES = {"objectSizeGreaterThan": integer(0), "objectSizeLessThan": integer(1)}
_TRANSITION_CLASS = string(required=True, check=one_of(*_COLDER_CLASSES))
_LIFECYCLE_RULES = blocks(
    {
        "id": string(required=True, check=length(1, 255)),
        "status": _status(),
        "prefix": _PREFIX,
        "filter": block(
            {
                "prefix": _PREFIX,
                "tag": _TAG,
                **_SIZES,
                "and": block({"prefix": _PREFIX, "tags": string_map(), **_SIZES}),
            }
        ),
        "abortIncompleteMultipartUpload": block({"daysAfterInitiation": integer(1)}),
        "expiration": block({"date": string(), "days": integer(1), "expiredObjectDeleteMarker": boolean()}),
        "transitions": block_set({"date": string(), "days": integer(0), "storageClass": _TRANSITION_CLASS}),
        "noncurrentVersionExpiration": block(
            {"noncurrentDays": integer(1, required=True), "newerNoncurrentVersions": integer(1)}
        ),
        "noncurrentVersionTransitions": block_set(
            {
                "noncurrentDays": integer(0, required=True),
                "newerNoncurrentVersions": integer(1),
                "storageClass": _TRANSITION_CLASS,
            }
        ),
    },
    required=True,
)
_MINIMUM_SIZE = string(
    default="all_storage_classes_128K", check=one_of("all_storage_classes_128K", "varies_by_storage_class")
)


def _lifecycle_rules(inputs: State) -> list[Json]:
    """The rules in S3's form, in which a rule for the whole bucket says so."""
    rules: list[Json] = _to_s3(_LIFECYCLE_RULES, inputs["rules"])
    for rule in rules:
        if "Filter" not in rule:
            rule.setdefault("Prefix", "")
    return rules


BUCKET_LIFECYCLE = _configuration(
    token="aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    properties={"rules": _LIFECYCLE_RULES, "transitionDefaultMinimumObjectSize": _MINIMUM_SIZE},
    put=Call(
        "s3",
        "put_bucket_lifecycle_configuration",
        {
            "Bucket": ID,
            "LifecycleConfiguration": {"Rules": _lifecycle_rules},
            "TransitionDefaultMinimumObjectSize": "transitionDefaultMinimumObjectSize",
        },
    ),
    read=_reading_s3(
        Call("s3", "get_bucket_lifecycle_configuration", {"Bucket": ID}),
        {
            "rules": (_LIFECYCLE_RULES, "Rules"),
            "transitionDefaultMinimumObjectSize": (_MINIMUM_SIZE, "TransitionDefaultMinimumObjectSize"),
        },
        missing="NoSuchLifecycleConfiguration",
    ),
    delete=deleting(
        Call("s3", "delete_bucket_lifecycle", {"Bucket": ID}), missing=(_NO_BUCKET, "NoSuchLifecycleConfiguration")
    ),
)


_KEY_FORMAT = block(
    {
        "partitionedPrefix": block(
            {"partitionDateSource": string(required=True, check=one_of("EventTime", "DeliveryTime"))}
        ),
        "simplePrefix": block({}),
    }
)


def _validate_logging(inputs: State) -> Iterable[tuple[str, str]]:
    """terraform-provider-aws, bucket_logging.go: exactly one of both formats."""
    wanted = inputs.get("targetObjectKeyFormat")
    if wanted is None or contains_unknown(wanted):
        return
    if len([name for name in ("partitionedPrefix", "simplePrefix") if wanted.get(name) is not None]) != 1:
        yield "targetObjectKeyFormat", "exactly one of partitionedPrefix and simplePrefix must be set"


def _key_format(inputs: State) -> Json:
    wanted = inputs.get("targetObjectKeyFormat")
    return None if wanted is None else _to_s3(_KEY_FORMAT, wanted)


def _read_logging(aws: Aws, id: str, state: State) -> State | None:
    names = {
        "targetBucket": "TargetBucket",
        "targetPrefix": "TargetPrefix",
        "targetObjectKeyFormat": "TargetObjectKeyFormat",
    }
    call = Call("s3", "get_bucket_logging", {"Bucket": ID})
    found = reading(call, "LoggingEnabled", names, missing=(_NO_BUCKET,))(aws, id, state)
    if found is None or found["targetObjectKeyFormat"] is None:
        return found
    return {**found, "targetObjectKeyFormat": _from_s3(_KEY_FORMAT, found["targetObjectKeyFormat"])}


def _delete_logging(aws: Aws, id: str, state: State) -> None:
    """S3 turns logging off by a document that says nothing of it (API Reference, PutBucketLogging)."""
    # A template leaves out what is empty.
    off = Call("s3", "put_bucket_logging", lambda _: {"Bucket": id, "BucketLoggingStatus": {}})
    deleting(off, missing=(_NO_BUCKET,))(aws, id, state)


BUCKET_LOGGING = _configuration(
    token="aws:s3/bucketLogging:BucketLogging",
    properties={
        "targetBucket": string(required=True, check=length(1, 63)),
        "targetPrefix": string(required=True, check=length(0, 1024)),
        "targetObjectKeyFormat": _KEY_FORMAT,
    },
    put=Call(
        "s3",
        "put_bucket_logging",
        {
            "Bucket": ID,
            "BucketLoggingStatus": {
                "LoggingEnabled": {
                    "TargetBucket": "targetBucket",
                    "TargetPrefix": "targetPrefix",
                    "TargetObjectKeyFormat": _key_format,
                }
            },
        },
    ),
    read=_read_logging,
    delete=_delete_logging,
    validate=_validate_logging,
)
