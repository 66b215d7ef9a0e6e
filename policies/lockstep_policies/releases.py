"""Group `releases`: all sites run one release, identical in content, and a site's instances are what its contract says.

Which sites there are, and what each runs, is in the contracts; a release is identical everywhere by the digests there.
"""

from __future__ import annotations

from typing import Any, Final

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    ReportViolation,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from lockstep_policies import contracts
from lockstep_policies.findings import EXEMPTIONS_SCHEMA, Findings, judged_by
from lockstep_policies.view import UNKNOWN, Resource, Stack

TEMPLATES: Final = ("aws:ec2/launchTemplate:LaunchTemplate",)
#: Tag that tells which release an instance runs.
RELEASE_TAG: Final = "lockstep:release"

#: Maps by site of the global contract whose values must be the same everywhere, and what they hold.
SAME_EVERYWHERE: Final = {"imageDigests": "images", "packageDigests": "packages"}


class Releases:
    """The checks of the group, over one stack."""

    def __init__(self, stack: Stack, findings: Findings) -> None:
        self._stack = stack
        self._findings = findings

    def run(self) -> None:
        """Judges a site against its own instances, and the global stack for all sites against each other."""
        self._findings.guard(self._stack.site_contract, self._judge_site)
        contract = self._stack.global_contract
        if contract is not None:
            self._findings.guard(contract, self._judge_releases, contract)
            for key in SAME_EVERYWHERE:
                self._findings.guard(contract, self._judge_digests, contract, key)

    def _judge_site(self) -> None:
        contract = self._stack.site_contract
        promised = contract.get("release") if contract is not None else None
        if contract is None or promised is None:
            return
        if promised is UNKNOWN:
            self._findings.unproved(
                "contract",
                contract,
                "release",
                "it can't be proved that its instances run it",
                remedy="Take the release from the configuration.",
            )
            return
        for template in self._stack.referred(contract, "launchTemplateId", TEMPLATES, by=("id",)):
            found = _release_of(template)
            if found is UNKNOWN:
                self._findings.unproved(
                    "contract",
                    template,
                    "tagSpecifications",
                    f"it can't be proved that it starts {promised}",
                    remedy=f"Tag instances with `{RELEASE_TAG}`, a plain string.",
                )
            elif found != promised:
                self._findings.violation(
                    "contract",
                    contract,
                    f"`release` promises {promised}, but {template!r} starts "
                    f"{found or f'instances without the tag {RELEASE_TAG}'}: the other sites would compare themselves "
                    "with something that doesn't run. Give both the same release.",
                )

    def _judge_releases(self, contract: Resource) -> None:
        found = contract.get("releases")
        listed = contracts.sites(self._stack)
        if found is UNKNOWN or (isinstance(found, dict) and UNKNOWN in found.values()):
            self._findings.unproved(
                "same-release",
                contract,
                "releases",
                "it can't be proved that all sites run the same release",
                remedy="Pass on the sites' `release`.",
            )
            return
        running = {site: found.get(site) for site in listed} if isinstance(found, dict) else {}
        if len(set(running.values())) < 2:
            return
        said = ", ".join(f"{site}: {release or 'none'}" for site, release in running.items())
        wanted = pulumi.Config("lockstep").get("release")
        if wanted and _is_preview():
            # A preview shows what the sites' last updates left. Every site takes the same release from the
            # configuration, so bringing them up levels them: a violation would keep everybody from doing that.
            behind = [site for site, release in running.items() if release != wanted]
            self._findings.advisory(
                "same-release",
                contract,
                f"sites run different releases ({said}), and {wanted} is wanted. Run `lockstep deploy`, or `pulumi up` "
                f"in {' and '.join(behind)}; the update of this stack is a violation until then.",
            )
        else:
            self._findings.violation(
                "same-release",
                contract,
                f"sites run different releases ({said}): a failover would change the release too. Run `lockstep "
                "deploy`, and let no stack's file set a release of its own.",
            )

    def _judge_digests(self, contract: Resource, key: str) -> None:
        found = contract.get(key)
        what = SAME_EVERYWHERE[key]
        remedy = "Build and publish for all sites from the same sources, then run `lockstep deploy`."
        if found is UNKNOWN or (isinstance(found, dict) and UNKNOWN in found.values()):
            self._findings.unproved(
                "same-content",
                contract,
                key,
                f"it can't be proved that all sites have the same {what}",
                remedy="Pass on the sites' digests.",
            )
        elif isinstance(found, dict):
            releases = contract.get("releases")
            running = set(releases.values()) if isinstance(releases, dict) else set()
            values = {site: found.get(site) for site in contracts.sites(self._stack)}
            if len(set(values.values())) < 2 or len(running) > 1:
                return  # with different releases different content is no news
            said = ", ".join(f"{site}: {digest or 'none'}" for site, digest in values.items())
            self._findings.violation(
                "same-content",
                contract,
                f"sites have different {what} ({said}), so they don't run the same although their release is called "
                f"the same. {remedy}",
            )


def _release_of(template: Resource) -> Any:
    """The release with which the template tags its instances; None without such a tag."""
    specifications = template.get("tagSpecifications")
    for part in specifications if isinstance(specifications, list) else [specifications]:
        if not isinstance(part, dict):
            return part
        if part.get("resourceType") == "instance":
            tags = part.get("tags")
            return tags.get(RELEASE_TAG) if isinstance(tags, dict) else tags
    return None


def _is_preview() -> bool:
    return bool(pulumi.runtime.is_dry_run())


def _judge(args: StackValidationArgs, findings: Findings) -> None:
    Releases(Stack(args.resources), findings).run()


def _validate(args: StackValidationArgs, report_violation: ReportViolation) -> None:
    if not Stack(args.resources).has_contract:
        args.not_applicable("The stack has no contract of Lockstep: nothing says which sites run which release.")
    judged_by("releases", _judge)(args, report_violation)


releases_policy = StackValidationPolicy(
    name="sites-run-one-release",
    display_name="Sites run one release",
    description="All sites run the same release with the same content, and a site's instances run what it promises.",
    validate=_validate,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.HIGH,
    tags=["disaster-recovery", "releases"],
    remediation_steps=(
        "Set the release once, for all sites, and run `lockstep deploy`: it brings a release to every site or to none."
    ),
    url="https://docs.aws.amazon.com/wellarchitected/latest/reliability-pillar/rel_planning_for_recovery_config_drift.html",
    config_schema=PolicyConfigSchema(properties={"exemptions": EXEMPTIONS_SCHEMA}),
)
