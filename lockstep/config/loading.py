"""From files, and the engine's values for the stack that runs, to one `Config` or all that is wrong."""

import difflib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lockstep.config import checks
from lockstep.config.files import (
    PROJECT_FILE,
    ConfigFile,
    YamlPath,
    has_secret,
    read_project_file,
    read_stack_file,
    stack_file_name,
)
from lockstep.config.keys import KEY, KEYS, REQUIRED, Key, Scope
from lockstep.config.models import Config, Site
from lockstep.config.naming import site_domain
from lockstep.config.problems import ConfigError, Problem
from lockstep.project import GLOBAL_STACK

_FOUND_MAX: Final = 200
_INVALID: Final = object()


def load(root: Path, stack: str, running: Mapping[str, Any] | None = None) -> Config:
    """The configuration that `stack` sees, from the files in `root`.

    `running` holds the values that the engine passed to the program of `stack`, by key without its namespace; where it
    is given it stands in for that stack's own file, which may be elsewhere (`--config-file`). An object in a stack's
    file is laid over the one in Pulumi.yaml key by key, so that a site's file holds only what differs.

    Raises ConfigError, which is an InvalidInputError, with everything that is wrong in any of the files.
    """
    project = read_project_file(root)
    if not project.exists:
        raise ConfigError(project.problems)
    reading = _Reading(root, stack, project, running)
    reading.check_file(project, None)
    sites = reading.value("sites", None)
    if sites is _INVALID:
        reading.read_alone()
        raise ConfigError(reading.problems)
    stacks = (*sites, GLOBAL_STACK)
    if stack not in stacks:
        raise ConfigError([*reading.problems, _unknown_stack(stack, sites, project)])
    return reading.read_all(sites)


