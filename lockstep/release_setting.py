"""`lockstep:release` in Pulumi.yaml: one value is changed, and every other byte stays.

The YAML parser finds where the value stands; the text is cut there. So comments, order, quotes and blank lines survive,
which no parser that writes YAML anew can promise. The file is replaced as a whole or not at all.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from lockstep.errors import InvalidInputError
from lockstep.project import PROJECT_FILE

KEY: Final = "lockstep:release"
_VALUE_FIELDS: Final = ("value", "default")


@dataclass(frozen=True)
class _Place:
    """Where the value is in the text, or, if `end` is None, after which offset a new line with the key goes."""

    start: int
    end: int | None
    value: str | None
    indent: int = 0


def read(root: Path) -> str | None:
    """The release that Pulumi.yaml in `root` wants; None if none. Raises InvalidInputError if it can't be read."""
    return _find(_text(root)).value or None


def write(root: Path, release: str | None) -> None:
    """Have Pulumi.yaml in `root` want `release`; None for none.

    Raises InvalidInputError, with the file untouched, if there is no place for it.
    """
    text = _text(root)
    place = _find(text)
    if (place.value or None) == release and place.end is not None:
        return
    # JSON's strings are YAML's, and 1.10 in quotes stays what it is.
    value = json.dumps(release or "", ensure_ascii=False)
    if place.end is None:
        line_end = "\r\n" if "\r\n" in text else "\n"
        changed = f"{text[: place.start]}{' ' * place.indent}{KEY}: {value}{line_end}{text[place.start :]}"
    else:
        changed = text[: place.start] + value + text[place.end :]
    found = _find(changed).value or None
    if found != release:
        raise InvalidInputError(
            f"{PROJECT_FILE}: {KEY} can't be set to {release!r} in the form that it has there",
            f"write it by hand: `{KEY}: {value}`",
        )
    _replace((root / PROJECT_FILE).resolve(), changed)


def _text(root: Path) -> str:
    path = root / PROJECT_FILE
    try:
        # Line ends as they are.
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"{path} can't be read: {error}", f"correct {path.name}, then run this again"
        ) from error


def _find(text: str) -> _Place:
    document = _compose(text)
    config = _entry(document, "config") if isinstance(document, MappingNode) else None
    if not isinstance(config, MappingNode) or not config.value:
        raise InvalidInputError(
            f"{PROJECT_FILE} has no `config:` with keys in it", "see docs/configuration.md for those that it needs"
        )
    if config.flow_style:
        raise InvalidInputError(
            f"{PROJECT_FILE}: `config:` is written in one line in braces, where no key can be changed safely",
            "write one key a line",
        )
    entry = _entry(config, KEY)
    if entry is None:
        first = config.value[0][0].start_mark
        return _Place(_line_start(text, first.index), None, None, first.column)
    scalar = _value(entry)
    if scalar is None:
        raise InvalidInputError(
            f"{PROJECT_FILE}: {KEY} has neither a text nor an entry `default` or `value`", f'write `{KEY}: "1.0.0"`'
        )
    if scalar.tag in ("tag:yaml.org,2002:float", "tag:yaml.org,2002:int"):
        raise InvalidInputError(
            f"{PROJECT_FILE}: {KEY} is the number {scalar.value}, and a release is a text: 1.10 and 1.1 are two",
            f'put it in quotes: "{scalar.value}"',
        )
    empty = scalar.tag == "tag:yaml.org,2002:null"
    return _Place(scalar.start_mark.index, scalar.end_mark.index, None if empty else scalar.value)


def _value(entry: Node) -> ScalarNode | None:
    if isinstance(entry, ScalarNode):
        return entry
    if isinstance(entry, MappingNode):
        for name in _VALUE_FIELDS:
            found = _entry(entry, name)
            if isinstance(found, ScalarNode):
                return found
    return None


def _entry(mapping: MappingNode, key: str) -> Node | None:
    for name, value in mapping.value:
        if isinstance(name, ScalarNode) and name.value == key:
            found: Node = value
            return found
    return None


def _compose(text: str) -> Any:
    try:
        return YAML(pure=True).compose(text)
    except YAMLError as error:
        raise InvalidInputError(f"{PROJECT_FILE} isn't YAML: {error}", "correct it, then run this again") from error


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _replace(path: Path, text: str) -> None:
    """Put `text` in the place of the file: it has the old content or the new, whatever happens."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode)  # noqa: PTH101 - the name is a string
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise
