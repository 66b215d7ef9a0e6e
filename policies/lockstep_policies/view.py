"""What a policy can safely see of a stack.

The policy SDK hands out proxies that raise on almost every access to an unknown value, and an exception ends the whole
policy. This module turns them into plain Python once per property, with `UNKNOWN` in the places that are not known
before the update, and answers the questions that every check asks: where does a value come from, and in which region is
a resource.

Three facts of the engine (3.259) that the rules rest on:

* A stack policy sees a resource's *outputs*. In a preview those are its known inputs, and unknown for what AWS
  computes.
* `property_dependencies` of a property is there, known or not, when the value comes from another resource. The engine
  leaves out properties without dependencies, and the SDK drops URNs that are not managed by this stack. So an *empty*
  list means: it comes from another stack (StackReference) or from a read.
* An unknown without such an entry was never an input of the program: AWS chooses it, which to a check is the same as
absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pulumi_policy import PolicyResource
from pulumi_policy.proxy import UnknownValueError

SITE_CONTRACT: Final = "lockstep:contract:SiteContract"
GLOBAL_CONTRACT: Final = "lockstep:contract:GlobalContract"

_ARN = re.compile(r"arn:aws[a-z-]*:[^:\s]*:(?P<region>[^:\s]*):[^:\s]*:\S+")
_DEFAULT_PROVIDER = re.compile(r"default(_\d+_\d+_\d+.*)?")
# NAME-123456789.REGION.elb.amazonaws.com for application and classic balancers, NAME-0123abc.elb.REGION.amazonaws.com
# for network balancers (Elastic Load Balancing user guides, "DNS name").
_BALANCER_NAME = re.compile(
    r"(?:.+\.(?P<application>[a-z]{2}(?:-[a-z]+)+-\d)\.elb|.+\.elb\.(?P<network>[a-z]{2}(?:-[a-z]+)+-\d))\.amazonaws\.com(?:\.cn)?"
)


class Unknown:
    """A value that is not known before the update. Neither true nor false: a check has to ask for it by name."""

    def __bool__(self) -> bool:
        raise TypeError("an unknown value is neither true nor false; compare with `is UNKNOWN` first")

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


def plain(value: Any) -> Any:
    """A copy of a value of the SDK as plain dicts, lists and scalars, `UNKNOWN` where a part is not known.

    Whole floats become ints, because every number arrives as a float. The empty string becomes None: pulumi-aws reports
    an unset string as "".
    """
    if isinstance(value, Mapping):
        return {key: _part(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_part(value, index) for index in range(len(value))]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None if value == "" else value


def _part(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def first(value: Any) -> Any:
    """The only element of a list of at most one, as Pulumi writes most nested blocks; None if there is none."""
    if value is UNKNOWN or not isinstance(value, list):
        return value
    return value[0] if value else None


def field(block: Any, *path: str) -> Any:
    """A nested value, None as soon as a part of the path is absent, `UNKNOWN` as soon as one is unknown."""
    for key in path:
        block = first(block)
        if block is UNKNOWN or not isinstance(block, dict):
            return block if block is UNKNOWN else None
        block = block.get(key)
    return block


def is_set(value: Any) -> bool:
    """Whether a program set a property to something, known or not."""
    return value is UNKNOWN or bool(value)


def strings(value: Any) -> Iterator[str]:
    """Every known text in a value, however deep."""
    if isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)
    elif isinstance(value, str):
        yield value


class Resource:
    """One resource of the stack: known, unknown and absent properties, and where they come from."""

    def __init__(self, resource: PolicyResource) -> None:
        self._resource = resource
        self._read: dict[str, Any] = {}
        self._sources: dict[str, list[Resource]] = {}
        self.type: str = resource.resource_type
        self.urn: str = resource.urn
        self.name: str = resource.name
        self.parent: Resource | None = None

    def __repr__(self) -> str:
        return f"{self.type.rpartition(':')[2]} {self.name}"

    def link(self, stack: Mapping[str, Resource]) -> None:
        """Points at the other resources of the stack; called once by `Stack`."""
        for key, resources in self._resource.property_dependencies.items():
            self._sources[key] = list(dict.fromkeys(stack[resource.urn] for resource in resources))
        if self._resource.parent is not None:
            self.parent = stack[self._resource.parent.urn]

    def get(self, key: str) -> Any:
        """A property as plain data: its value, `UNKNOWN`, or None.

        None also stands for an unknown that the program never set (AWS will choose it), and for the empty string, list
        and object. A property that comes from another resource and is missing is unknown: some providers leave out in a
        preview what they can't know.
        """
        if key not in self._read:
            self._read[key] = self._get(key)
        return self._read[key]

    def _get(self, key: str) -> Any:
        props = self._resource.props
        value = _part(props, key) if key in set(props) else None
        if value is UNKNOWN:
            return UNKNOWN if self.is_linked(key) else None
        if value is None:
            return UNKNOWN if self.is_linked(key) else None
        return None if value in ([], {}) else value

    def text(self, key: str) -> str | None:
        """A property if it is known text, else None."""
        value = self.get(key)
        return value if isinstance(value, str) else None

    def held(self) -> Iterator[str]:
        """Names of the properties that the stack holds for the resource, unknown ones included."""
        return iter(set(self._resource.props))

    def is_linked(self, key: str) -> bool:
        """Whether the property comes from another resource, of this stack or of another one."""
        return key in self._sources

    def is_from_outside(self, key: str) -> bool:
        """Whether the property comes only from another stack or from a read, neither of which a policy can see."""
        return self._sources.get(key) == []

    def sources(self, key: str, types: Iterable[str] | None = None) -> list[Resource]:
        """The resources of this stack from which the property comes, or those of them with one of the types."""
        found = self._sources.get(key, [])
        if types is None:
            return list(found)
        wanted = frozenset(types)
        return [resource for resource in found if resource.type in wanted]

    @property
    def is_protected(self) -> bool:
        """Whether the engine refuses to delete it."""
        return bool(self._resource.opts.protect)

    @property
    def provider_region(self) -> Any:
        """The region of the resource's provider: a name, `UNKNOWN`, or None when the provider says none."""
        provider = self._resource.provider
        if provider is None or "region" not in set(provider.props):
            return None
        return _part(provider.props, "region")

    @property
    def region(self) -> Any:
        """The effective region: the resource's own `region`, else its provider's; `UNKNOWN` or None if neither
        tells.
        """
        own = self.get("region")
        return own if own is not None else self.provider_region

    @property
    def has_default_provider(self) -> bool:
        """Whether the engine made the provider up, because the program gave none."""
        provider = self._resource.provider
        return provider is not None and _DEFAULT_PROVIDER.fullmatch(provider.name) is not None


