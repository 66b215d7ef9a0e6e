"""Tables of cases: a program that passes, one damage, and what the pack must say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.policies.harness import Program, analyze

VIOLATION = "violation"
ADVISORY = "advisory"
PASSES = "passes"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One damage to a program.

    `on` is the resource that the finding has to name (None: the stack), `says` a part of its message. `also` are rules
    that the same damage breaks too. A case that passes must leave no violation at all, and no advisory of its rule.
    """

    rule: str
    what: str
    damage: Callable[[Program], object]
    outcome: str = VIOLATION
    on: str | None = None
    says: str = ""
    also: tuple[str, ...] = ()
    base: Callable[[], Program]
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def rules_named(*modules: ModuleType) -> set[str]:
    """The rules that the source of some modules names."""
    named: set[str] = set()
    for module in modules:
        assert module.__file__ is not None
        source = Path(module.__file__).read_text()
        named |= set(re.findall(r"(?:violation|unproved|advisory)\(\s*\"([a-z-]+)\"", source))
        named |= set(re.findall(r"_unproved_rule\(rule, \"([a-z-]+)\"", source))
        named |= set(re.findall(r"\"\w+\",\s+\"(check-[a-z]+)\",", source))
        named |= set(re.findall(r"judge_key, self\._stack, self\._findings, \"([a-z-]+)\"", source))
    assert len(named) > 2
    return named


def rules_without_cases(cases: Iterable[Case], *modules: ModuleType) -> tuple[set[str], set[str]]:
    """Rules that the modules' source names and that no case makes fail, and those that no case lets pass."""
    named = rules_named(*modules)
    by_outcome = {
        outcome: {case.rule.partition("/")[2] for case in cases if case.outcome == outcome}
        for outcome in (VIOLATION, ADVISORY, PASSES)
    }
    return named - by_outcome[VIOLATION] - by_outcome[ADVISORY], named - by_outcome[PASSES] - by_outcome[ADVISORY]


def judge(case: Case) -> None:
    """Runs the pack on the damaged program and compares."""
    program = case.base()
    case.damage(program)
    report = analyze(program, case.config)
    violated = report.rules(mandatory=True)
    if case.outcome == VIOLATION:
        assert violated == sorted({case.rule, *case.also}), report.text
    else:
        assert violated == sorted(case.also), report.text
    advised = case.rule in report.rules(mandatory=False)
    assert advised is (case.outcome == ADVISORY) or case.outcome == VIOLATION, report.text
    if case.outcome != PASSES:
        named = [finding for finding in report.of(case.rule) if finding.mandatory is (case.outcome == VIOLATION)]
        urn = program[case.on].urn if case.on else ""
        assert [finding for finding in named if finding.urn == urn and case.says in finding.message], report.text


def props(resource_name: str, /, **values: Any) -> Callable[[Program], None]:
    """Sets properties of a resource; None takes one away."""

    def damage(program: Program) -> None:
        resource = program[resource_name]
        for key, value in values.items():
            if value is None:
                resource.props.pop(key, None)
                resource.sources.pop(key, None)
            else:
                resource.props[key] = value

    return damage


def both(*damages: Callable[[Program], object]) -> Callable[[Program], None]:
    """One damage after the other."""

    def damage(program: Program) -> None:
        for part in damages:
            part(program)

    return damage


def sources(name: str, key: str, *origins: str) -> Callable[[Program], None]:
    """Says that a property comes from these resources of the program, or from outside (a URN)."""

    def damage(program: Program) -> None:
        program[name].sources[key] = [origin if origin.startswith("urn:") else program[origin] for origin in origins]

    return damage


def without(*names: str) -> Callable[[Program], None]:
    """Takes resources out of the program, and the dependencies on them."""

    def damage(program: Program) -> None:
        gone = [program[name] for name in names]
        program.remove(*names)
        for resource in program.resources:
            resource.sources = {
                key: [origin for origin in origins if origin not in gone] for key, origins in resource.sources.items()
            }

    return damage
