"""Where the deployment record is kept: one SSM parameter in every region.

Rule: whoever changes the record holds the lease (`lockstep.lease`) from before it is read until it is written, because
SSM has no conditional writes; raises its epoch; and writes it to every region. A deployment needs all of them. A site
that is updated alone needs its own, and takes and writes those of the others that answer.
"""

from collections.abc import Iterable

from lockstep.deployment_record import DeploymentRecord, newest, parameter_name, parse
from lockstep.record_store import Client, RecordMovedError, RecordStore
from lockstep.regions import raise_for

__all__ = ["DeploymentStore", "RecordMovedError"]


class DeploymentStore(RecordStore[DeploymentRecord]):
    """The deployment record of `application` in each of `regions`."""

    def __init__(self, client: Client, application: str, regions: Iterable[str]) -> None:
        super().__init__(client, parameter_name(application), regions, parse)

    def current(self) -> DeploymentRecord | None:
        """The newest record; None if no region has one.

        Raises RegionUnreachableError, or what else is the matter, if a region can't be asked: it might be the one that
        has the newest.
        """
        records, failures = self.read_all()
        raise_for(failures)
        return newest(records.values())
