"""Rules between values that are each fine by themselves."""

import difflib
import ipaddress
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockstep.config import limits, models
from lockstep.config.files import YamlPath
from lockstep.config.models import DatabaseMode, RecordType
from lockstep.config.regions import commercial_regions
from lockstep.project import GLOBAL_STACK

# The weight of every site when none is configured: any number would do, one with room below and above reads best.
EQUAL_WEIGHT: Final = 100
# Seconds, where no TTL is configured.
TTL_UNSET: Final = {RecordType.CNAME: 30, RecordType.ALIAS: limits.ALIAS_TTL}

_SUGGESTED: Final = tuple(ipaddress.IPv4Network(f"10.{number}.0.0/16") for number in range(10, 256, 10))


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A rule that is broken: by which value of which stack (None: the shared one), and why. `expected` overrides the
    key's own form, `example` its own example."""

    key: str
    found: str
    reason: str
    stack: str | None = None
    path: YamlPath = ()
    expected: str = ""
    example: Any = None


@dataclass(frozen=True, kw_only=True)
class Values:
    """The values that passed their own checks: the shared ones, those of stack `global`, and those of each site."""

    sites: tuple[str, ...]
    shared: Mapping[str, Any]
    joining: Mapping[str, Any]
    by_site: Mapping[str, Mapping[str, Any]]

    def of_sites(self, key: str) -> list[tuple[str, Any]]:
        """The sites for which `key` has a value, with it."""
        return [(site, self.by_site[site][key]) for site in self.sites if key in self.by_site[site]]


def conflicts(values: Values) -> Iterator[Conflict]:
    """Every rule that these values break, in the order of the keys in the files."""
    yield from _domain(values)
    yield from _certificate_name(values)
    yield from _ttl(values)
    yield from _weights(values)
    yield from _fleets(values)
    yield from _not_built(values)
    yield from _regions(values)
    yield from _cidrs(values)
    yield from _database_births(values)


def _domain(values: Values) -> Iterator[Conflict]:
    domain = values.shared.get("domain")
    if domain is None:
        return
    zone = values.shared.get("zone")
    if zone is not None and domain == zone:
        if values.shared.get("recordType") is RecordType.CNAME:
            yield Conflict(
                key="recordType",
                found=RecordType.CNAME.value,
                expected=RecordType.ALIAS.value,
                reason=f"lockstep:domain is {domain}, where the zone begins, and DNS allows no CNAME there",
                example=RecordType.ALIAS.value,
            )
    elif zone is not None and not domain.endswith(f".{zone}"):
        yield Conflict(
            key="domain",
            found=domain,
            expected=f"a name below the zone {zone}",
            reason="Route 53 takes no record whose name is outside its zone",
            example=f"orders.{zone}",
        )
    for site in values.sites:
        problem = models.site_domain_problem(site, domain)
        if problem:
            yield Conflict(key="domain", found=domain, reason=problem)


def _certificate_name(values: Values) -> Iterator[Conflict]:
    domain = values.shared.get("domain")
    if values.shared.get("https") and domain is not None and len(domain) > limits.CERTIFICATE_NAME_MAX:
        yield Conflict(
            key="domain",
            found=domain,
            expected=f"a name of at most {limits.CERTIFICATE_NAME_MAX} characters, with lockstep:https",
            reason=f"it has {len(domain)}, and ACM issues no certificate whose first name has more",
        )


def _fleets(values: Values) -> Iterator[Conflict]:
    for site, fleet in values.of_sites("fleet"):
        if fleet.target_requests is not None and fleet.max_instances is None:
            yield Conflict(
                key="fleet",
                path=("maxInstances",),
                stack=site,
                found="nothing",
                reason="lockstep:fleet.targetRequests has the group grow, and this says how far",
                example=2 * fleet.instances,
            )
        elif fleet.max_instances is not None and fleet.target_requests is None:
            yield Conflict(
                key="fleet",
                path=("maxInstances",),
                stack=site,
                found=str(fleet.max_instances),
                expected="nothing, while there is no lockstep:fleet.targetRequests",
                reason="nothing has the group grow",
            )
        elif fleet.max_instances is not None and fleet.max_instances < 2 * fleet.instances:
            yield Conflict(
                key="fleet",
                path=("maxInstances",),
                stack=site,
                found=str(fleet.max_instances),
                expected=f"{2 * fleet.instances} or more",
                reason=f"a release is rolled by starting {fleet.instances} new instances beside those that run",
                example=2 * fleet.instances,
            )


