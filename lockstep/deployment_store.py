"""Where the deployment record is kept: one SSM parameter in every region.

Rule: whoever changes the record holds the lease (`lockstep.lease`) from before it is read until it is written, because
SSM has no conditional writes; raises its epoch; and writes it to every region. A deployment needs all of them. A site
that is updated alone needs its own, and takes and writes those of the others that answer.
"""

from collections.abc import Callable, Iterable
from typing import Any

from botocore.exceptions import ClientError

from lockstep.deployment_record import VALUE_MAX, DeploymentRecord, newest, parameter_name, parse
from lockstep.errors import IncompleteError
from lockstep.regions import RegionFailure, in_every_region, raise_for

Client = Callable[[str, str], Any]


class RecordMovedError(IncompleteError):
    """Somebody else has written the record of `region` since it was read: they have the lease, or work without it.

    As with a lost lease, this process must change nothing more, not even to undo.
    """

    def __init__(self, region: str, message: str) -> None:
        super().__init__(message, "see who is at work: `lockstep status`; then `lockstep settle`")
        self.region = region


class DeploymentStore:
    """The deployment record of `application` in each of `regions`."""

    def __init__(self, client: Client, application: str, regions: Iterable[str]) -> None:
        self._client = client
        self._name = parameter_name(application)
        self._regions = tuple(regions)

    def read_all(self) -> tuple[dict[str, DeploymentRecord | None], dict[str, RegionFailure]]:
        """The record in each region that answers, None where there is none; and the regions that failed."""
        return in_every_region(self._regions, self.read)

    def read(self, region: str) -> DeploymentRecord | None:
        """The record in `region`; None if there is none. Raises what AWS refuses."""
        try:
            value = self._client("ssm", region).get_parameter(Name=self._name)["Parameter"]["Value"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                return None
            raise
        return parse(value, f"SSM parameter {self._name} in {region}")

    def current(self) -> DeploymentRecord | None:
        """The newest record; None if no region has one.

        Raises RegionUnreachableError, or what else is the matter, if a region can't be asked: it might be the one that
        has the newest.
        """
        records, failures = self.read_all()
        raise_for(failures)
        return newest(records.values())

    def write(self, record: DeploymentRecord, regions: Iterable[str] | None = None) -> dict[str, RegionFailure]:
        """Write `record` to `regions` (default: all); returns the regions that failed.

        Raises RecordMovedError if a region has a newer one, which it keeps.
        """
        value = record.as_text()
        if len(value.encode()) > VALUE_MAX:
            raise ValueError(f"the record has {len(value.encode())} bytes, and a parameter holds {VALUE_MAX}")

        def put(region: str) -> None:
            there = self.read(region)
            if there is not None and (there.epoch > record.epoch or (there.epoch == record.epoch and there != record)):
                raise RecordMovedError(
                    region,
                    f"{self._name} in {region} is at epoch {there.epoch}, not before {record.epoch}: somebody else "
                    "has written it meanwhile; what was begun is left as it is",
                )
            self._client("ssm", region).put_parameter(Name=self._name, Value=value, Type="String", Overwrite=True)

        return in_every_region(self._regions if regions is None else regions, put)[1]
