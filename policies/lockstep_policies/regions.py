"""Group `regions`: a site is in its own region, and its contract tells the truth.

What a site says of itself (its contract) is what the global stack and the other sites rely on, and policies can't look
into another stack. So each stack's contract is compared with the resources of that stack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    ReportViolation,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from lockstep_policies import contracts
from lockstep_policies.buckets import BUCKETS, REPLICATION
from lockstep_policies.findings import EXEMPTIONS_SCHEMA, Findings, is_known, judged_by
from lockstep_policies.global_types import is_global
from lockstep_policies.health_checks import ALARM, BALANCERS, CHECK, RECORD
from lockstep_policies.view import (
    GLOBAL_CONTRACT,
    SITE_CONTRACT,
    UNKNOWN,
    Resource,
    Stack,
    arn_region,
    bucket_of_arn,
    dns_name_of,
)

GROUP_TYPES: Final = ("aws:autoscaling/group:Group",)
TEMPLATE_TYPES: Final = ("aws:ec2/launchTemplate:LaunchTemplate",)

#: Promises of a site's contract that one of its resources must keep: types that can, and the wire names that hold the
#: value.
SITE_PROMISES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "bucketName": (BUCKETS, ("bucket", "id")),
    "bucketArn": (BUCKETS, ("arn",)),
    "albDnsName": (BALANCERS, ("dnsName",)),
    "albZoneId": (BALANCERS, ("zoneId",)),
    "fleetName": (GROUP_TYPES, ("name", "id")),
    "launchTemplateId": (TEMPLATE_TYPES, ("id",)),
    "drainAlarmName": ((ALARM,), ("name", "id")),
}

#: Properties that name another region on purpose: the source of a copy, or where copies go.
CROSS_REGION_PROPERTIES: Final = frozenset(
    {
        "aws:rds/instance:Instance.replicateSourceDb",
        "aws:rds/instance:Instance.replicas",
        "aws:rds/cluster:Cluster.replicationSourceIdentifier",
        "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication.sourceDbInstanceArn",
        "aws:backup/plan:Plan.rules",
        "aws:secretsmanager/secret:Secret.replicas",
        "aws:kms/replicaKey:ReplicaKey.primaryKeyArn",
        "aws:ec2/amiCopy:AmiCopy.sourceAmiId",
        "aws:dynamodb/table:Table.replicas",
        "aws:dynamodb/tableReplica:TableReplica.globalTableArn",
    }
)
#: What else a contract has to say. Not the release: a site has none at first.
SITE_VALUES: Final = ("siteDomain", "peerRegion", "replicaBucketRegion", "rtoSeconds", "rpoSeconds")
GLOBAL_VALUES: Final = ("appDomain", "healthCheckIds", "recordNames", "siteDomains", "rtoSeconds", "rpoSeconds")
_DNS_NAMES: Final = frozenset({"albDnsName", "appDomain", "recordNames", "siteDomains"})
# What a person writes for a person, and what AWS or the provider adds.
_NOT_JUDGED: Final = frozenset({"tags", "tagsAll", "description", "urn", "__defaults"})


class Regions:
    """The checks of the group, over one stack."""

    def __init__(self, stack: Stack, config: Mapping[str, Any], findings: Findings) -> None:
        self._stack = stack
        self._findings = findings
        self._allowed = CROSS_REGION_PROPERTIES | frozenset(config.get("crossRegionProperties", ()))

    def run(self) -> None:
        """Judges where each resource is, and each promise of the contract."""
        self._findings.guard(None, self._judge_contract_count)
        site, whole = self._stack.site_contract, self._stack.global_contract
        if site is None and whole is None:
            return
        for resource in self._stack.resources:
            if resource.type.startswith("aws:"):
                self._findings.guard(resource, self._judge_provider, resource)
        if site is not None:
            self._findings.guard(site, self._judge_site, site)
        if whole is not None:
            self._findings.guard(whole, self._judge_global, whole)

    def _judge_contract_count(self) -> None:
        contracts_found = self._stack.of(SITE_CONTRACT, GLOBAL_CONTRACT)
        if self._stack.is_lockstep and not contracts_found:
            self._findings.violation(
                "contract",
                None,
                "it holds components of Lockstep but no contract, so nothing that it promises can be judged. Register a"
                " `SiteContract` or `GlobalContract`.",
            )
        for surplus in contracts_found[1:]:
            self._findings.violation(
                "contract",
                surplus,
                f"the stack has a contract already, {contracts_found[0]!r}. A stack has one; remove the other.",
            )

    def _judge_provider(self, resource: Resource) -> None:
        if resource.has_default_provider:
            self._findings.violation(
                "explicit-provider",
                resource,
                "it uses the default provider, whose region depends on who runs the program. Pass an explicit "
                "`aws.Provider` with a region in its options (`provider=`, or `parent=` a component that has one).",
            )

    # Site stacks

    def _judge_site(self, site: Resource) -> None:
        region = site.get("region")
        if region is None:
            self._findings.violation("contract", site, "it doesn't say the site's region. Pass `region` to it.")
        elif region is UNKNOWN:
            self._findings.unproved(
                "contract",
                site,
                "region",
                "no resource's region can be judged",
                remedy="Take the region from the configuration.",
            )
        else:
            for resource in self._stack.resources:
                if resource.type.startswith("aws:") and not is_global(resource.type):
                    self._findings.guard(resource, self._judge_region, resource, region)
                    self._findings.guard(resource, self._judge_arns, resource, region)
            self._judge_peers(site, region)
        self._judge_complete(site, (*SITE_PROMISES, *SITE_VALUES))
        for key in SITE_PROMISES:
            self._findings.guard(site, self._judge_promise, site, key)

    def _judge_region(self, resource: Resource, region: str) -> None:
        found = resource.region
        if found is UNKNOWN:
            self._findings.unproved(
                "region",
                resource,
                "region",
                f"it can't be proved that it is in {region}",
                remedy="Use the site's provider.",
            )
        elif found is None:
            if not resource.has_default_provider:
                self._findings.violation(
                    "region",
                    resource,
                    f"its provider names no region, so it can't be proved that it is in {region}. Set `region` on the "
                    "`aws.Provider`.",
                )
        elif found != region:
            self._findings.violation(
                "region",
                resource,
                f"it is in {found}, but this site is {region}: the site would depend on two regions. Use the site's "
                "provider and no `region` of its own, or move it to the global stack.",
            )

    def _judge_arns(self, resource: Resource, region: str) -> None:
        for key in resource.held():
            if key in _NOT_JUDGED or f"{resource.type}.{key}" in self._allowed:
                continue
            foreign = sorted({found for found in _arn_regions(resource.get(key)) if found != region})
            if foreign:
                self._findings.violation(
                    "foreign-arn",
                    resource,
                    f"`{key}` holds an ARN of {', '.join(foreign)}, but this site is {region}: without that region it "
                    f"can't work or be changed. Use a resource of {region}, or list {resource.type}.{key} in "
                    "`crossRegionProperties`.",
                )

    def _judge_peers(self, site: Resource, region: str) -> None:
        for key in ("peerRegion", "replicaBucketRegion"):
            if site.get(key) == region:
                self._findings.violation(
                    "contract",
                    site,
                    f"`{key}` is {region}, the site's own region, so both sites are lost together. Give the sites "
                    "different regions.",
                )

    def _judge_promise(self, site: Resource, key: str) -> None:
        types, properties = SITE_PROMISES[key]
        value = site.get(key)
        if value is None:
            return  # said by _judge_complete
        candidates = self._stack.of(*types)
        if value is UNKNOWN:
            self._judge_unknown_promise(site, key, types)
        elif not any(_same(key, value, resource.get(name)) for resource in candidates for name in properties):
            linked = site.sources(key, types)
            # In a preview the value may be known while the resource's own copy of it isn't.
            if not (linked and all(not is_known(linked[0].get(name)) for name in properties)):
                self._findings.violation(
                    "contract",
                    site,
                    f"`{key}` is the value of no {_kinds(types)} in this stack, so others would rely on something "
                    "that isn't there. Take it from the resource's output.",
                )

    def _judge_unknown_promise(self, site: Resource, key: str, types: tuple[str, ...]) -> None:
        sources = site.sources(key, types)
        if sources:
            self._findings.advisory(
                "contract", site, f"`{key}` is known only after the update (it comes from {sources[0]!r})."
            )
        else:
            self._findings.violation(
                "contract",
                site,
                f"`{key}` comes from no {_kinds(types)} of this stack, so others would rely on something that isn't "
                "there. Take it from the resource's output.",
            )

    def _judge_complete(self, contract: Resource, keys: Iterable[str]) -> None:
        """What is missing is relied on by another stack, or a rule is silent without it."""
        for key in keys:
            if contract.get(key) is None:
                self._findings.violation(
                    "contract",
                    contract,
                    f"it doesn't say `{key}`, on which other stacks or the rules of this pack rely. Pass it on.",
                )

    # The global stack

    def _judge_global(self, whole: Resource) -> None:
        regions: dict[str, str] = {}
        for site in contracts.sites(self._stack):
            region = contracts.site_region(self._stack, site)
            if region is None:
                self._findings.violation(
                    "contract", whole, f"it doesn't say the region of site {site}. Pass on the site's `region`."
                )
            elif region is UNKNOWN:
                self._findings.advisory(
                    "contract",
                    whole,
                    f"site {site} has no outputs yet, so its region can't be judged. Run `pulumi up -s {site}` first.",
                )
            elif region in regions:
                self._findings.violation(
                    "contract",
                    whole,
                    f"sites {regions[region]} and {site} are both in {region}, so they are lost together. Give each "
                    "its own region.",
                )
            else:
                regions[region] = site
        for resource in self._stack.of(*REPLICATION):
            self._findings.guard(resource, self._judge_replication_region, resource)
        self._findings.guard(whole, self._judge_names, whole)
        self._judge_complete(whole, GLOBAL_VALUES)

    def _judge_replication_region(self, resource: Resource) -> None:
        name = resource.get("bucket")
        bucket = bucket_of_arn(name) or name
        wanted = contracts.bucket_region(self._stack, bucket) if isinstance(bucket, str) else UNKNOWN
        found = resource.region
        if is_known(wanted) and is_known(found) and wanted != found:
            self._findings.violation(
                "region",
                resource,
                f"it is in {found}, but its bucket is in {wanted}, where alone S3 takes its replication "
                f"configuration. Set `region` to the bucket's region, {wanted}.",
            )

    def _judge_names(self, whole: Resource) -> None:
        for key, types, properties in (
            ("recordNames", (RECORD,), ("name", "fqdn")),
            ("healthCheckIds", (CHECK,), ("id",)),
            ("siteDomains", (RECORD,), ("name", "fqdn")),
            ("appDomain", (RECORD,), ("name", "fqdn")),
        ):
            held = [
                resource.get(name)
                for resource in self._stack.of(*types)
                for name in properties
                if is_known(resource.get(name))
            ]
            value = whole.get(key)
            listed = value if isinstance(value, dict) else {"": value}
            for site, promised in listed.items():
                where = f"`{key}`" + (f" of site {site}" if site else "")
                if promised is UNKNOWN:
                    self._judge_unknown_name(whole, key, where, types)
                elif promised is not None and not self._is_held(whole, key, promised, held, types):
                    self._findings.violation(
                        "contract",
                        whole,
                        f"{where} is the value of no {_kinds(types)} in this stack. Take it from the resource's "
                        "output.",
                    )

    def _judge_unknown_name(self, whole: Resource, key: str, where: str, types: tuple[str, ...]) -> None:
        if whole.sources(key, types):
            self._findings.advisory("contract", whole, f"{where} is known only after the update.")
        else:
            self._findings.violation(
                "contract",
                whole,
                f"{where} comes from no {_kinds(types)} of this stack. Take it from the resource's output.",
            )

    def _is_held(self, whole: Resource, key: str, promised: Any, held: list[Any], types: tuple[str, ...]) -> bool:
        if any(_same(key, promised, value) for value in held):
            return True
        # Not every provider repeats a resource's id among its outputs; the dependency then is what ties the two.
        return key == "healthCheckIds" and not held and bool(whole.sources(key, types))


def _same(key: str, promised: Any, value: Any) -> bool:
    if isinstance(promised, str) and isinstance(value, str) and key in _DNS_NAMES:
        return dns_name_of(promised) == dns_name_of(value)
    return is_known(value) and bool(promised == value)


def _kinds(types: tuple[str, ...]) -> str:
    return types[0].rpartition(":")[2]


def _arn_regions(value: Any) -> Iterator[str]:
    """Regions of all ARNs in a value. Text that merely contains one, such as a policy document, isn't looked into."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _arn_regions(part)
    elif isinstance(value, list):
        for part in value:
            yield from _arn_regions(part)
    elif (region := arn_region(value)) is not None:
        yield region


