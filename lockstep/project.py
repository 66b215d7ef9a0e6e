"""Finds the project that a command works on. What its files say is read by `lockstep.config`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import InvalidInputError

PROJECT_VARIABLE = "LOCKSTEP_PROJECT"
PROJECT_NAME = "lockstep"
PROJECT_FILE = "Pulumi.yaml"
GLOBAL_STACK = "global"


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
