"""What the checks find, who is exempt, and how it reaches the engine.

A finding is *proved* (a violation), or something that can't be proved yet: then it is an advisory if the value comes
from a resource that is judged elsewhere, and a violation if it comes from nowhere. Violations are reported by the
policy of the group, advisories by the one advisory policy of the pack, because the SDK gives a policy one level only.
"""

from __future__ import annotations

import datetime
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from pulumi_policy import ReportViolation, StackValidationArgs

from lockstep_policies.view import UNKNOWN, Resource, plain

#: The longest exemption in days. Longer ones are not exemptions but a change of the rules: make that in the
#: configuration.
MAX_EXEMPTION_DAYS: Final = 366

EXEMPTIONS_SCHEMA: Final[dict[str, Any]] = {
    "type": "array",
    "default": [],
    "description": (
        "Findings to leave out, each with `rule` and `resource` (patterns; * matches anything; the resource by name "
        "or URN), `reason`, `owner` and `expires` (YYYY-MM-DD, at most a year ahead)."
    ),
    # No `required` here: an exemption without a reason must be a violation with a message, not a schema error of the
    # engine.
    "items": {"type": "object", "additionalProperties": {"type": "string"}},
}

_EXEMPTION_FIELDS: Final = ("rule", "resource", "reason", "owner", "expires")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result of a check: the rule, the resource (None: the stack as a whole), and whether it blocks."""

    rule: str
    resource: Resource | None
    message: str
    blocks: bool

    def text(self) -> str:
        """What the user reads: resource, message, and the rule's name, which is what an exemption names."""
        subject = "This stack" if self.resource is None else repr(self.resource)
        return f"{subject}: {self.message} [{self.rule}]"


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """A finding that somebody answers for until a date."""

    rule: str
    resource: str
    reason: str
    owner: str
    expires: datetime.date

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is the one that this exemption is about."""
        names = ("stack",) if finding.resource is None else (finding.resource.name, finding.resource.urn)
        return fnmatchcase(finding.rule, self.rule) and any(fnmatchcase(name, self.resource) for name in names)


class Findings:
    """Collects the findings of one group of checks, so that one failing check doesn't mute the others."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.all: list[Finding] = []

    def violation(self, rule: str, resource: Resource | None, message: str) -> None:
        """Something that is wrong."""
        self._add(rule, resource, message, blocks=True)

    def advisory(self, rule: str, resource: Resource | None, message: str) -> None:
        """Something that can't be proved before the update, or that works but deserves a look."""
        self._add(rule, resource, message, blocks=False)

    def unproved(
        self, rule: str, resource: Resource, key: str, means: str, *, types: Iterable[str] | None = None, remedy: str
    ) -> None:
        """The value of a property that isn't known before the update.

        Args:
            rule: the rule that can't be decided.
            resource: whose property it is.
            key: its wire name, for example `healthCheckId`.
            means: what can't be proved, as a clause.
            types: types of resource from which the value may come. It doesn't block if it comes from one of them or
                from another stack; None accepts any resource.
            remedy: what to write in the program.
        """
        found = resource.sources(key, types)
        if found:
            origin = ", ".join(sorted(map(repr, found)))
            self.advisory(
                rule, resource, f"`{key}` is known only after the update (it comes from {origin}), so {means}."
            )
        elif resource.is_from_outside(key):
            self.advisory(
                rule, resource, f"`{key}` is known only after the update (it comes from another stack), so {means}."
            )
        else:
            self.violation(
                rule,
                resource,
                f"`{key}` isn't known and comes from no resource that can be judged, so {means}. {remedy}",
            )

    def guard(self, resource: Resource | None, check: Callable[..., None], *arguments: Any) -> None:
        """Runs a check; an error in it becomes a violation on that resource, and the other checks go on.

        The error's text isn't shown, because it may quote a secret: only its type and place in the pack.
        """
        try:
            check(*arguments)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.violation(
                f"{self.group}/internal",
                resource,
                f"the check `{check.__name__}` failed with {type(error).__name__} at "
                f"{Path(place.filename).name}:{place.lineno},"
                " so nothing is proved here. This is a defect of the policy pack: report it; until then an exemption "
                "for this rule and resource lets the preview pass.",
            )

    def _add(self, rule: str, resource: Resource | None, message: str, *, blocks: bool) -> None:
        finding = Finding(
            rule=rule if "/" in rule else f"{self.group}/{rule}", resource=resource, message=message, blocks=blocks
        )
        if finding not in self.all:
            self.all.append(finding)


