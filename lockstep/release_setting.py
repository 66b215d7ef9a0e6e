"""`lockstep:release` in Pulumi.yaml: one value is changed, and every other byte stays.

The YAML parser finds where the value stands; the text is cut there. So comments, order, quotes and blank lines survive,
which no parser that writes YAML anew can promise. The file is replaced as a whole or not at all.
"""

import json
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lockstep.config.files import read_stack_file
from lockstep.errors import InvalidInputError
from lockstep.project import PROJECT_FILE

KEY: Final = "lockstep:release"
_NEIGHBOUR: Final = "lockstep:application"
_VALUE_FIELDS: Final = ("value", "default")
_NULL: Final = "tag:yaml.org,2002:null"
# YAML 1.2.2, chapters 7 and 8: an anchor, an alias, a tag, and the two block scalars begin with these.
_NOT_CUT: Final = ("&", "*", "!", "|", ">")


@dataclass(frozen=True)
class _Place:
    """The text from `start` to `end` is replaced by `before`, the value in quotes of the kind `quote`, and `after`.

    `value` is what stands there; `end` equals `start` where the key, or its value, is still to be written.
    """

    start: int
    end: int
    value: str | None
    quote: str = '"'
    before: str = ""
    after: str = ""


def read(root: Path) -> str | None:
    """The release that Pulumi.yaml in `root` wants; None if none.

    Raises InvalidInputError if it can't be read, or if a stack's own file overrides it.
    """
    _refuse_overrides(root)
    return _find(_text(root)).value or None


def write(root: Path, release: str | None) -> None:
    """Have Pulumi.yaml in `root` want `release`; None for none.

    Raises InvalidInputError, with the file untouched, if there is no place for it or a stack's own file overrides it.
    """
    _refuse_overrides(root)
    text = _text(root)
    place = _find(text)
    if (place.value or None) == release:
        return
    value = _quoted(release or "", place.quote)
    changed = f"{text[: place.start]}{place.before}{value}{place.after}{text[place.end :]}"
    if not _says(changed, release):
        raise InvalidInputError(
            f"{PROJECT_FILE}: {KEY} can't be set to {release!r} in the form that it has there",
            f"write it by hand: `{KEY}: {value}`",
        )
    _replace((root / PROJECT_FILE).resolve(), changed)


def _says(text: str, release: str | None) -> bool:
    try:
        return (_find(text).value or None) == release
    except InvalidInputError:
        return False


def _refuse_overrides(root: Path) -> None:
    """All sites run the same release: a file of one of them must not have a say, now or after the next deployment."""
    names = [path.name for path in root.glob("Pulumi.*.yaml")]
    stacks = sorted(name.removeprefix("Pulumi.").removesuffix(".yaml") for name in names)
    overriding = [file.name for file in (read_stack_file(root, stack) for stack in stacks) if "release" in file.values]
    if overriding:
        raise InvalidInputError(
            f"{' and '.join(overriding)} set{'s' if len(overriding) == 1 else ''} {KEY}, which every site takes from "
            f"{PROJECT_FILE}: that stack would run another release than its peer",
            "; ".join(
                f"pulumi config rm {KEY} -s {name.removeprefix('Pulumi.').removesuffix('.yaml')}" for name in overriding
            ),
        )


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
    pair = _pair(config, KEY)
    if pair is None:
        return _new_key(text, config)
    pair = _value(*pair)
    if pair is None:
        raise InvalidInputError(
            f"{PROJECT_FILE}: {KEY} has neither a text nor an entry `default` or `value`", f'write `{KEY}: "1.0.0"`'
        )
    return _old_value(text, *pair)


def _old_value(text: str, key: Node, scalar: ScalarNode) -> _Place:
    start, end = scalar.start_mark.index, scalar.end_mark.index
    source = text[start:end]
    if source.startswith(_NOT_CUT):
        raise InvalidInputError(
            f"{PROJECT_FILE}, line {scalar.start_mark.line + 1}: {KEY} is {source.splitlines()[0]}, with an anchor, an "
            "alias, a tag or a block of lines, which can't be changed without changing more",
            f'write `{KEY}: "{scalar.value.strip()}"`',
        )
    if not source:
        # The parser sees an empty value at what comes next. YAML wants a space after the colon.
        start = text.index(":", key.end_mark.index) + 1
        return _Place(start, start, None, before=" ")
    if scalar.tag == _NULL:
        return _Place(start, end, None)
    if scalar.style is None and not _is_plain_text(scalar.value):
        raise InvalidInputError(
            f"{PROJECT_FILE}, line {scalar.start_mark.line + 1}: {KEY} is {scalar.value}, which YAML doesn't take for "
            "a text, and a release is one: 1.10 and 1.1 are two",
            f'put it in quotes: "{scalar.value}"',
        )
    return _Place(start, end, scalar.value, quote=scalar.style or "")


