"""The advisory policy: what the groups can't prove before the update, or find odd but working."""

from __future__ import annotations

from pulumi_policy import EnforcementLevel, ReportViolation, Severity, StackValidationArgs, StackValidationPolicy

from lockstep_policies.findings import report_advisories


def _validate(_args: StackValidationArgs, report_violation: ReportViolation) -> None:
    report_advisories(report_violation)


advisory_policy = StackValidationPolicy(
    name="not-proved-yet",
    display_name="Not proved yet",
    description="Values that are known only after the update, and settings that deserve a look.",
    validate=_validate,
    enforcement_level=EnforcementLevel.ADVISORY,
    severity=Severity.LOW,
    tags=["disaster-recovery"],
    remediation_steps=(
        "After `pulumi up`, preview again: what was unknown is judged then. Raise this policy to mandatory to allow "
        "nothing unproved."
    ),
    url="https://www.pulumi.com/docs/insights/policy/",
)
