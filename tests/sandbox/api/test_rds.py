"""Database instances are told apart, and replicas are promoted once."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def source(rds: Any, name: str = "app-primary-g1") -> dict[str, Any]:
    made = rds.create_db_instance(
        DBInstanceIdentifier=name,
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="app",
        MasterUserPassword="not-a-secret",
    )
    return dict(made["DBInstance"])


def replica(rds: Any, of: str, name: str = "app-secondary-g1") -> dict[str, Any]:
    made = rds.create_db_instance_read_replica(DBInstanceIdentifier=name, SourceDBInstanceIdentifier=of)
    return dict(made["DBInstance"])


def described(rds: Any, name: str) -> dict[str, Any]:
    return dict(rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0])


def delete(rds: Any, name: str) -> None:
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


@pytest.mark.change("rds-resource-ids")
def test_no_two_instances_share_a_resource_id(aws: Any) -> None:
    """Without it metrics and permissions of one instance are another's, and a new instance passes for the old one."""
    west, central = aws("rds", "eu-west-1"), aws("rds", "eu-central-1")
    first = source(west)
    second = source(west, "other")
    copy = replica(central, first["DBInstanceArn"])
    delete(west, "other")
    again = source(west, "other")
    ids = [instance["DbiResourceId"] for instance in (first, second, copy, again)]
    assert len(set(ids)) == 4
    assert all(re.fullmatch(r"db-[A-Z0-9]{26}", identifier) for identifier in ids)
    assert described(west, "app-primary-g1")["DbiResourceId"] == first["DbiResourceId"]


@pytest.mark.change("rds-replicas")
def test_only_a_replica_is_promoted_and_only_once(aws: Any) -> None:
    """Without it promoting the wrong instance, or twice, looks like a failover that worked."""
    west, central = aws("rds", "eu-west-1"), aws("rds", "eu-central-1")
    arn = source(west)["DBInstanceArn"]
    replica(central, arn)
    assert refused(lambda: west.promote_read_replica(DBInstanceIdentifier="app-primary-g1"))[0] == (
        "InvalidDBInstanceState"
    )
    promote = partial(central.promote_read_replica, DBInstanceIdentifier="app-secondary-g1")
    promote()
    assert "ReadReplicaSourceDBInstanceIdentifier" not in described(central, "app-secondary-g1")
    assert described(west, "app-primary-g1")["ReadReplicaDBInstanceIdentifiers"] == []
    assert refused(promote)[0] == "InvalidDBInstanceState"
    assert refused(lambda: central.promote_read_replica(DBInstanceIdentifier="absent"))[0] == "DBInstanceNotFound"


@pytest.mark.change("rds-replicas")
def test_deleting_a_source_promotes_its_own_regions_replicas_and_leaves_the_others(aws: Any) -> None:
    """Without it what remains after the primary's loss can't be deleted here, or is promoted by itself."""
    west, central = aws("rds", "eu-west-1"), aws("rds", "eu-central-1")
    arn = source(west)["DBInstanceArn"]
    replica(west, "app-primary-g1", "near")
    replica(central, arn, "far")
    delete(west, "app-primary-g1")
    assert "ReadReplicaSourceDBInstanceIdentifier" not in described(west, "near")
    assert described(central, "far")["ReadReplicaSourceDBInstanceIdentifier"] == arn
    delete(central, "far")
    assert central.describe_db_instances()["DBInstances"] == []


@pytest.mark.change("rds-replicas")
def test_a_deleted_replica_is_no_longer_listed_by_its_source(aws: Any) -> None:
    """Without it replacing a replica fails half way, or the source lists one that is gone."""
    west, central = aws("rds", "eu-west-1"), aws("rds", "eu-central-1")
    arn = source(west)["DBInstanceArn"]
    far = replica(central, arn)
    assert described(west, "app-primary-g1")["ReadReplicaDBInstanceIdentifiers"] == [far["DBInstanceArn"]]
    delete(central, "app-secondary-g1")
    assert described(west, "app-primary-g1")["ReadReplicaDBInstanceIdentifiers"] == []