def _ttl(values: Values) -> Iterator[Conflict]:
    ttl = values.shared.get("ttl")
    if values.shared.get("recordType") is RecordType.ALIAS and ttl not in (None, limits.ALIAS_TTL):
        yield Conflict(
            key="ttl",
            found=str(ttl),
            expected=f"{limits.ALIAS_TTL}, or no such key",
            reason="lockstep:recordType is alias, and AWS gives an alias its balancer's TTL",
            example=limits.ALIAS_TTL,
        )


def _weights(values: Values) -> Iterator[Conflict]:
    weights: Mapping[str, int] | None = values.shared.get("weights")
    if not weights:
        return
    for name in weights:
        if name not in values.sites:
            near = difflib.get_close_matches(name, values.sites, n=1)
            yield Conflict(
                key="weights",
                path=(name,),
                found=str(weights[name]),
                expected=f"a weight for each of {', '.join(values.sites)} and no other",
                reason=f"lockstep:sites has no site {name!r}" + (f"; did you mean {near[0]}?" if near else ""),
            )
    for site in values.sites:
        if site not in weights:
            yield Conflict(
                key="weights",
                path=(site,),
                found="nothing",
                reason=f"without one {site} would get no traffic, whatever happens to the others",
            )
    if not any(weights.values()):
        yield Conflict(
            key="weights",
            found=", ".join(f"{name}: {weight}" for name, weight in weights.items()),
            reason="Route 53 serves all of them equally when all are 0, so this would not take a site off",
        )


def _not_built(values: Values) -> Iterator[Conflict]:
    for site, database in values.of_sites("database"):
        if database.mode is not DatabaseMode.NONE:
            yield Conflict(
                key="database",
                path=("mode",),
                stack=site,
                found=database.mode.value,
                expected=DatabaseMode.NONE.value,
                reason="databases aren't built yet: a site has no state but its packages",
            )


def _regions(values: Values) -> Iterator[Conflict]:
    known = commercial_regions()
    regions = values.of_sites("region")
    if "region" in values.joining:
        regions.append((GLOBAL_STACK, values.joining["region"]))
    for stack, region in regions:
        if region not in known:
            near = difflib.get_close_matches(region, sorted(known), n=1)
            yield Conflict(
                key="region",
                stack=stack,
                found=region,
                reason="the installed botocore knows no such region" + (f"; did you mean {near[0]}?" if near else ""),
                example=near[0] if near else None,
            )
    for (first, one), (second, other) in itertools.combinations(values.of_sites("region"), 2):
        if one == other:
            yield Conflict(
                key="region",
                stack=second,
                found=other,
                expected="a region that no other site has",
                reason=f"{first} is in {one} too: losing that region would take both",
                example=next(region for region in ("eu-central-1", "eu-west-1") if region != one),
            )


def _cidrs(values: Values) -> Iterator[Conflict]:
    for (first, one), (second, other) in itertools.combinations(values.of_sites("cidr"), 2):
        if one.overlaps(other):
            taken = [block for _, block in values.of_sites("cidr")]
            free = (block for block in _SUGGESTED if not any(map(block.overlaps, taken)))
            yield Conflict(
                key="cidr",
                stack=second,
                found=str(other),
                expected="a block that overlaps no other site's",
                reason=f"{first} has {one}: VPCs with common addresses can't be peered",
                example=next(free, None),
            )


def _database_births(values: Values) -> Iterator[Conflict]:
    sources = [site for site, born in values.of_sites("databaseBorn") if born is not None and born.is_source]
    for site in sources[1:]:
        yield Conflict(
            key="databaseBorn",
            stack=site,
            found="source",
            expected="replica",
            reason=f"{sources[0]} is the source: a second one would hold other data",
        )
