"""What may be seen of a release while it is published: whoever sees that it is there finds all of it.

Rule, from the end to the beginning: where any region has its record, every region has all that its manifest lists,
with that content; where a region has `repomd.xml`, it has what that lists, down to the packages; where any region has
the manifest, every region has the files, because the manifest claims the name of what is already there.
Read from what is stored, with nothing of what has published it.
"""

import base64
import gzip
import hashlib
import json
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree

_REPO: Final = "{http://linux.duke.edu/metadata/repo}"
_COMMON: Final = "{http://linux.duke.edu/metadata/common}"


@dataclass(frozen=True)
class Stored:
    """What S3 says of an object: its size in bytes and its ChecksumSHA256."""

    size: int
    checksum: str

    @classmethod
    def of(cls, content: bytes) -> "Stored":
        """What S3 says of an object with that content."""
        return cls(len(content), base64.b64encode(hashlib.sha256(content).digest()).decode())


@dataclass(frozen=True)
class RegionView:
    """What a region has of a release: its record as it is stored, and objects of its bucket, None where none is."""

    record: Mapping[str, Any] | None
    stored: Callable[[str], Stored | None]
    read: Callable[[str], bytes | None]


def half_visible(release: str, views: Mapping[str, RegionView]) -> list[str]:
    """Everything about `release` that can be seen in a region though what belongs to it can't; empty if all is well."""
    folder = f"releases/{release}"
    return [
        *_by_record(views),
        *_by_manifest(f"{folder}/manifest.json", views),
        *(problem for region, view in views.items() for problem in _by_repository(folder, region, view)),
    ]


def _by_record(views: Mapping[str, RegionView]) -> list[str]:
    records = {region: view.record for region, view in views.items() if view.record is not None}
    problems = []
    if len({record["digest"] for record in records.values()}) > 1:
        problems.append("the regions' records are of different manifests")
    for teller, record in records.items():
        for region, view in views.items():
            where = f"{teller} has the record, and {region}"
            content = view.read(record["manifest"])
            if content is None:
                problems.append(f"{where} lacks the manifest")
            elif hashlib.sha256(content).hexdigest() != record["digest"]:
                problems.append(f"{where} has another manifest")
            else:
                manifest = json.loads(content)
                problems += _unfit(where, view, [*manifest["files"], *manifest["repodata"]])
    return problems


def _by_manifest(key: str, views: Mapping[str, RegionView]) -> list[str]:
    found = {region: content for region, view in views.items() if (content := view.read(key)) is not None}
    problems = ["the regions have different manifests"] if len(set(found.values())) > 1 else []
    for teller, content in found.items():
        for region, view in views.items():
            problems += _unfit(f"{teller} has the manifest, and {region}", view, json.loads(content)["files"])
    return problems


def _unfit(where: str, view: RegionView, entries: Iterable[Mapping[str, Any]]) -> list[str]:
    problems = []
    for entry in entries:
        stored = view.stored(entry["key"])
        if stored is None:
            problems.append(f"{where} lacks {entry['key']}")
        elif stored != Stored(entry["size"], entry["checksum"]):
            problems.append(f"{where} has other content at {entry['key']}")
    return problems


def _by_repository(folder: str, region: str, view: RegionView) -> list[str]:
    content = view.read(f"{folder}/repodata/repomd.xml")
    if content is None:
        return []
    where, problems = f"{region} has repomd.xml, and", []
    if view.read(f"{folder}/manifest.json") is None:
        problems.append(f"{where} lacks the manifest")
    for data in ElementTree.fromstring(content).iter(f"{_REPO}data"):
        key = f"{folder}/{_attribute(data, f'{_REPO}location', 'href')}"
        listed = view.read(key)
        if listed is None:
            problems.append(f"{where} lacks {key}")
        elif hashlib.sha256(listed).hexdigest() != data.findtext(f"{_REPO}checksum"):
            problems.append(f"{where} has other content at {key}")
        elif data.get("type") == "primary":
            problems += _unfit_packages(where, folder, view, gzip.decompress(listed))
    return problems


def _unfit_packages(where: str, folder: str, view: RegionView, primary: bytes) -> list[str]:
    problems = []
    for package in ElementTree.fromstring(primary).iter(f"{_COMMON}package"):
        key = posixpath.normpath(f"{folder}/{_attribute(package, f'{_COMMON}location', 'href')}")
        stored, size = view.stored(key), int(_attribute(package, f"{_COMMON}size", "package"))
        if stored is None:
            problems.append(f"{where} lacks {key}")
        elif stored.size != size:
            problems.append(f"{where} has {stored.size} bytes at {key}, not {size}")
    return problems


def _attribute(element: ElementTree.Element, child: str, name: str) -> str:
    found = element.find(child)
    assert found is not None, f"{element.tag} has no {child}"
    return found.attrib[name]