@dataclass(frozen=True)
class _Origin:
    """Where a value stands, or where it should: in the file of a stack, or in Pulumi.yaml if `stack` is None."""

    file: str
    line: int | None
    stack: str | None

    @property
    def place(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class _Reading:
    """One pass over the files of a project; `problems` grows as it goes."""

    def __init__(self, root: Path, stack: str, project: ConfigFile, running: Mapping[str, Any] | None) -> None:
        self.root = root
        self.stack = stack
        self.project = project
        self.running = running
        self.files: dict[str, ConfigFile] = {}
        self.problems: list[Problem] = []

    def add(self, problem: Problem) -> None:
        """Notes a problem once: a shared value is looked at for every site."""
        if problem not in self.problems:
            self.problems.append(problem)

    def read_alone(self) -> None:
        """All that can be said without knowing the sites: Pulumi.yaml and the file of the stack that was asked for."""
        self.files[self.stack] = read_stack_file(self.root, self.stack)
        for key in KEYS:
            if key.scope.in_project:
                self.value(key.name, None)
            elif self.files[self.stack].exists and (key.scope is Scope.STACK or self.stack != GLOBAL_STACK):
                self.value(key.name, self.stack)

    def read_all(self, sites: tuple[str, ...]) -> Config:
        """Every file of every stack. Raises ConfigError."""
        for name in (*sites, GLOBAL_STACK):
            self.files[name] = read_stack_file(self.root, name)
            self.check_file(self.files[name], name)
        shared = {key.name: self.value(key.name, None) for key in KEYS if key.scope is Scope.PROJECT}
        shared |= {key.name: self.value(key.name, GLOBAL_STACK) for key in KEYS if key.scope is Scope.GLOBAL}
        joining = {key.name: self.value(key.name, GLOBAL_STACK) for key in KEYS if key.scope is Scope.STACK}
        joining["protect"] = self.value("protect", GLOBAL_STACK)
        by_site = {name: {key.name: self.value(key.name, name) for key in KEYS if key.scope.in_site} for name in sites}
        for problem in self._cross_check(sites, shared, joining, by_site):
            self.add(problem)
        if self.problems:
            raise ConfigError(self.problems)
        return _assemble(self.stack, sites, shared, joining, by_site)

    def check_file(self, file: ConfigFile, stack: str | None) -> None:
        """What is wrong with a file whatever its values are; `stack` is None for Pulumi.yaml."""
        for problem in file.problems:
            self.add(problem)
        if not file.exists and not (stack == self.stack and self.running is not None):
            self.add(_missing_file(file.name, str(stack)))
        for name in file.roots:
            origin = _Origin(file.name, file.line_of(name, ()), stack)
            if name not in KEY:
                self.add(_unknown_key(name, file.values.get(name), origin))
            elif not _allowed(KEY[name].scope, stack):
                self.add(_misplaced(KEY[name], file.values.get(name), origin))

    def value(self, name: str, stack: str | None) -> Any:
        """The checked value of a key for a stack, or `_INVALID` after noting why; `stack` None reads Pulumi.yaml."""
        key = KEY[name]
        if stack is not None and not self._is_readable(stack):
            return _INVALID
        raw = self._raw(key, stack)
        if has_secret(raw) or (stack is not None and has_secret(self.files[stack].values.get(name))):
            self.add(_secret(key, self._origin(key, stack, ())))
            return _INVALID
        if raw is REQUIRED:
            self.add(self._missing(key, stack))
            return _INVALID
        try:
            return key.adapter.validate_python(raw)
        except ValidationError as error:
            for details in error.errors():
                self.add(self._describe(key, stack, details))
            return _INVALID

    def _is_readable(self, stack: str) -> bool:
        """Whether there is anything to read: of a file that is missing or broken, that alone is the problem."""
        file = self.files[stack]
        return (file.exists and not file.problems) or (stack == self.stack and self.running is not None)

    def _raw(self, key: Key, stack: str | None) -> Any:
        shared = self.project.values.get(key.name, key.default) if key.scope.in_project else key.default
        if stack is None:
            return shared
        own = self._own(key, stack)
        if own is REQUIRED:
            return shared
        return _laid_over(shared, own)

    def _own(self, key: Key, stack: str) -> Any:
        if stack == self.stack and self.running is not None:
            return self.running.get(key.name, REQUIRED)
        return self.files[stack].values.get(key.name, REQUIRED)

    def _origin(self, key: Key, stack: str | None, path: YamlPath) -> _Origin:
        """Where the value at `path` comes from; for one that is missing, where it belongs."""
        if stack is not None:
            file = self.files[stack]
            own, shared = file.values.get(key.name, REQUIRED), self.project.values.get(key.name)
            is_own = _contains(own, path) or (path and not shared and _contains(own, path[:-1]))
            if is_own or not key.scope.in_project:
                return _Origin(file.name, file.line_of(key.name, path), stack)
        return _Origin(PROJECT_FILE, self.project.line_of(key.name, path), None)

    def _missing(self, key: Key, stack: str | None) -> Problem:
        origin = self._origin(key, stack, ())
        return Problem(
            place=origin.place,
            key=key.full_name,
            found="nothing",
            expected=key.expected,
            fix=_fix(key, (), key.example, origin),
        )

    def _describe(self, key: Key, stack: str | None, details: ErrorDetails) -> Problem:
        path: YamlPath = details["loc"]
        # pydantic ends a location inside a union with the name of the variant that it tried; no key of ours has those.
        path = tuple(part for part in path if part not in ("nullable", "none", "DatabaseBorn"))
        if details["type"] == "extra_forbidden":
            return self._unknown_part(key, stack, path, details["input"])
        missing = details["type"] == "missing"
        form, example = key.form_at(path)
        origin = self._origin(key, stack, path)
        cause = details.get("ctx", {}).get("error")
        return Problem(
            place=origin.place,
            key=_dotted(key, path),
            found="nothing" if missing else _shown(details["input"]),
            expected=form,
            reason=str(cause) if isinstance(cause, ValueError) else "",
            fix=_fix(key, path, example, origin),
        )

    def _unknown_part(self, key: Key, stack: str | None, path: YamlPath, found: Any) -> Problem:
        known: list[str] = [field.alias or name for name, field in key.model.model_fields.items()] if key.model else []
        origin = self._origin(key, stack, path)
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        remove = f"pulumi config rm --path {shlex.quote(_dotted(key, path))} --stack {origin.stack}"
        return Problem(
            place=origin.place,
            key=_dotted(key, path),
            found=_shown(found),
            expected=f"one of the keys {', '.join(known)}",
            reason=f"no key has that name; did you mean {near[0]}?" if near else "no key has that name",
            fix=f"remove or rename it in {origin.place}" if origin.stack is None else remove,
        )

    def _cross_check(
        self,
        sites: tuple[str, ...],
        shared: Mapping[str, Any],
        joining: Mapping[str, Any],
        by_site: Mapping[str, Mapping[str, Any]],
    ) -> Iterable[Problem]:
        """What is wrong between values that are each fine; a rule whose values aren't all there is left out."""
        values = checks.Values(
            sites=sites,
            shared={name: value for name, value in shared.items() if value is not _INVALID},
            joining={name: value for name, value in joining.items() if value is not _INVALID},
            by_site={
                site: {name: value for name, value in own.items() if value is not _INVALID}
                for site, own in by_site.items()
            },
        )
        for conflict in checks.conflicts(values):
            key = KEY[conflict.key]
            stack = conflict.stack or (GLOBAL_STACK if key.scope is Scope.GLOBAL else None)
            origin = self._origin(key, stack, conflict.path)
            form, example = key.form_at(conflict.path)
            yield Problem(
                place=origin.place,
                key=_dotted(key, conflict.path),
                found=conflict.found,
                expected=conflict.expected or form,
                reason=conflict.reason,
                fix=_fix(key, conflict.path, conflict.example or example, origin),
            )


def _assemble(
    stack: str,
    sites: tuple[str, ...],
    shared: Mapping[str, Any],
    joining: Mapping[str, Any],
    by_site: Mapping[str, Mapping[str, Any]],
) -> Config:
    weights = shared["weights"] or dict.fromkeys(sites, checks.EQUAL_WEIGHT)
    return Config(
        stack=stack,
        application=shared["application"],
        domain=shared["domain"],
        zone=shared["zone"],
        ttl=shared["ttl"] or checks.TTL_UNSET[shared["recordType"]],
        record_type=shared["recordType"],
        https=shared["https"],
        health_check=shared["healthCheck"],
        objectives=shared["objectives"],
        global_region=joining["region"],
        global_protect=joining["protect"],
        sites=tuple(
            Site(
                name=name,
                region=by_site[name]["region"],
                cidr=by_site[name]["cidr"],
                domain=site_domain(name, shared["domain"]),
                weight=weights[name],
                fleet=by_site[name]["fleet"],
                network=by_site[name]["network"],
                database=by_site[name]["database"],
                database_born=by_site[name]["databaseBorn"],
                packages=by_site[name]["packages"],
                release=by_site[name]["release"] or None,
                protect=by_site[name]["protect"],
            )
            for name in sites
        ),
    )


def _laid_over(base: Any, over: Any) -> Any:
    """`over` on top of `base`, key by key where both are objects."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return base | {name: _laid_over(base.get(name), value) for name, value in over.items()}


def _contains(value: Any, path: YamlPath) -> bool:
    """Whether a file's value has something at `path`."""
    for part in path:
        within = part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))
        if not within:
            return False
        value = value[part]
    return value is not REQUIRED


