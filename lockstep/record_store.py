"""Where a record is kept that has an epoch: one SSM parameter in every region, the highest epoch wins.

Rule: SSM has no conditional writes. A write reads first and never goes back to an older epoch, nor to another record of
the same one; whether somebody writes between the two is for the caller to rule out, by a lease, or to find out.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from botocore.exceptions import ClientError

from lockstep.deployment_record import VALUE_MAX
from lockstep.errors import IncompleteError
from lockstep.regions import RegionFailure, in_every_region

Client = Callable[[str, str], Any]


class Record(Protocol):
    """What can be kept."""

    @property
    def epoch(self) -> int:
        """How many there were before it."""

    def as_text(self) -> str:
        """As it is stored."""


Kept = TypeVar("Kept", bound=Record)


class RecordMovedError(IncompleteError):
    """Somebody else has written the record of `region` since it was read.

    As with a lost lease, this process must change nothing more, not even to undo.
    """

    def __init__(self, region: str, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.region = region


class RecordStore(Generic[Kept]):
    """The record in parameter `name` of each of `regions`; `parse(text, where)` reads it.

    `moved` says what to do when somebody else has written it.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        regions: Iterable[str],
        parse: Callable[[str, str], Kept],
        moved: str = "see who is at work: `lockstep status`; then `lockstep settle`",
    ) -> None:
        self._client = client
        self._name = name
        self._regions = tuple(regions)
        self._parse = parse
        self._moved = moved

    def read_all(self) -> tuple[dict[str, Kept | None], dict[str, RegionFailure]]:
        """The record in each region that answers, None where there is none; and the regions that failed."""
        return in_every_region(self._regions, self.read)

    def read(self, region: str) -> Kept | None:
        """The record in `region`; None if there is none. Raises what AWS refuses."""
        try:
            value = self._client("ssm", region).get_parameter(Name=self._name)["Parameter"]["Value"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                return None
            raise
        return self._parse(value, f"SSM parameter {self._name} in {region}")

    def write(self, record: Kept, regions: Iterable[str] | None = None) -> dict[str, RegionFailure]:
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
                    self._moved,
                )
            self._client("ssm", region).put_parameter(Name=self._name, Value=value, Type="String", Overwrite=True)

        return in_every_region(self._regions if regions is None else regions, put)[1]