def _new_key(text: str, config: MappingNode) -> _Place:
    """A place for the key below its neighbour, in the form that the neighbour has."""
    key, neighbour = next((pair for pair in config.value if pair[0].value == _NEIGHBOUR), config.value[0])
    line_end = "\r\n" if "\r\n" in text else "\n"
    indent = " " * key.start_mark.column
    lines = [f"{indent}{KEY}: "]
    if isinstance(neighbour, MappingNode) and not neighbour.flow_style and neighbour.value:
        inner = " " * neighbour.value[0][0].start_mark.column
        lines = [f"{indent}{KEY}:", f"{inner}type: string", f"{inner}default: "]
    start = _line_after(text, _last_index(neighbour))
    missing = line_end if text[start - 1] != "\n" else ""
    return _Place(start, start, None, before=missing + line_end.join(lines), after=line_end)


def _last_index(node: Node) -> int:
    """Where the last character of a node is; what ends a block of YAML is the next token, comments later."""
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_index(last[1] if isinstance(last, tuple) else last)
    return max(int(node.end_mark.index) - 1, 0)


def _line_after(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _value(key: Node, entry: Node) -> tuple[Node, ScalarNode] | None:
    """What holds the value: the entry itself, or a part of it; with its key."""
    if isinstance(entry, ScalarNode):
        return key, entry
    if isinstance(entry, MappingNode):
        for name in _VALUE_FIELDS:
            pair = _pair(entry, name)
            if pair is not None and isinstance(pair[1], ScalarNode):
                return pair[0], pair[1]
    return None


def _entry(mapping: MappingNode, key: str) -> Node | None:
    pair = _pair(mapping, key)
    return pair[1] if pair else None


def _pair(mapping: MappingNode, key: str) -> tuple[Node, Node] | None:
    """`key` and its value. A key of the configuration without a namespace is the project's own."""
    names = (key, KEY.partition(":")[2]) if key == KEY else (key,)
    found: list[tuple[Node, Node]] = [pair for pair in mapping.value if pair[0].value in names]
    if len(found) > 1:
        lines = " and ".join(str(name.start_mark.line + 1) for name, _ in found)
        raise InvalidInputError(f"{PROJECT_FILE}: {key} is there twice, in lines {lines}", "delete one of them")
    return found[0] if found else None


def _compose(text: str) -> Any:
    try:
        return YAML(pure=True).compose(text)
    except YAMLError as error:
        raise InvalidInputError(f"{PROJECT_FILE} isn't YAML: {error}", "correct it, then run this again") from error


def _quoted(value: str, quote: str) -> str:
    """`value` in quotes of the kind that were there; in double ones where it needs those to stay what it is."""
    if quote == "" and re.fullmatch(r"[A-Za-z0-9._-]+", value) and _is_plain_text(value):
        return value
    if quote == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    # JSON's strings are YAML's, and 1.10 in quotes stays what it is.
    return json.dumps(value, ensure_ascii=False)


def _is_plain_text(value: str) -> bool:
    """Whether YAML 1.1 (PyYAML, which reads the configuration) and 1.2 both take `value` without quotes for a text."""
    try:
        readings = yaml.safe_load(value), YAML(typ="safe", pure=True).load(value)
    except (ValueError, YAMLError, yaml.YAMLError):
        return False
    return readings == (value, value)


def _replace(path: Path, text: str) -> None:
    """Put `text` in the place of the file: it has the old content or the new, whatever happens."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))  # noqa: PTH101 - the name is a string
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            os.unlink(temporary)  # noqa: PTH108
            raise
    except OSError as error:
        raise InvalidInputError(
            f"{path} can't be written: {error}; it is as it was", "make its folder writable, then run this again"
        ) from error
