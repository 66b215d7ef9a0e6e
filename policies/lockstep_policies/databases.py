"""Group `databases`: a database outlives its region, as a replica or as a copy that is young enough.

Sources: RDS user guide, "Creating a read replica in a different AWS Region", "Replicating automated backups to another
AWS Region" (transaction logs go to S3 every 5 minutes), "Deleting a DB instance"; Aurora user guide, "Using Amazon
Aurora Global Database"; RDS API reference, CreateDBInstanceReadReplica, `KmsKeyId` (KMS keys are of one region: an
encrypted replica needs one of its own).
"""

from __future__ import annotations

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

from lockstep_policies import contracts
from lockstep_policies.backups import PLANS, SELECTIONS, copies_leave, interval_seconds, rules_of
from lockstep_policies.findings import EXEMPTIONS_SCHEMA, Findings, is_known, judged_by
from lockstep_policies.keys import judge_key
from lockstep_policies.view import UNKNOWN, Resource, Stack, arn_region, is_set

INSTANCES: Final = ("aws:rds/instance:Instance",)
CLUSTERS: Final = ("aws:rds/cluster:Cluster",)
GLOBAL_CLUSTERS: Final = ("aws:rds/globalCluster:GlobalCluster",)
BACKUP_REPLICATIONS: Final = ("aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication",)

#: Property by which a replica names its source.
_SOURCE_OF: Final = {INSTANCES[0]: "replicateSourceDb", CLUSTERS[0]: "replicationSourceIdentifier"}
_NAMES: Final = ("arn", "id", "identifier", "clusterIdentifier")

