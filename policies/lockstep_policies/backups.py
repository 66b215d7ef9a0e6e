"""Group `backups`: what AWS Backup keeps leaves the region, often enough, for long enough, and can't be deleted.

Sources: AWS Backup API reference, BackupRule (without a schedule a rule runs daily, `cron(0 5 ? * * *)`; without
`DeleteAfterDays` nothing is deleted), CopyAction; developer guide, "Creating backup copies across AWS Regions", "Vault
Lock"; EventBridge user guide, "Cron expressions reference".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from lockstep_policies.findings import EXEMPTIONS_SCHEMA, Findings, is_known, judged_by
from lockstep_policies.keys import judge_key
from lockstep_policies.view import UNKNOWN, Resource, Stack, arn_region, field

PLANS: Final = ("aws:backup/plan:Plan",)
SELECTIONS: Final = ("aws:backup/selection:Selection",)
VAULTS: Final = ("aws:backup/vault:Vault",)
AIR_GAPPED: Final = ("aws:backup/logicallyAirGappedVault:LogicallyAirGappedVault",)
LOCKS: Final = ("aws:backup/vaultLockConfiguration:VaultLockConfiguration",)

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
DEFAULT_SCHEDULE: Final = "cron(0 5 ? * * *)"
_RATE: Final = re.compile(r"rate\(\s*(\d+)\s+(minute|hour|day)s?\s*\)")
_CRON: Final = re.compile(r"cron\(\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+\S+\s*\)")
_UNITS: Final = {"minute": MINUTE, "hour": HOUR, "day": DAY}
#: Days of the longest month.
_MONTH_DAYS: Final = 31


@dataclass(frozen=True, kw_only=True)
class BackupSettings:
    """Configuration of the group, as the engine sends it."""

    interval_hours: float
    retention_days: int

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> BackupSettings:
        """The settings in a policy's configuration, with the pack's defaults."""
        return cls(
            interval_hours=config.get("maximumIntervalHours", 24),
            retention_days=int(config.get("minimumRetentionDays", 7)),
        )


def rules_of(plan: Resource) -> list[Any]:
    """The rules of a plan, none if they aren't known."""
    rules = plan.get("rules")
    return rules if isinstance(rules, list) else []


def copies_leave(plan: Resource, rule: Any) -> Iterator[Any]:
    """The regions to which a rule copies: a name, or `UNKNOWN`, for each copy action."""
    for action in field_list(rule, "copyActions"):
        arn = _vault(action)
        if arn is not UNKNOWN:
            yield arn_region(arn) or UNKNOWN
            continue
        vaults = plan.sources("rules", (*VAULTS, *AIR_GAPPED))
        # The plan's own vault is among the sources too, when its name comes from the resource.
        regions = {vault.region for vault in vaults if is_known(vault.region)}
        away = regions - {plan.region}
        yield away.pop() if len(away) == 1 else (plan.region if regions and not away else UNKNOWN)


def _vault(action: Any) -> Any:
    return UNKNOWN if action is UNKNOWN else action.get("destinationVaultArn")


def field_list(block: Any, key: str) -> list[Any]:
    """A list inside of a block; one unknown element if all of it is unknown."""
    if block is UNKNOWN:
        return [UNKNOWN]
    value = block.get(key) if isinstance(block, dict) else None
    return [UNKNOWN] if value is UNKNOWN else list(value or ())


def interval_seconds(rule: Any) -> Any:
    """The longest time between two backups by a rule's schedule; `UNKNOWN` if it isn't known or can't be read."""
    schedule = UNKNOWN if rule is UNKNOWN else rule.get("schedule")
    if schedule is UNKNOWN:
        return UNKNOWN
    text = schedule or DEFAULT_SCHEDULE
    if rate := _RATE.fullmatch(text):
        return int(rate[1]) * _UNITS[rate[2]]
    cron = _CRON.fullmatch(text)
    return _cron_seconds(*cron.groups()) if cron else UNKNOWN


def _cron_seconds(minute: str, hour: str, day: str, month: str, weekday: str) -> Any:
    """The longest gap that an expression leaves. The coarsest field that isn't "every" decides."""
    for text, size, around, unit in (
        (month, 13, 12, _MONTH_DAYS * DAY),
        # The last day, or the nearest weekday: once a month.
        ("1" if re.fullmatch(r"\d*[LW]+", day) else day, 32, _MONTH_DAYS, DAY),
        (_numbered(weekday), 8, 7, DAY),
        (hour, 24, 24, HOUR),
        (minute, 60, 60, MINUTE),
    ):
        if text not in {"*", "?"}:
            values = _values(text, size)
            return UNKNOWN if values is None else _longest_gap(values, around) * unit
    return MINUTE


