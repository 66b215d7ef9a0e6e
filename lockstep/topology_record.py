"""The topology record: which sites are drained, by whom and since when.

Rule: the record with the highest epoch is the truth, wherever it is read; the drain switches do what it says. Nothing
here calls AWS.
"""

from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from lockstep.config.naming import records_path
from lockstep.errors import InvalidInputError
from lockstep.record_store import Client, RecordStore


class Drain(BaseModel):
    """That a site is drained: since when, and who has done it."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="allow")

    at: str
    by: str


class TopologyRecord(BaseModel):
    """The record at one epoch: `drained` has the sites that get no traffic by order.

    What a newer version adds is kept: an older one that drains a site must not forget who the writer is.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="allow")

    epoch: int = 0
    drained: Mapping[str, Drain] = {}

    def as_text(self) -> str:
        """As it is stored."""
        return self.model_dump_json(by_alias=True)

    def drain(self, site: str, at: str, by: str) -> Self:
        """With `site` drained; itself if it is already."""
        return self if site in self.drained else self._next({**self.drained, site: Drain(at=at, by=by)})

    def undrain(self, site: str) -> Self:
        """With `site` in service; itself if it is already."""
        if site not in self.drained:
            return self
        return self._next({name: drain for name, drain in self.drained.items() if name != site})

    def _next(self, drained: Mapping[str, Drain]) -> Self:
        return self.model_copy(update={"drained": drained, "epoch": self.epoch + 1})


def parameter_name(application: str) -> str:
    """The SSM parameter that holds the record."""
    return f"{records_path(application)}/topology"


def parse(text: str, where: str) -> TopologyRecord:
    """The record in `text`. Raises InvalidInputError, naming `where`, if it isn't one."""
    try:
        return TopologyRecord.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3])
        raise InvalidInputError(
            f"{where} isn't a topology record ({problems})",
            "`aws ssm get-parameter-history` shows what was there before; put that back, then run this again",
        ) from error


def newest(records: Iterable[TopologyRecord | None]) -> TopologyRecord:
    """The record with the highest epoch; one of epoch 0, with no site drained, if there is none.

    Of several, the one that drains most: two who couldn't see each other meant what they did.
    """
    there = [each for each in records if each is not None]
    return max(there, key=lambda each: (each.epoch, len(each.drained)), default=TopologyRecord())


def topology_store(client: Client, application: str, regions: Iterable[str]) -> RecordStore[TopologyRecord]:
    """The topology record of `application` in each of `regions`."""
    return RecordStore(
        client, parameter_name(application), regions, parse, moved="see what is drained: `lockstep status`"
    )
