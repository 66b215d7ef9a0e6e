"""RDS instances with an identity of their own, and replicas that are promoted or left behind as on AWS.

Records only: no database runs behind them yet.
"""

import random
import string
from typing import Any, NoReturn

from moto.rds.exceptions import RDSClientError
from moto.rds.models import DBInstance, RDSBackend

from sandbox.api.change import Change, wrap

# RDS API Reference, DBInstance: DbiResourceId is `db-` and 26 capitals and digits; it is never given twice.
RESOURCE_ID_LENGTH = 26


def _refuse(code: str, message: str) -> NoReturn:
    raise RDSClientError(code, message)


def _resource_id() -> str:
    return "db-" + "".join(random.choices(string.ascii_uppercase + string.digits, k=RESOURCE_ID_LENGTH))


def _init_instance(original: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
    original(instance, *args, **kwargs)
    instance.dbi_resource_id = _resource_id()


def _create_replica(original: Any, backend: Any, settings: dict[str, Any]) -> Any:
    identifier = settings["db_instance_identifier"]
    if identifier in backend.databases:
        _refuse("DBInstanceAlreadyExists", f"DB instance already exists: {identifier}")
    replica = original(backend, settings)
    # moto copies the source, its identity included.
    replica.dbi_resource_id = _resource_id()
    return replica


def _source_of(backend: Any, replica: Any) -> Any | None:
    """The instance that `replica` follows; None if it was deleted."""
    try:
        return backend.find_db_from_id(replica.source_db_instance_identifier)
    except RDSClientError as error:
        if error.code != "DBInstanceNotFound":
            raise
        return None


def _detach(backend: Any, replica: Any) -> None:
    source = _source_of(backend, replica)
    if source is not None:
        source.remove_replica(replica)
    replica.is_replica = False
    replica.source_db_instance_identifier = None


def _promote(original: Any, backend: Any, settings: dict[str, Any]) -> Any:
    identifier = settings["db_instance_identifier"]
    instance = backend.databases.get(identifier)
    if instance is None:
        _refuse("DBInstanceNotFound", f"DBInstance {identifier} not found.")
    if not instance.is_replica:
        _refuse("InvalidDBInstanceState", f"DB Instance {identifier} is not a read replica")
    original(backend, settings)
    _detach(backend, instance)
    return instance


def _remove_replica(_original: Any, source: Any, replica: Any) -> None:
    # A source lists replicas of its own region by name, others by ARN.
    gone = (replica.db_instance_identifier, replica.db_instance_arn)
    source.replicas = [listed for listed in source.replicas if listed not in gone]


def _delete(original: Any, backend: Any, db_instance_identifier: str, *args: Any, **kwargs: Any) -> Any:
    """Delete an instance whatever follows it, as RDS does.

    RDS User Guide, "Deleting a DB instance": replicas in the region are promoted. "Cross-Region replication
    considerations": others aren't; their replication ends, and they keep naming a source that is gone.
    """
    instance = backend.databases.get(db_instance_identifier)
    if instance is not None and instance.is_replica and _source_of(backend, instance) is None:
        instance.is_replica = False
    deleted = original(backend, db_instance_identifier, *args, **kwargs)
    for replica in list(backend.databases.values()):
        if replica.is_replica and replica.source_db_instance_identifier in (
            db_instance_identifier,
            deleted.db_instance_arn,
        ):
            _detach(backend, replica)
    return deleted


def _apply_identity() -> None:
    wrap(DBInstance, "__init__", _init_instance)
    wrap(RDSBackend, "create_db_instance_read_replica", _create_replica)


def _apply_replicas() -> None:
    wrap(RDSBackend, "promote_read_replica", _promote)
    wrap(RDSBackend, "delete_db_instance", _delete)
    wrap(DBInstance, "remove_replica", _remove_replica)


CHANGES: tuple[Change, ...] = (
    Change(
        name="rds-resource-ids",
        why=(
            "moto gives every instance the same DbiResourceId. On AWS it is unique and tells a new instance from a "
            "deleted one of the same name (RDS API Reference, DBInstance)."
        ),
        apply=_apply_identity,
    ),
    Change(
        name="rds-replicas",
        why=(
            "moto promotes what isn't a replica, leaves a promoted one tied to its source, and fails on deleting a "
            "replica of another region or one whose source is gone. AWS: RDS API Reference, PromoteReadReplica "
            "(InvalidDBInstanceState); RDS User Guide, 'Deleting a DB instance'."
        ),
        apply=_apply_replicas,
    ),
)