def _allowed(scope: Scope, stack: str | None) -> bool:
    if stack is None:
        return scope.in_project
    return scope.in_global if stack == GLOBAL_STACK else scope.in_site


def _dotted(key: Key, path: YamlPath) -> str:
    """The path as `pulumi config set --path` takes it."""
    return key.full_name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except TypeError:
        text = str(value)
    return text if len(text) <= _FOUND_MAX else f"{text[:_FOUND_MAX]}... ({len(text)} characters)"


def _fix(key: Key, path: YamlPath, example: Any, origin: _Origin) -> str:
    """How to set the value: the command, or the line of Pulumi.yaml."""
    if origin.stack is not None:
        flag = "--path " if path else ""
        name, value = shlex.quote(_dotted(key, path)), shlex.quote(str(example))
        return f"pulumi config set {flag}{name} {value} --stack {origin.stack}"
    if origin.line is None:
        return f"add to config: in {PROJECT_FILE}: '{key.full_name}': {{type: {key.kind}, default: {example}}}"
    name = str(path[-1]) if path and isinstance(path[-1], str) else "default"
    return f"{PROJECT_FILE}, line {origin.line}: {name}: {example}"


def _unknown_stack(stack: str, sites: tuple[str, ...], project: ConfigFile) -> Problem:
    valid = ", ".join((*sites, GLOBAL_STACK))
    near = difflib.get_close_matches(stack, (*sites, GLOBAL_STACK), n=1)
    line = project.line_of("sites", ())
    return Problem(
        place=PROJECT_FILE if line is None else f"{PROJECT_FILE}:{line}",
        key="stack",
        found=stack,
        expected=f"one of {valid}",
        reason=f"lockstep:sites has no site of that name{f'; did you mean {near[0]}?' if near else ''}",
        fix=f"pulumi stack select {near[0] if near else sites[0]}",
    )


def _missing_file(name: str, stack: str) -> Problem:
    region = KEY["region"].example
    return Problem(
        place=name,
        key="file",
        found="nothing",
        expected="the configuration of the stack",
        reason=f"lockstep:sites names {stack}" if stack != GLOBAL_STACK else f"every project has a stack {stack}",
        fix=f"pulumi stack init {stack} && pulumi config set lockstep:region {region} --stack {stack}",
    )


def _unknown_key(name: str, found: Any, origin: _Origin) -> Problem:
    near = difflib.get_close_matches(name, KEY, n=1)
    remove = f"pulumi config rm {shlex.quote(f'lockstep:{name}')} --stack {origin.stack}"
    return Problem(
        place=origin.place,
        key=f"lockstep:{name}",
        found=_shown(found),
        expected="a key that exists",
        reason=f"no key has that name; did you mean lockstep:{near[0]}?" if near else "no key has that name",
        fix=f"remove or rename it in {origin.place}" if origin.stack is None else remove,
    )


def _misplaced(key: Key, found: Any, origin: _Origin) -> Problem:
    remove = f"pulumi config rm {key.full_name} --stack {origin.stack}"
    return Problem(
        place=origin.place,
        key=key.full_name,
        found=_shown(found),
        expected=f"this key in {key.scope.value} only",
        reason="every stack must see the same value" if key.scope.in_project else "it differs from stack to stack",
        fix=f"remove it from {origin.place}" if origin.stack is None else f"{remove}, and set it in {PROJECT_FILE}",
    )


def _secret(key: Key, origin: _Origin) -> Problem:
    stack = origin.stack or "STACK"
    return Problem(
        place=origin.place,
        key=key.full_name,
        found="an encrypted value",
        expected=key.expected,
        reason="the other stacks read this file, and have no key for it; nothing in it is secret",
        fix=f"pulumi config set --plaintext {key.full_name} {shlex.quote(str(key.example))} --stack {stack}",
    )


def stack_files(sites: Iterable[str]) -> tuple[str, ...]:
    """The files that together are the configuration of these sites."""
    return (PROJECT_FILE, *map(stack_file_name, (*sites, GLOBAL_STACK)))