#: Data at risk by which a program without an objective is judged: a copy a day.
DEFAULT_RPO_SECONDS: Final = 86_400
#: Default of InstanceAutomatedBackupsReplication, in days (RDS API reference).
_DEFAULT_REPLICATED_DAYS: Final = 7
#: Instances have backups only if they say so in days; clusters always have one day (RDS API reference).
_DEFAULT_DAYS: Final = {INSTANCES[0]: 0, CLUSTERS[0]: 1}


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """Configuration of the group, as the engine sends it. Lag and log shipping are assumed bounds, not guarantees."""

    rpo_seconds: float | None
    replica_lag_seconds: float
    log_shipping_seconds: float
    retention_days: int

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> DatabaseSettings:
        """The settings in a policy's configuration, with the pack's defaults."""
        return cls(
            rpo_seconds=config.get("rpoSeconds"),
            replica_lag_seconds=config.get("replicaLagSeconds", 30),
            log_shipping_seconds=config.get("logShippingSeconds", 600),
            retention_days=int(config.get("minimumRetentionDays", 7)),
        )

    def rpo_for(self, stack: Stack) -> float:
        """The stricter of the contract's objective and the configured one, in seconds."""
        promised = [value for value in (contracts.rpo_seconds(stack), self.rpo_seconds) if value is not None]
        return min(promised, default=DEFAULT_RPO_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Something that holds a database's data: what it is, where (None: not seen), and how old at worst."""

    holder: Resource
    region: Any
    seconds: Any
    why: str


class Databases:
    """The checks of the group, over one stack."""

    def __init__(self, stack: Stack, settings: DatabaseSettings, findings: Findings) -> None:
        self._stack = stack
        self._settings = settings
        self._findings = findings
        self._rpo = settings.rpo_for(stack)
        self._all = stack.of(*INSTANCES, *CLUSTERS)
        # By URN of the database: what replicates it, what replicates its backups, the plans that copy it.
        self._replicas: dict[str, list[Resource]] = {}
        self._replicated: dict[str, list[Resource]] = {}
        self._plans: dict[str, list[Resource]] = {}
        self._clusters: dict[str, list[Resource]] = {}
        self._index()

    def run(self) -> None:
        """Judges every instance and cluster, every replication of backups, and the contract's promise."""
        for database in self._all:
            for check in (
                self._judge_copied,
                self._judge_encryption,
                self._judge_deletion,
                self._judge_retention,
            ):
                self._findings.guard(database, check, database)
            self._findings.guard(database, judge_key, self._stack, self._findings, "key", database, "kmsKeyId")
        for replication in self._stack.of(*BACKUP_REPLICATIONS):
            self._findings.guard(replication, self._judge_replication, replication)
            self._findings.guard(replication, judge_key, self._stack, self._findings, "key", replication, "kmsKeyId")
        for whole in self._stack.of(*GLOBAL_CLUSTERS):
            self._findings.guard(whole, self._judge_deletion, whole)
        self._findings.guard(self._stack.global_contract, self._judge_sites)

    # A copy in another region

    def _sources_of(self, replica: Resource) -> list[Resource]:
        """The databases that a replica may have as its source, of the same kind."""
        key = _SOURCE_OF[replica.type]
        found = self._stack.referred(replica, key, (replica.type,), by=_NAMES)
        if arn_region(replica.get(key)) is None and replica.get(key) is not UNKNOWN:
            # Only an ARN reaches another region; a name is looked for in the replica's own.
            return [source for source in found if source.region == replica.region]
        return found

    def _is_replica(self, database: Resource) -> bool:
        return is_set(database.get(_SOURCE_OF[database.type]))

    def _judge_copied(self, database: Resource) -> None:
        remedy = (
            "Declare a replica in another region (`replicate_source_db` with the source's ARN, under that region's "
            "provider), an `aws.rds.InstanceAutomatedBackupsReplication` there, or a backup plan that copies there."
        )
        if self._is_replica(database) or self._stack.site_contract is not None:
            return  # a site's database has its replica in another site's stack; the global stack judges the pair
        copies, region = list(self._copies(database)), database.region
        away = [copy for copy in copies if copy.region != region]
        if not copies:
            self._findings.violation("copy", database, f"it exists in one region only, and dies with it. {remedy}")
        elif not away:
            near = ", ".join(sorted(repr(copy.holder) for copy in copies))
            self._findings.violation(
                "same-region",
                database,
                f"its copies ({near}) are in its own region, {region}, and die with it. {remedy}",
            )
        elif not any(is_known(copy.region) for copy in away) or not is_known(region):
            self._findings.advisory(
                "copy",
                database,
                f"it can't be seen in which regions it and {away[0].holder!r} are, so it isn't proved that they "
                "differ. Use providers with a plain `region`.",
            )
        else:
            self._judge_age(database, [copy for copy in away if is_known(copy.region)])

    def _judge_age(self, database: Resource, copies: list[Copy]) -> None:
        known = [copy for copy in copies if is_known(copy.seconds)]
        best = min(known, key=lambda copy: copy.seconds, default=None)
        if best is None:
            self._findings.advisory(
                "rpo",
                database,
                f"the schedule of {copies[0].holder!r} can't be read, so it isn't proved that the copy is young enough "
                f"for the objective of {self._rpo:g} s.",
            )
        elif best.seconds > self._rpo:
            self._findings.violation(
                "rpo",
                database,
                f"its youngest copy in another region ({best.holder!r}) may be {best.seconds:g} s old ({best.why}), "
                f"above the objective of {self._rpo:g} s. Declare a replica, copy more often, or raise the objective.",
            )

    def _index(self) -> None:
        for database in self._all:
            for source in self._sources_of(database):
                self._replicas.setdefault(source.urn, []).append(database)
            if (whole := self._global_cluster(database)) is not None:
                self._clusters.setdefault(whole, []).append(database)
        for replication in self._stack.of(*BACKUP_REPLICATIONS):
            for source in self._stack.referred(replication, "sourceDbInstanceArn", INSTANCES, by=_NAMES):
                self._replicated.setdefault(source.urn, []).append(replication)
        for selection in self._stack.of(*SELECTIONS):
            plans = self._stack.referred(selection, "planId", PLANS, by=("id",))
            for chosen in self._stack.referred(selection, "resources", (*INSTANCES, *CLUSTERS), by=("arn",)):
                self._plans.setdefault(chosen.urn, []).extend(plans)

    def _global_cluster(self, database: Resource) -> str | None:
        """What tells the Aurora global database of a cluster from others."""
        key = "globalClusterIdentifier"
        if database.type not in CLUSTERS or not is_set(database.get(key)):
            return None
        found = self._stack.referred(database, key, GLOBAL_CLUSTERS, by=("id", key))
        return found[0].urn if found else database.text(key)

    def _copies(self, database: Resource) -> Iterator[Copy]:
        together = self._clusters.get(self._global_cluster(database) or "", [])
        for other in dict.fromkeys([*self._replicas.get(database.urn, []), *together]):
            if other is not database:
                lag = self._settings.replica_lag_seconds
                yield Copy(holder=other, region=other.region, seconds=lag, why="assumed lag")
        for replication in self._replicated.get(database.urn, []):
            yield Copy(
                holder=replication,
                region=replication.region,
                seconds=self._settings.log_shipping_seconds,
                why="assumed time until a transaction log is in the other region",
            )
        for plan in self._plans.get(database.urn, []):
            for rule in rules_of(plan):
                for region in copies_leave(plan, rule):
                    yield Copy(
                        holder=plan, region=region, seconds=interval_seconds(rule), why="interval of its schedule"
                    )

    # The database itself

    def _judge_encryption(self, database: Resource) -> None:
        value, source = database.get("storageEncrypted"), _SOURCE_OF[database.type]
        if self._is_replica(database):
            self._judge_replica_key(database, source)
        elif value is UNKNOWN:
            self._findings.unproved(
                "encryption",
                database,
                "storageEncrypted",
                "it can't be proved that it is encrypted",
                remedy="Set `storage_encrypted=True`.",
            )
        elif value is not True:
            self._findings.violation(
                "encryption",
                database,
                "its storage isn't encrypted, and RDS can't encrypt it later, nor make an encrypted replica of it. Set "
                "`storage_encrypted=True`.",
            )

    def _judge_replica_key(self, replica: Resource, source: str) -> None:
        """Within a region a replica takes its source's key; across regions it needs one of its own."""
        home = arn_region(replica.get(source))
        if home is None:
            found = self._sources_of(replica)
            home = found[0].region if found and isinstance(found[0].region, str) else None
        crosses = home is not None and replica.region != home
        if (crosses or replica.is_from_outside(source)) and replica.get("kmsKeyId") is None:
            self._findings.violation(
                "key",
                replica,
                "it replicates across regions and names no key, so it can only be the unencrypted replica of an "
                "unencrypted source. Set `kms_key_id` to a key of its own region.",
            )

    def _judge_deletion(self, database: Resource) -> None:
        value = database.get("deletionProtection")
        remedy = "Set `deletion_protection=True`."
        if value is UNKNOWN:
            self._findings.unproved(
                "deletion", database, "deletionProtection", "it can't be proved that it is protected", remedy=remedy
            )
        elif value is not True:
            self._findings.violation("deletion", database, f"one wrong call deletes it with its data. {remedy}")
        # RDS makes no final snapshot of a replica, and a global cluster has none of its own.
        has_final = database.type in _SOURCE_OF and not self._is_replica(database)
        skips = database.get("skipFinalSnapshot") if has_final else False
        if skips is UNKNOWN:
            self._findings.unproved(
                "deletion",
                database,
                "skipFinalSnapshot",
                "it can't be proved that its deletion leaves a snapshot",
                remedy="Set `skip_final_snapshot=False` and a name.",
            )
        elif skips is True:
            self._findings.violation(
                "deletion",
                database,
                "its deletion leaves no final snapshot. Set `skip_final_snapshot=False` and "
                "`final_snapshot_identifier`.",
            )

    def _judge_retention(self, database: Resource) -> None:
        days = database.get("backupRetentionPeriod")
        wanted = 1 if self._is_replica(database) else self._settings.retention_days
        remedy = f"Set `backup_retention_period` to at least {wanted}."
        if days is UNKNOWN:
            self._findings.unproved(
                "retention", database, "backupRetentionPeriod", "its backups can't be proved", remedy=remedy
            )
            return
        days = _DEFAULT_DAYS[database.type] if days is None else days
        if days < wanted:
            why = (
                "replication copies a mistake within seconds, and only a backup from before it undoes that"
                if wanted > 1
                else "after its promotion it would be without any until somebody thinks of it"
            )
            self._findings.violation(
                "retention",
                database,
                f"its automated backups are kept for {days} days, {wanted} are wanted: {why}. {remedy}",
            )

    def _judge_replication(self, replication: Resource) -> None:
        days = replication.get("retentionPeriod")
        wanted = self._settings.retention_days
        remedy = f"Set `retention_period` to at least {wanted}."
        if days is UNKNOWN:
            self._findings.unproved(
                "retention", replication, "retentionPeriod", "its backups can't be proved", remedy=remedy
            )
        elif (days or _DEFAULT_REPLICATED_DAYS) < wanted:
            self._findings.violation(
                "retention",
                replication,
                f"backups are kept for {days or _DEFAULT_REPLICATED_DAYS} days in the other region, {wanted} are "
                f"wanted. {remedy}",
            )
        source = replication.get("sourceDbInstanceArn")
        region = replication.region
        if is_known(region) and arn_region(source) == region:
            self._findings.violation(
                "same-region",
                replication,
                f"it is in {region}, the region of its source, which RDS refuses. Declare it under the other region's "
                "provider.",
            )

    # The contract

    def _judge_sites(self) -> None:
        contract = self._stack.global_contract
        found = contract.get("databaseArns") if contract is not None else None
        if contract is None or found is None:
            return
        for site in contracts.sites(self._stack):
            arn = UNKNOWN if found is UNKNOWN else found.get(site)
            region = contracts.site_region(self._stack, site)
            if arn is UNKNOWN:
                self._findings.advisory(
                    "site-copy",
                    contract,
                    f"the database of site {site} isn't known yet. Run `pulumi up -s {site}` first.",
                )
            elif arn is None:
                self._findings.violation(
                    "site-copy",
                    contract,
                    f"site {site} has no database, and other sites have: when they are lost it serves without data. "
                    "Give it a replica.",
                )
            elif is_known(region) and arn_region(arn) != region:
                self._findings.violation(
                    "site-copy",
                    contract,
                    f"`databaseArns` of site {site} names a database of {arn_region(arn) or 'no region'}, but the site "
                    f"is in {region}: both would be lost together. Pass on the ARN of the site's own database.",
                )


def _judge(args: StackValidationArgs, findings: Findings) -> None:
    Databases(Stack(args.resources), DatabaseSettings.read(args.get_config()), findings).run()


databases_policy = StackValidationPolicy(
    name="databases-outlive-their-region",
    display_name="Databases outlive their region",
    description="Databases have a copy in another region that is young enough, a key there, and can't be deleted.",
    validate=judged_by("databases", _judge),
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.CRITICAL,
    tags=["disaster-recovery", "rds"],
    remediation_steps=(
        "Declare a replica, a replication of automated backups or a copying backup plan in another region, with a KMS "
        "key of that region; set `storage_encrypted`, `deletion_protection` and `backup_retention_period`."
    ),
    url="https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReadRepl.XRgn.html",
    config_schema=PolicyConfigSchema(
        properties={
            "rpoSeconds": {
                "type": "number",
                "minimum": 1,
                "description": (
                    "Seconds of data that may be lost. The contract's objective holds too; the smaller one counts. "
                    f"Without either: {DEFAULT_RPO_SECONDS}, a copy a day."
                ),
            },
            "replicaLagSeconds": {
                "type": "number",
                "minimum": 0,
                "default": 30,
                "description": "Assumed bound of a replica's lag. No setting guarantees it; watch it with an alarm.",
            },
            "logShippingSeconds": {
                "type": "number",
                "minimum": 0,
                "default": 600,
                "description": (
                    "Assumed bound of the age of replicated automated backups: RDS ships logs every 5 minutes."
                ),
            },
            "minimumRetentionDays": {
                "type": "integer",
                "minimum": 1,
                "default": 7,
                "description": "Days for which automated backups, and their replicas, must be kept.",
            },
            "exemptions": EXEMPTIONS_SCHEMA,
        }
    ),
)
