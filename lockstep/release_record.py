"""The record of a published release: one SSM parameter in every region, written once everything else is there.

Rule: it is never overwritten. A region that has it has everything that its manifest lists.
"""

from collections.abc import Callable
from typing import Any, Self

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from lockstep.config.naming import records_path
from lockstep.errors import InvalidInputError, RefusedError

Client = Callable[[str, str], Any]


class ReleaseRecord(BaseModel):
    """What is known of a release without looking into its bucket. Equal in every region, but for `published_at`.

    `digest` is that of the manifest, whose key is `manifest`; `package_set` that of the files without their repository;
    both hexadecimal. `size` is the bytes of everything. Later versions may add to it, within the 4 KB of a standard
    parameter (Systems Manager User Guide, "Managing parameter tiers").
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    release: str
    digest: str
    manifest: str
    package_set: str
    files: int
    size: int
    published_at: str

    def is_same(self, other: "ReleaseRecord") -> bool:
        """Whether both are of the same content, whenever published."""
        return (self.release, self.digest) == (other.release, other.digest)

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """The record in `text`. Raises InvalidInputError, naming `where`, if it isn't one."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidInputError(
                f"{where} isn't the record of a release ({error.errors()[0]['msg']})",
                "`aws ssm get-parameter-history` shows what was there before",
            ) from error


def releases_path(application: str) -> str:
    """The path of SSM parameters below which the releases are."""
    return f"{records_path(application)}/releases"


def read(client: Client, region: str, application: str, release: str) -> ReleaseRecord | None:
    """The record in `region`; None if there is none. Raises what AWS refuses."""
    name = f"{releases_path(application)}/{release}"
    try:
        value = client("ssm", region).get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return None
        raise
    return ReleaseRecord.parse(value, f"SSM parameter {name} in {region}")


def read_all(client: Client, region: str, application: str) -> dict[str, ReleaseRecord]:
    """Every record in `region`, by release."""
    pages = client("ssm", region).get_paginator("get_parameters_by_path").paginate(Path=releases_path(application))
    return {
        parameter["Name"].rpartition("/")[2]: ReleaseRecord.parse(
            parameter["Value"], f"SSM parameter {parameter['Name']} in {region}"
        )
        for page in pages
        for parameter in page["Parameters"]
    }


def write(client: Client, region: str, application: str, record: ReleaseRecord) -> bool:
    """Write the record to `region`; False if the same one was there.

    Raises RefusedError if another content has that name, and what AWS refuses.
    """
    name = f"{releases_path(application)}/{record.release}"
    try:
        client("ssm", region).put_parameter(
            Name=name, Value=record.model_dump_json(by_alias=True), Type="String", Overwrite=False
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterAlreadyExists":
            raise
        there = read(client, region, application, record.release)
        if there is not None and there.is_same(record):
            return False
        raise RefusedError(
            f"{region} has a release {record.release} of other content: digest {there.digest[:16] if there else '?'}, "
            f"not {record.digest[:16]}",
            "publish under a new version: a release is never changed",
        ) from error
    return True
