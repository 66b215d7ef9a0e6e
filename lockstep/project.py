"""Finds the project that a command works on, and what its Pulumi.yaml says about sites and zone.

Only what a command needs before, or without, the program's own configuration; all else belongs to `lockstep.config`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import InvalidInputError

PROJECT_VARIABLE = "LOCKSTEP_PROJECT"
PROJECT_NAME = "lockstep"
PROJECT_FILE = "Pulumi.yaml"
GLOBAL_STACK = "global"

# tokens.ParseStackName in pulumi/pulumi, sdk/go/common/tokens/names.go: letters, digits, `_`, `.`, `-`, at most 100.
_STACK_NAME = re.compile("[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, kw_only=True)
class Project:
    """A checkout of the Pulumi project: `root` holds Pulumi.yaml; `sites` and `zone` are its `lockstep:sites|zone`."""

    root: Path
    sites: tuple[str, ...]
    zone: str

    @property
    def stacks(self) -> tuple[str, ...]:
        """Every stack of the project: one for each site, then the one that joins them."""
        return (*self.sites, GLOBAL_STACK)

    def stack_file(self, stack: str) -> Path:
        """The file with the configuration of `stack`."""
        return self.root / f"Pulumi.{stack}.yaml"


def find_root(start: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder with Pulumi.yaml of project `lockstep`: `$LOCKSTEP_PROJECT`, else from `start` (cwd) upwards.

    Raises InvalidInputError if there is none.
    """
    named = environ.get(PROJECT_VARIABLE)
    if named:
        root = Path(named).resolve()
        if not _is_project(root):
            raise InvalidInputError(
                f"{PROJECT_VARIABLE} is {named}, which holds no {PROJECT_FILE} with `name: {PROJECT_NAME}`",
                f"export {PROJECT_VARIABLE}=FOLDER with the folder of the checkout, or unset it and `cd` there",
            )
        return root
    begin = (start or Path.cwd()).resolve()
    for folder in (begin, *begin.parents):
        if _is_project(folder):
            return folder
    raise InvalidInputError(
        f"neither {begin} nor a folder above it holds a {PROJECT_FILE} with `name: {PROJECT_NAME}`",
        f"`cd` into the checkout, or `export {PROJECT_VARIABLE}=FOLDER`",
    )


def load(root: Path) -> Project:
    """The project in `root`. Raises InvalidInputError with all that is wrong with its sites, stacks and zone."""
    config = _read(root / PROJECT_FILE).get("config")
    values = config if isinstance(config, dict) else {}
    sites = _value(values, "sites")
    zone = _value(values, "zone")
    problems = _site_problems(root, sites)
    if not isinstance(zone, str) or not zone.strip("."):
        problems.append(
            f"lockstep:zone is {_shown(zone)}; it names the hosted zone, for example `lockstep:zone: example.com`"
        )
    if problems:
        raise InvalidInputError(
            f"{root / PROJECT_FILE}: " + "\n".join(problems), f"edit `config:` in {PROJECT_FILE}, then run this again"
        )
    return Project(root=root, sites=tuple(sites), zone=zone.rstrip("."))


def _site_problems(root: Path, sites: Any) -> list[str]:
    form = "it lists the sites' stacks, for example `lockstep:sites: [primary, secondary]`"
    if not isinstance(sites, list) or not sites:
        return [f"lockstep:sites is {_shown(sites)}; {form}"]
    wrong = [site for site in sites if not isinstance(site, str) or not _STACK_NAME.fullmatch(site)]
    if wrong:
        names = ", ".join(map(_shown, wrong))
        return [f"lockstep:sites names {names}, and a stack's name has 1 to 100 letters, digits, `_`, `.`, `-`; {form}"]
    problems = [f"lockstep:sites names {site!r} twice" for site in sorted({s for s in sites if sites.count(s) > 1})]
    if GLOBAL_STACK in sites:
        problems.append(f"lockstep:sites names {GLOBAL_STACK!r}, which is the stack that joins the sites")
    missing = [
        stack for stack in dict.fromkeys([*sites, GLOBAL_STACK]) if not (root / f"Pulumi.{stack}.yaml").is_file()
    ]
    problems += [f"stack {stack!r} has no file Pulumi.{stack}.yaml beside {PROJECT_FILE}" for stack in missing]
    return problems


def _value(config: Mapping[Any, Any], key: str) -> Any:
    """A key of the project-level `config:`; Pulumi takes `key: value` and `key: {value: …}` or `{default: …}` alike."""
    found = config.get(f"{PROJECT_NAME}:{key}", config.get(key))
    if isinstance(found, dict):
        return found.get("value", found.get("default"))
    return found


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)


def _is_project(folder: Path) -> bool:
    path = folder / PROJECT_FILE
    return path.is_file() and _read(path).get("name") == PROJECT_NAME


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidInputError(
            f"{path} can't be read as YAML: {_complaint(error)}", f"correct {path.name}, then run this again"
        ) from error
    return content if isinstance(content, dict) else {}


def _complaint(error: Exception) -> str:
    """What is wrong, on one line; the library's own text draws the place over several."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error)