def _judge(args: StackValidationArgs, findings: Findings) -> None:
    Regions(Stack(args.resources), args.get_config(), findings).run()


def _validate(args: StackValidationArgs, report_violation: ReportViolation) -> None:
    if not Stack(args.resources).is_lockstep:
        args.not_applicable(
            "The stack has no component of Lockstep: no site says in which region its resources belong."
        )
    judged_by("regions", _judge)(args, report_violation)


regions_policy = StackValidationPolicy(
    name="sites-keep-to-their-region",
    display_name="Sites keep to their region",
    description="Every resource of a site is in the site's region, and the contract says what the stack really has.",
    validate=_validate,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.HIGH,
    tags=["disaster-recovery", "regions"],
    remediation_steps=(
        "Create a site's resources with the site's explicit `aws.Provider`, use no ARN of another region, and pass "
        "outputs of the stack's own resources to its contract."
    ),
    url="https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/global-services.html",
    config_schema=PolicyConfigSchema(
        properties={
            "crossRegionProperties": {
                "type": "array",
                "items": {"type": "string"},
                "default": [],
                "description": (
                    "Properties that may hold ARNs of another region, as TYPE.property, beside the pack's own list."
                ),
            },
            "exemptions": EXEMPTIONS_SCHEMA,
        }
    ),
)
