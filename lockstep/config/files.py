"""Pulumi.yaml and Pulumi.STACK.yaml as they are written, with the line of every value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from lockstep.config.problems import Problem

NAMESPACE: Final = "lockstep"
PROJECT_FILE: Final = "Pulumi.yaml"

YamlPath = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """What one file sets in our namespace.

    `values` is keyed by the names without their namespace, `roots` says where in the file each of them stands, `lines`
    holds the line, counted from 1, of every path in the file, and `problems` is what makes the file unreadable.
    """

    name: str
    exists: bool = True
    values: Mapping[str, Any] = field(default_factory=dict)
    roots: Mapping[str, YamlPath] = field(default_factory=dict)
    lines: Mapping[YamlPath, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line_of(self, key: str, path: YamlPath) -> int | None:
        """The line of `path` within the value of `key`, or of the nearest part of it that is in the file."""
        root = self.roots.get(key)
        if root is None:
            return None
        for length in range(len(path), -1, -1):
            line = self.lines.get(root + path[:length])
            if line is not None:
                return line
        return None


def stack_file_name(stack: str) -> str:
    """The file in which Pulumi keeps the configuration of `stack`."""
    return f"Pulumi.{stack}.yaml"


def read_project_file(root: Path) -> ConfigFile:
    """The shared values, in the `config:` block of Pulumi.yaml.

    The engine takes `default` or `value` of an entry, and an entry that isn't an object is its own default.
    """
    document, lines, problem = _parse(root, PROJECT_FILE)
    if problem is not None:
        return ConfigFile(name=PROJECT_FILE, exists=False, problems=(problem,))
    values: dict[str, Any] = {}
    roots: dict[str, YamlPath] = {}
    for raw_key, entry in _block(document).items():
        key = _name_of(raw_key)
        if key is None:
            continue
        place: YamlPath = ("config", raw_key)
        if not isinstance(entry, dict):
            values[key], roots[key] = entry, place
            continue
        roots[key] = place
        for attribute in ("default", "value"):
            if attribute in entry:
                values[key], roots[key] = entry[attribute], (*place, attribute)
    return ConfigFile(
        name=PROJECT_FILE, values=values, roots=roots, lines=lines, problems=_project_problems(document, lines)
    )


def read_stack_file(root: Path, stack: str) -> ConfigFile:
    """What the file of `stack` sets; a file that isn't there sets nothing and has `exists` false."""
    name = stack_file_name(stack)
    if not (root / name).exists():
        return ConfigFile(name=name, exists=False)
    document, lines, problem = _parse(root, name)
    if problem is not None:
        return ConfigFile(name=name, problems=(problem,))
    values: dict[str, Any] = {}
    roots: dict[str, YamlPath] = {}
    for raw_key, value in _block(document).items():
        key = _name_of(raw_key)
        if key is not None:
            values[key], roots[key] = value, ("config", raw_key)
    return ConfigFile(name=name, values=values, roots=roots, lines=lines)


def has_secret(value: Any) -> bool:
    """Whether a value, or a part of it, is encrypted: Pulumi writes those as an object with the one key `secure`."""
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(map(has_secret, value.values()))
    return isinstance(value, list) and any(map(has_secret, value))


def _name_of(raw_key: object) -> str | None:
    """The key without our namespace; None for another namespace's. A key without any is the project's own."""
    namespace, colon, name = str(raw_key).partition(":")
    if not colon:
        return namespace
    return name if namespace == NAMESPACE else None


def _block(document: Any) -> dict[Any, Any]:
    block = document.get("config") if isinstance(document, dict) else None
    return block if isinstance(block, dict) else {}


def _project_problems(document: Any, lines: Mapping[YamlPath, int]) -> tuple[Problem, ...]:
    name = document.get("name") if isinstance(document, dict) else None
    if name == NAMESPACE:
        return ()
    line = lines.get(("name",), 1)
    return (
        Problem(
            place=f"{PROJECT_FILE}:{line}",
            key="name",
            found="nothing" if name is None else str(name),
            expected=NAMESPACE,
            reason="the keys of the configuration begin with it, and the stacks find each other by it",
            fix=f"{PROJECT_FILE}, line {line}: name: {NAMESPACE}",
        ),
    )


def _parse(root: Path, name: str) -> tuple[Any, dict[YamlPath, int], Problem | None]:
    """The file's content and the lines of its paths, or why there is neither."""
    try:
        text = (root / name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return None, {}, _unreadable(name, name, str(error), "a readable file", f"git checkout -- {name}")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = name if mark is None else f"{name}:{mark.line + 1}"
        what = str(getattr(error, "problem", None) or error)
        return None, {}, _unreadable(name, place, what, "a YAML document", f"edit {place}")
    lines: dict[YamlPath, int] = {}
    _note_lines(node, (), lines)
    return document, lines, None


def _unreadable(name: str, place: str, found: str, expected: str, fix: str) -> Problem:
    return Problem(place=place, key=name, found=found, expected=expected, fix=fix)


def _note_lines(node: yaml.Node | None, path: YamlPath, lines: dict[YamlPath, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
            _note_lines(item, (*path, index), lines)