def _longest_gap(values: Any, around: int) -> int:
    found = sorted(set(values))
    return max((later - sooner) % around or around for sooner, later in zip(found, [*found[1:], found[0]], strict=True))


def _values(text: str, size: int) -> list[int] | None:
    """The values of a field of a cron expression: numbers, ranges and steps; None if it has something else."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if match is None:
            return None
        begin, end, step = (int(value) if value else None for value in match.groups())
        first = begin or 0
        last = end if end is not None else (size - 1 if begin is None or step else first)
        found += range(first, min(last, size - 1) + 1, step or 1)
    return found or None


def _numbered(weekday: str) -> str:
    """Names of days as the numbers that stand for them."""
    numbers = {name: str(number) for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
    return re.sub("[A-Za-z]{3}", lambda name: numbers.get(name[0].upper(), name[0]), weekday)


class Backups:
    """The checks of the group, over one stack."""

    def __init__(self, stack: Stack, settings: BackupSettings, findings: Findings) -> None:
        self._stack = stack
        self._settings = settings
        self._findings = findings
        self._selected = {
            plan.urn
            for selection in stack.of(*SELECTIONS)
            for plan in stack.referred(selection, "planId", PLANS, by=("id",))
        }
        self._locked = {
            vault.urn
            for lock in stack.of(*LOCKS)
            for vault in stack.referred(lock, "backupVaultName", VAULTS, by=("name", "id"))
            # The name of a vault is one per region.
            if lock.region == vault.region
        }

    def run(self) -> None:
        """Judges every plan with its rules, and every vault."""
        for plan in self._stack.of(*PLANS):
            for check in (self._judge_copies, self._judge_interval, self._judge_retention, self._judge_selected):
                self._findings.guard(plan, check, plan)
        for vault in self._stack.of(*VAULTS):
            self._findings.guard(vault, self._judge_vault, vault)
            self._findings.guard(vault, judge_key, self._stack, self._findings, "vault-key", vault, "kmsKeyArn")
        for vault in self._stack.of(*AIR_GAPPED):
            self._findings.guard(vault, judge_key, self._stack, self._findings, "vault-key", vault, "encryptionKeyArn")

    def _judge_copies(self, plan: Resource) -> None:
        region = plan.region
        remedy = "Give the rule `copy_actions` with the ARN of a vault in another region."
        if plan.get("rules") is UNKNOWN:
            self._findings.unproved(
                "copy", plan, "rules", "it can't be proved that its backups leave the region", remedy=remedy
            )
            return
        for rule in rules_of(plan):
            name = _name(rule)
            regions = list(copies_leave(plan, rule))
            hidden = [action for action in field_list(rule, "copyActions") if _vault(action) is UNKNOWN]
            leaves = any(_is_away(each, region) for each in regions)
            if rule is UNKNOWN or (hidden and (leaves or UNKNOWN in regions)):
                self._findings.unproved(
                    "copy", plan, "rules", f"it can't be proved that {name} copies to another region", remedy=remedy
                )
            elif not regions:
                self._findings.violation(
                    "copy", plan, f"{name} copies nothing, so its backups are lost with their region. {remedy}"
                )
            elif not is_known(region):
                self._findings.advisory(
                    "copy",
                    plan,
                    f"it can't be seen in which region the plan is, so it isn't proved that {name} copies to another. "
                    "Use a provider with a plain `region`.",
                )
            elif not leaves:
                self._findings.violation(
                    "same-region",
                    plan,
                    f"{name} copies within {region}, so the copies are lost together with the backups. {remedy}",
                )

    def _judge_interval(self, plan: Resource) -> None:
        """One rule that is frequent enough will do: others keep more, for longer."""
        rules = rules_of(plan)
        limit = self._settings.interval_hours * HOUR
        found = [interval_seconds(rule) for rule in rules]
        known = [seconds for seconds in found if is_known(seconds)]
        if not rules or any(seconds <= limit for seconds in known):
            return
        if len(known) < len(found):
            self._findings.advisory(
                "interval",
                plan,
                "the schedule of a rule isn't known or can't be read, so it isn't proved that a backup is made every "
                f"{self._settings.interval_hours:g} hours. Write `schedule` as a plain cron expression.",
            )
        else:
            self._findings.violation(
                "interval",
                plan,
                f"its most frequent rule runs every {min(known) / HOUR:g} hours, {self._settings.interval_hours:g} are "
                "wanted: so much is lost with the region. Set `schedule` accordingly.",
            )

    def _judge_retention(self, plan: Resource) -> None:
        for rule in rules_of(plan):
            if rule is UNKNOWN:
                continue  # already said, by rule copy
            every = interval_seconds(rule)
            keeps = [("its backups", rule.get("lifecycle"))]
            keeps += [
                ("its copies", action.get("lifecycle"))
                for action in field_list(rule, "copyActions")
                if action is not UNKNOWN
            ]
            for what, lifecycle in keeps:
                self._judge_days(plan, f"{_name(rule)} keeps {what}", field(lifecycle, "deleteAfter"), every)

    def _judge_days(self, plan: Resource, subject: str, days: Any, every: Any) -> None:
        wanted = self._settings.retention_days
        remedy = "Set `delete_after` in `lifecycle`, in days; without it nothing is deleted."
        if days is UNKNOWN:
            self._findings.unproved("retention", plan, "rules", f"it can't be proved how long {subject}", remedy=remedy)
        elif days is None or not isinstance(days, int | float):
            return
        elif is_known(every) and days * DAY < every:
            self._findings.violation(
                "retention",
                plan,
                f"{subject} for {days:g} days and makes one every {every / DAY:g}: in between there is none. {remedy}",
            )
        elif days < wanted:
            self._findings.violation(
                "retention",
                plan,
                f"{subject} for {days:g} days, {wanted} are wanted: whoever notices a mistake later finds no backup "
                f"from before it. {remedy}",
            )

    def _judge_selected(self, plan: Resource) -> None:
        if plan.urn not in self._selected:
            self._findings.violation(
                "selection",
                plan,
                "nothing is selected for it, so it backs up nothing. Declare an `aws.backup.Selection` with its id.",
            )

    def _judge_vault(self, vault: Resource) -> None:
        value = vault.get("forceDestroy")
        remedy = "Set `force_destroy=False`."
        if value is UNKNOWN:
            self._findings.unproved(
                "vault-deletion", vault, "forceDestroy", "it can't be proved that its backups are safe", remedy=remedy
            )
        elif value is True:
            self._findings.violation(
                "vault-deletion",
                vault,
                f"deleting it deletes every backup in it, without a question. {remedy}",
            )
        if vault.urn not in self._locked:
            self._findings.advisory(
                "vault-lock",
                vault,
                "it isn't locked: whoever takes over an administrator's credentials deletes the backups with the data. "
                "Declare `aws.backup.VaultLockConfiguration` for it.",
            )


def _is_away(region: Any, home: Any) -> bool:
    return is_known(region) and region != home


def _name(rule: Any) -> str:
    name = None if rule is UNKNOWN else rule.get("ruleName")
    return f"rule {name}" if isinstance(name, str) else "a rule"


def _judge(args: StackValidationArgs, findings: Findings) -> None:
    Backups(Stack(args.resources), BackupSettings.read(args.get_config()), findings).run()


backups_policy = StackValidationPolicy(
    name="backups-leave-their-region",
    display_name="Backups leave their region",
    description="Backup plans copy to another region, often enough, for long enough, and vaults keep what they hold.",
    validate=judged_by("backups", _judge),
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.HIGH,
    tags=["disaster-recovery", "backup"],
    remediation_steps=(
        "Give every rule of the plan `copy_actions` to a vault in another region, with a `delete_after` above the "
        "schedule's interval; encrypt a vault with a key of its own region and lock it."
    ),
    url="https://docs.aws.amazon.com/aws-backup/latest/devguide/cross-region-backup.html",
    config_schema=PolicyConfigSchema(
        properties={
            "maximumIntervalHours": {
                "type": "number",
                "minimum": 1,
                "default": 24,
                "description": "Hours that may pass between two backups by a plan's most frequent rule.",
            },
            "minimumRetentionDays": {
                "type": "integer",
                "minimum": 1,
                "default": 7,
                "description": "Days for which backups and their copies must be kept.",
            },
            "exemptions": EXEMPTIONS_SCHEMA,
        }
    ),
)
