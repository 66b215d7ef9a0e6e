"""Every rule of the pack, by group, and what it demands: for the documentation. Messages and exemptions name a rule as
`group/rule`.
"""

from __future__ import annotations

from typing import Final

#: Rules that every group has.
COMMON: Final[dict[str, str]] = {
    "exemption": "an exemption has rule, resource, reason, owner and a date at most a year ahead that isn't over",
    "internal": "no check failed by itself; if one did, nothing is proved there, and the pack has a defect",
}

RULES: Final[dict[str, dict[str, str]]] = {
    "traffic": {
        "health-check": "a record with a routing policy has a health check, or an alias evaluates its target's health",
        "budget": "detection (failure threshold x interval) and TTL together are within the recovery time objective",
        "check-own-name": "a check doesn't ask the name that it decides about: the other members answer that too",
        "check-of-other-site": "a record's check asks that record's own target, not another member's",
        "check-shared": "no check decides for two members of a name: they would turn red together",
        "check-disabled": "a check isn't disabled: a disabled one counts as healthy for ever",
        "check-inverted": "a check isn't inverted",
        "check-type": "a check has a type that Route 53 has",
        "check-endpoint": "a check asks a public endpoint, at a port, with an absolute path",
        "check-search-string": "a check that looks for text has a text to look for",
        "check-alarm": "a check of an alarm names the alarm and its region",
        "check-insufficient-data": "a check of an alarm says what no data means",
        "check-children": "a calculated check has children, and they are checks of this program",
        "check-threshold": "a calculated check can turn red, and can be green",
        "check-never-red": "a check turns red when the endpoints in it do",
        "alarm-dies-with-site": "a site's only check isn't an alarm in its own region that stays green without data",
        "drain-switch": "a check of Lockstep has a switch in another region, which keeps what it was told",
        "set": "name and type of a record with a routing policy are known",
        "set-too-small": "a name has as many members as are wanted",
        "set-mixed": "the members of a name have the same routing policy",
        "set-identifier": "each member has a set identifier of its own",
        "set-ttl": "the members of a name have the same TTL",
        "set-weights": "not every weight is 0; that only one is above 0 is an advisory",
        "set-regions": "the members of a name lead to as many regions as are wanted",
        "simple-record": "no record without a routing policy leads past the failover",
        "own-name": "a site's own name leads to that site",
        "site-without-record": "every site of `lockstep:sites` has a record with its name as set identifier",
    },
    "buckets": {
        "versioning": "a bucket is versioned",
        "encryption": "its encryption is known, and in Lockstep declared as SSE-S3",
        "public-access": "public access is blocked, by all four switches",
        "transport": "its policy refuses plain HTTP for the bucket and its objects",
        "overwriting": "in a site of Lockstep, its policy refuses to write over what is published",
        "replication": "an enabled rule copies it to another bucket",
        "same-region": "the other bucket is in another region",
        "coverage": "its rules cover every key that they should, and none that they should not",
        "delete-markers": "deletions aren't copied",
        "replication-kms": "objects under KMS keys are copied, under a key of the destination's region",
        "replication-role": "the role of the replication is known",
        "replication-overwritten": "a bucket has one replication configuration: a second one replaces the first",
        "site-replication": "the bucket of every site of `lockstep:sites` has a rule out of it and one into it",
        "site-without-bucket": "the contract names a bucket for every site",
    },
    "databases": {
        "copy": "a database has a replica, replicated backups or a copying backup plan",
        "same-region": "the copy is in another region",
        "rpo": "the youngest copy in another region is young enough for the objective",
        "encryption": "storage is encrypted",
        "key": "the key is of the region where the data is; a replica across regions names one",
        "deletion": "deletion protection is on, and a source leaves a final snapshot",
        "retention": "automated backups, and replicated ones, are kept for long enough",
        "site-copy": "every site of `lockstep:sites` has a database in its own region, if one has",
    },
    "backups": {
        "copy": "every rule of a plan copies what it makes",
        "same-region": "the copy goes to another region",
        "interval": "a plan's most frequent rule runs often enough",
        "retention": "backups and copies are kept for long enough, and for longer than until the next one",
        "selection": "a plan has a selection",
        "vault-key": "a vault's key is of the vault's region",
        "vault-deletion": "deleting a vault doesn't delete the backups in it",
        "vault-lock": "a vault is locked (advisory)",
    },
    "fleet": {
        "zones": "a group is in as many Availability Zones as are wanted",
        "elb-check": "it replaces instances that its balancer finds dead, not only those that EC2 does",
        "suspended": "no process is suspended that replaces or serves instances",
        "target-check": "its target group has its health check on",
        "ready": "it holds an instance for each zone, and what its contract promises",
        "capacity": "each site holds ready what its weight gives it when any other site is lost",
    },
    "releases": {
        "same-release": "all sites run the same release",
        "same-content": "images and packages of that release are identical in all sites",
        "contract": "a site's instances run the release that its contract promises",
    },
    "regions": {
        "region": "a resource of a site is in the site's region, a replication in its bucket's",
        "foreign-arn": "no property of it holds an ARN of another region, but those that exist for it",
        "explicit-provider": "no resource uses the default provider, whose region depends on who runs the program",
        "contract": "a stack has one contract, which says all that others rely on, and what it says is so",
    },
    "safeguards": {
        "protected": "where anything is protected from deletion, everything that holds data or traffic is",
        "deletion": "a protected balancer has deletion protection, a protected bucket isn't emptied by a destroy",
        "metadata": "instances answer metadata requests with a token only (IMDSv2)",
        "volumes": "instances' volumes are encrypted",
        "template": "a launch template says all that an instance needs to boot into the application and be reached",
        "matcher": "a balancer's check takes no error for an answer",
        "headers": "a balancer drops header fields that aren't valid",
        "way-in": "security groups of balancers and instances let in and out what a request needs",
        "drain-switch": "the alarm that drains the other site tells an order from none, and keeps it",
    },
}