def today() -> datetime.date:
    """The date by which exemptions are judged, in UTC."""
    return datetime.datetime.now(datetime.UTC).date()


def read_exemptions(config: Mapping[str, Any], findings: Findings) -> list[Exemption]:
    """The exemptions that hold today. One that is incomplete, expired or too long is a violation and exempts
    nothing.
    """
    found = []
    for position, entry in enumerate(plain(config.get("exemptions") or [])):
        where = f"exemption {position + 1} of the policy configuration"
        missing = [name for name in _EXEMPTION_FIELDS if not str(entry.get(name) or "").strip()]
        if missing:
            findings.violation(
                "exemption", None, f"{where} has no {', '.join(missing)}; it exempts nothing. Add it, or remove it."
            )
            continue
        expires = _date(entry["expires"])
        if expires is None:
            findings.violation(
                "exemption", None, f"{where}: `expires` isn't a date of the form YYYY-MM-DD; it exempts nothing."
            )
        elif expires < today():
            findings.violation(
                "exemption",
                None,
                f"{where} (owner {entry['owner']}) expired on {expires}; it exempts nothing. Repair what it covered, "
                "or have its owner set a new date with a reason.",
            )
        elif (expires - today()).days > MAX_EXEMPTION_DAYS:
            findings.violation(
                "exemption",
                None,
                f"{where} (owner {entry['owner']}) runs until {expires}, more than {MAX_EXEMPTION_DAYS} days; it "
                "exempts nothing. Choose a nearer date, or change the policy's configuration.",
            )
        else:
            found.append(Exemption(**{name: entry[name] for name in _EXEMPTION_FIELDS[:-1]}, expires=expires))
    return found


def _date(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


# The advisory policy runs last in the same call of the engine, on the same thread. It can't find the advisories by
# itself: the SDK gives every policy its own configuration only, and what is open depends on the configuration of the
# group.
_pending = threading.local()


def judged_by(
    group: str, judge: Callable[[StackValidationArgs, Findings], None]
) -> Callable[[StackValidationArgs, ReportViolation], None]:
    """A policy's check: what `judge` finds, less what its configuration exempts, under the name of its group."""

    def validate(args: StackValidationArgs, report_violation: ReportViolation) -> None:
        findings = Findings(group)
        exemptions = read_exemptions(args.get_config(), findings)
        findings.guard(None, judge, args, findings)
        report(findings, exemptions, report_violation)

    return validate


def report(findings: Findings, exemptions: Iterable[Exemption], report_violation: ReportViolation) -> None:
    """Reports the violations that nobody is exempt from, and keeps the advisories for `report_advisories`."""
    exempt = list(exemptions)
    left = [
        finding
        for finding in findings.all
        if finding.rule.endswith("/exemption") or not any(exemption.covers(finding) for exemption in exempt)
    ]
    for finding in left:
        if finding.blocks:
            report_violation(finding.text(), finding.resource.urn if finding.resource else None)
    _waiting()[findings.group] = [finding for finding in left if not finding.blocks]


def report_advisories(report_violation: ReportViolation) -> None:
    """Reports what the groups before left open, and forgets it."""
    waiting = _waiting()
    for group in list(waiting):
        for finding in waiting.pop(group):
            report_violation(finding.text(), finding.resource.urn if finding.resource else None)


def _waiting() -> dict[str, list[Finding]]:
    if not hasattr(_pending, "groups"):
        _pending.groups = {}
    waiting: dict[str, list[Finding]] = _pending.groups
    return waiting


def is_known(value: Any) -> bool:
    """Whether a value is there and known."""
    return value is not None and value is not UNKNOWN