class Stack:
    """All resources of the stack, by type, with the contract if there is one."""

    def __init__(self, resources: Sequence[PolicyResource]) -> None:
        by_urn = {resource.urn: Resource(resource) for resource in resources}
        for resource in by_urn.values():
            resource.link(by_urn)
        self.resources: list[Resource] = list(by_urn.values())
        self._by_type: dict[str, list[Resource]] = {}
        for resource in self.resources:
            self._by_type.setdefault(resource.type, []).append(resource)

    def of(self, *types: str) -> list[Resource]:
        """Resources of the types, in the order in which the engine sent them."""
        return [resource for wanted in types for resource in self._by_type.get(wanted, [])]

    def referred(self, owner: Resource, key: str, types: Iterable[str], *, by: Iterable[str]) -> list[Resource]:
        """Resources of the types that a property names: by value where it is known, else those that it comes from.

        Args:
            owner: whose property it is.
            key: its wire name; values deep inside of it count too.
            types: the types wanted.
            by: properties by which such a resource is named, for example `arn`.
        """
        wanted, named = tuple(types), set(strings(owner.get(key)))
        held = tuple(by)
        found = [
            resource for resource in self.of(*wanted) if named and any(resource.text(name) in named for name in held)
        ]
        sources = owner.sources(key, wanted)
        # Names are one per region only; where the value comes from says which of two is meant.
        return [resource for resource in found if resource in sources] or found or sources

    @property
    def site_contract(self) -> Resource | None:
        """The contract of a site stack, None elsewhere."""
        return next(iter(self.of(SITE_CONTRACT)), None)

    @property
    def global_contract(self) -> Resource | None:
        """The contract of the global stack, None elsewhere."""
        return next(iter(self.of(GLOBAL_CONTRACT)), None)

    @property
    def has_contract(self) -> bool:
        """Whether this is a stack of Lockstep. Other programs are judged by the same rules with what they show."""
        return self.site_contract is not None or self.global_contract is not None

    @property
    def is_lockstep(self) -> bool:
        """Whether the stack holds anything of Lockstep's components, with or without a contract."""
        return any(resource.type.startswith("lockstep:") for resource in self.resources)


def arn_region(value: Any) -> str | None:
    """The region named in an ARN; None for other values and for ARNs without a region (S3, IAM, Route 53)."""
    match = _ARN.fullmatch(value) if isinstance(value, str) else None
    return (match["region"] or None) if match else None


def bucket_of_arn(value: Any) -> str | None:
    """The bucket's name in an S3 bucket ARN, None for other values."""
    match = re.fullmatch(r"arn:aws[a-z-]*:s3:::([^/\s]+)", value) if isinstance(value, str) else None
    return match[1] if match else None


def balancer_region(dns_name: Any) -> str | None:
    """The region in a load balancer's DNS name, None for other names."""
    match = _BALANCER_NAME.fullmatch(dns_name_of(dns_name)) if isinstance(dns_name, str) else None
    return (match["application"] or match["network"]) if match else None


def dns_name_of(value: str) -> str:
    """A domain name as names are compared: lower case, without the final dot, an escaped asterisk written out."""
    return value.rstrip(".").lower().replace("\\052", "*")
