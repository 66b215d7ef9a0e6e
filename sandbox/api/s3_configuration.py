"""Configuration documents in XML: read strictly, kept as they were put, and written as they are kept."""

from typing import Any
from xml.parsers.expat import ExpatError

import xmltodict  # type: ignore[import-untyped]  # It has no types, and no stubs are installed.

from sandbox.api.s3_error import malformed_xml

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def read_document(body: bytes, root: str, lists: tuple[str, ...]) -> dict[str, Any]:
    """The content of an XML document with the root element `root`; elements named in `lists` are always lists.

    An empty element is None. Raises S3Error MalformedXML.
    """
    try:
        content = xmltodict.parse(body, force_list=lists)[root]
    except (ExpatError, KeyError):
        raise malformed_xml() from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise malformed_xml()
    return {name: value for name, value in content.items() if not name.startswith("@")}


def write_document(root: str, content: dict[str, Any]) -> str:
    """The XML of what `read_document` read."""
    text: str = xmltodict.unparse({root: {"@xmlns": _NAMESPACE, **content}})
    return text


def child(parent: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The element `name` of `parent` as a dict, empty for an empty element; None if it isn't there.

    Raises S3Error MalformedXML if it holds text where elements belong.
    """
    if name not in parent:
        return None
    value = parent[name]
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise malformed_xml()
    return value


def text_of(parent: dict[str, Any], name: str) -> str | None:
    """The text of the element `name`, "" for an empty one, None if it isn't there. Raises S3Error MalformedXML."""
    if name not in parent:
        return None
    value = parent[name]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise malformed_xml()
    return value


def number_of(parent: dict[str, Any], name: str) -> int | None:
    """The whole number in the element `name`, None if it isn't there. Raises S3Error MalformedXML."""
    text = text_of(parent, name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise malformed_xml() from None


def switch_of(parent: dict[str, Any], name: str) -> bool | None:
    """Whether the element `name` says Enabled rather than Disabled, None if it isn't there. Raises S3Error
    MalformedXML.
    """
    text = text_of(parent, name)
    if text is None:
        return None
    if text not in ("Enabled", "Disabled"):
        raise malformed_xml()
    return text == "Enabled"


def unknown_elements(parent: dict[str, Any], known: frozenset[str]) -> None:
    """Refuse elements that S3's schema doesn't have in this place. Raises S3Error MalformedXML."""
    if any(name not in known for name in parent if not name.startswith("@")):
        raise malformed_xml()
