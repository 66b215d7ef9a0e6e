"""Every key of the configuration: its type, where it may be set, and what it is when nobody sets it."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from lockstep.config import limits
from lockstep.config.models import (
    VPC_PREFIX_LONGEST,
    ApplicationName,
    Cidr,
    Database,
    DatabaseBorn,
    DomainName,
    Flag,
    Fleet,
    HealthCheck,
    Network,
    Objectives,
    Packages,
    RecordType,
    Release,
    SiteNames,
    Text,
    Ttl,
    Weight,
    describe,
)

REQUIRED: Final = object()


class Scope(Enum):
    """Where a key may be set."""

    # The same for every stack or the stacks wouldn't fit together.
    PROJECT = "Pulumi.yaml"
    # Owned by what joins the sites; every stack uses the value that `global` sees.
    GLOBAL = "Pulumi.yaml or Pulumi.global.yaml"
    # Shared, unless one stack says otherwise.
    ANY = "Pulumi.yaml or any stack's file"
    # As SITE, for `global` too.
    STACK = "each stack's own file"
    # Different in every site by its nature.
    SITE = "each site's own file"

    @property
    def in_project(self) -> bool:
        """Whether Pulumi.yaml may set it."""
        return self in (Scope.PROJECT, Scope.GLOBAL, Scope.ANY)

    @property
    def in_global(self) -> bool:
        """Whether the file of stack `global` may set it."""
        return self in (Scope.GLOBAL, Scope.ANY, Scope.STACK)

    @property
    def in_site(self) -> bool:
        """Whether a site's file may set it."""
        return self in (Scope.ANY, Scope.STACK, Scope.SITE)


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key `lockstep:NAME`.

    `kind` is the type that Pulumi's engine knows for it, `expected` and `example` are what error messages show.
    """

    name: str
    scope: Scope
    adapter: TypeAdapter[Any]
    kind: str
    expected: str
    example: Any
    default: Any = REQUIRED
    model: type[BaseModel] | None = None

    @property
    def full_name(self) -> str:
        """The key as it stands in the files."""
        return f"lockstep:{self.name}"

    @property
    def is_structured(self) -> bool:
        """Whether the engine hands its value over as JSON."""
        return self.kind in ("array", "object")

    def form_at(self, path: tuple[str | int, ...]) -> tuple[str, Any]:
        """The form expected and an example, at `path` within the value."""
        if path and self.model is not None:
            form, example = describe(self.model, path)
            if form:
                return form, example
        if path and self.name == "weights":
            return WEIGHT_FORM, 100
        return self.expected, self.example


WEIGHT_FORM: Final = f"a whole number from {limits.WEIGHT_MIN} to {limits.WEIGHT_MAX}"
_DOMAIN_FORM: Final = "a DNS name in lower case, without a dot at its end"


def _section(name: str, scope: Scope, model: type[BaseModel], default: Any = REQUIRED, *, example: str) -> Key:
    *others, last = (field.alias or each for each, field in model.model_fields.items())
    return Key(
        name=name,
        scope=scope,
        adapter=TypeAdapter(model),
        kind="object",
        expected=f"an object with {', '.join(others)} and {last}",
        example=example,
        default=default,
        model=model,
    )


KEYS: Final = (
    Key(
        name="sites",
        scope=Scope.PROJECT,
        adapter=TypeAdapter(SiteNames),
        kind="array",
        expected="a list of two or more names of lower-case letters, digits and hyphens, none twice, none 'global'",
        example="[primary, secondary]",
    ),
    Key(
        name="application",
        scope=Scope.PROJECT,
        adapter=TypeAdapter(ApplicationName),
        kind="string",
        expected=f"3 to {limits.DNS_LABEL_MAX} lower-case letters, digits and single hyphens, the first a letter",
        example="orders",
    ),
    Key(
        name="release",
        scope=Scope.ANY,
        adapter=TypeAdapter(Release),
        kind="string",
        expected=f"a version of up to {limits.RELEASE_MAX} letters, digits and . - _, or nothing while there is none",
        example="1.0.0",
        default="",
    ),
    Key(
        name="domain",
        scope=Scope.PROJECT,
        adapter=TypeAdapter(DomainName),
        kind="string",
        expected=_DOMAIN_FORM,
        example="orders.example.com",
    ),
    Key(
        name="zone",
        scope=Scope.PROJECT,
        adapter=TypeAdapter(DomainName),
        kind="string",
        expected=_DOMAIN_FORM,
        example="example.com",
    ),
    Key(
        name="weights",
        scope=Scope.GLOBAL,
        adapter=TypeAdapter(dict[str, Weight]),
        kind="object",
        expected=f"{WEIGHT_FORM} for every site, not all of them 0; or nothing, for equal weights",
        example="{primary: 100, secondary: 100}",
        default={},
    ),
    Key(
        name="ttl",
        scope=Scope.GLOBAL,
        adapter=TypeAdapter(Ttl | None),
        kind="integer",
        expected=f"a whole number of seconds from {limits.TTL_MIN} to {limits.TTL_MAX}",
        example=30,
        # 30, and an alias's 60.
        default=None,
    ),
    Key(
        name="recordType",
        scope=Scope.GLOBAL,
        adapter=TypeAdapter(RecordType),
        kind="string",
        expected="cname or alias",
        example="alias",
        default="cname",
    ),
    Key(
        name="https",
        scope=Scope.PROJECT,
        adapter=TypeAdapter(Flag),
        kind="boolean",
        expected="true or false",
        example="true",
        default=False,
    ),
    _section(
        "healthCheck",
        Scope.GLOBAL,
        HealthCheck,
        {},
        example="{path: /healthz, interval: 10, threshold: 3}",
    ),
    _section(
        "objectives",
        Scope.GLOBAL,
        Objectives,
        example="{rtoSeconds: 120, rpoSeconds: 60}",
    ),
    _section(
        "database",
        Scope.ANY,
        Database,
        {},
        example="{mode: none}",
    ),
    _section(
        "fleet",
        Scope.ANY,
        Fleet,
        example="{image: ..., instanceTypes: [t4g.small], instances: 2, zones: 2}",
    ),
    _section(
        "network",
        Scope.ANY,
        Network,
        {},
        example="{ingress: anywhere, egress: s3, flowLogDays: 0}",
    ),
    _section(
        "packages",
        Scope.ANY,
        Packages,
        {},
        example="{noncurrentDays: 90, accessLogs: true}",
    ),
    Key(
        name="protect",
        scope=Scope.ANY,
        adapter=TypeAdapter(Flag),
        kind="boolean",
        expected="true or false",
        example="true",
        default=True,
    ),
    Key(
        name="region",
        scope=Scope.STACK,
        adapter=TypeAdapter(Text),
        kind="string",
        expected="a region of AWS's commercial partition",
        example="eu-west-1",
    ),
    Key(
        name="cidr",
        scope=Scope.SITE,
        adapter=TypeAdapter(Cidr),
        kind="string",
        expected=f"a private IPv4 block from /{limits.VPC_PREFIX_MIN} to /{VPC_PREFIX_LONGEST}",
        example="10.10.0.0/16",
    ),
    Key(
        name="databaseBorn",
        scope=Scope.SITE,
        adapter=TypeAdapter(DatabaseBorn | None),
        kind="string",
        expected="source or replica",
        example="replica",
        default=None,
    ),
)

KEY: Final = {key.name: key for key in KEYS}
