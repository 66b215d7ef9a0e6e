"""The configuration as one frozen object. Keys in the files are these names in camel case.

A field's description is the form that an error message asks for, its example what the message suggests.
"""

import ipaddress
import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel

from lockstep.config import limits, naming
from lockstep.errors import InvalidInputError
from lockstep.project import GLOBAL_STACK

# Blocks that the network's layout cuts a VPC into: four zones for each of public, private, database and spare subnets.
# Fixed, so that adding a zone moves no subnet.
SUBNET_BITS: Final = 4
ZONES_MAX: Final = 4
VPC_PREFIX_LONGEST: Final = limits.BALANCER_SUBNET_PREFIX_MAX - SUBNET_BITS

ANYWHERE: Final = "anywhere"

_PRIVATE_RANGES: Final = tuple(
    ipaddress.IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
# S3 refuses the first three at the start of a bucket's name, Elastic Load Balancing "internal-" for a balancer, EC2
# "sg-" for a security group; all of those begin with the application's name.
_RESERVED_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-", "internal-", "sg-")
FULL_CAPACITY: Final = 100
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def _whole(value: object) -> object:
    """Numbers as `pulumi config set` writes them: in quotes. A boolean isn't a number, nor is 1.5 a whole one."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a whole number")
    return value


def _flag(value: object) -> object:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise ValueError("neither true nor false")


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("not a text: put the value in quotes")
    return value


def _label(value: str) -> str:
    if not _LABEL.fullmatch(value) or len(value) > limits.DNS_LABEL_MAX:
        raise ValueError(f"it has to be usable as a part of a DNS name, with at most {limits.DNS_LABEL_MAX} characters")
    return value


def _application(value: str) -> str:
    _label(value)
    if len(value) < 3 or not value[0].isalpha() or "--" in value:
        raise ValueError("names of buckets, balancers and roles begin with it")
    for prefix in _RESERVED_PREFIXES:
        if value.startswith(prefix):
            raise ValueError(f"AWS refuses names that begin with {prefix!r}")
    return value


def _site(value: str) -> str:
    if value == GLOBAL_STACK:
        raise ValueError(f"{GLOBAL_STACK!r} is the stack that joins the sites")
    return _label(value)


def _domain(value: str) -> str:
    labels = value.split(".")
    if len(labels) < 2 or len(value) > limits.DNS_NAME_MAX:
        raise ValueError(f"two parts or more, and at most {limits.DNS_NAME_MAX} characters")
    for label in labels:
        if not _LABEL.fullmatch(label) or len(label) > limits.DNS_LABEL_MAX:
            raise ValueError(f"{label!r} isn't a part of a DNS name (1 to {limits.DNS_LABEL_MAX} characters)")
    return value


def _release(value: str) -> str:
    if value and (
        not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value) or len(value) > limits.RELEASE_MAX or ".." in value
    ):
        raise ValueError("it becomes part of object keys and of an SSM parameter's name")
    if value == "latest":
        raise ValueError("a release is pinned: the same version, the same content, in every region")
    return value


def check_release_name(value: str) -> None:
    """Raise InvalidInputError if no release can have the name `value`."""
    try:
        if not _release(value):
            raise ValueError("it is empty")
    except ValueError as error:
        raise InvalidInputError(
            f"{value!r} can't be the name of a release: {error}",
            f"letters, digits and . _ -, a letter or digit first, at most {limits.RELEASE_MAX}: for example 1.0.0",
        ) from None


def _cidr(value: object) -> object:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("not an IPv4 range with its length, such as 10.10.0.0/16")
    try:
        network = ipaddress.IPv4Network(value)
    except ipaddress.AddressValueError as error:
        raise ValueError(str(error)) from None
    except ValueError as error:
        if "host bits" in str(error):
            block = ipaddress.IPv4Network(value, strict=False)
            raise ValueError(f"bits after the prefix are set: the block is {block}") from None
        raise ValueError(str(error)) from None
    if not limits.VPC_PREFIX_MIN <= network.prefixlen <= limits.VPC_PREFIX_MAX:
        raise ValueError(f"a VPC is between /{limits.VPC_PREFIX_MIN} and /{limits.VPC_PREFIX_MAX}")
    if network.prefixlen > VPC_PREFIX_LONGEST:
        raise ValueError(
            f"its {2**SUBNET_BITS} subnets would be /{network.prefixlen + SUBNET_BITS}, and a balancer needs "
            f"/{limits.BALANCER_SUBNET_PREFIX_MAX} or larger"
        )
    if not any(network.subnet_of(private) for private in _PRIVATE_RANGES):
        raise ValueError("a public range would hide its owners from the site's machines")
    return network


def _client_block(value: object) -> ipaddress.IPv4Network:
    """One of the blocks that may send requests: where on the internet clients are."""
    if not isinstance(value, str):
        raise ValueError("not a text such as 203.0.113.0/24")
    try:
        network = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} isn't an IPv4 range such as 203.0.113.0/24") from None
    if "/" not in value or str(network) != value:
        raise ValueError(f"EC2 keeps {value!r} as {network}: write it so")
    if network.prefixlen == 0:
        raise ValueError(f"{value} lets everybody in: that is {ANYWHERE!r}")
    if any(network.subnet_of(private) for private in _PRIVATE_RANGES):
        raise ValueError(f"{value} is private: no request from the internet has such an address")
    return network


def _ingress(value: object) -> str | tuple[ipaddress.IPv4Network, ...]:
    if value == ANYWHERE:
        return ANYWHERE
    if not isinstance(value, list | tuple):
        raise ValueError(f"neither {ANYWHERE!r} nor a list")
    if not value:
        raise ValueError("an empty list lets nobody in but the health checkers")
    blocks = tuple(each if isinstance(each, ipaddress.IPv4Network) else _client_block(each) for each in value)
    if twice := sorted({str(block) for block in blocks if blocks.count(block) > 1}):
        raise ValueError(f"twice in the list: {', '.join(twice)}")
    if len(blocks) > limits.INGRESS_BLOCKS_MAX:
        raise ValueError(
            f"{len(blocks)} blocks: of the {limits.GROUP_RULES_MAX} rules of a security group the health checkers' "
            f"prefix list takes {limits.HEALTH_CHECKERS_WEIGHT}, and every block two, as there may be two listeners"
        )
    return blocks


def _endpoint_service(value: str) -> str:
    if value == "s3":
        raise ValueError("S3 has a gateway endpoint in any case, which costs nothing")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*", value) or value.startswith("com."):
        raise ValueError("not the last part of a service's name: ssm, for example, of com.amazonaws.eu-west-1.ssm")
    return value


def _some_services(value: tuple[str, ...]) -> tuple[str, ...]:
    # pydantic's own limits would speak up for a list of one that is wrong, too: it counts the good ones.
    if not 1 <= len(value) <= limits.ENDPOINT_SERVICES_MAX:
        raise ValueError(
            f"a VPC has room for {limits.ENDPOINT_SERVICES_MAX} interface endpoints, and none is egress s3"
        )
    return value


def _log_days(value: int) -> int:
    if value not in (0, *limits.LOG_RETENTION_DAYS):
        raise ValueError("CloudWatch Logs keeps logs for these numbers of days only")
    return value


def _interval(value: int) -> int:
    if value not in limits.HEALTH_CHECK_INTERVALS:
        raise ValueError("Route 53 checks every 10 or every 30 seconds")
    return value


def _path(value: str) -> str:
    if not value.startswith("/") or not re.fullmatch(r"[!-~]+", value) or "#" in value:
        raise ValueError("a path begins with / and has neither blanks nor a fragment")
    if len(value) > limits.HEALTH_CHECK_PATH_MAX:
        raise ValueError(f"it has {len(value)} characters, and Route 53 takes {limits.HEALTH_CHECK_PATH_MAX}")
    return value


def _image(value: str) -> str:
    if "*" in value or "?" in value or "latest" in value:
        raise ValueError("it would be another image tomorrow, or in another region")
    if not re.fullmatch(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}", value):
        raise ValueError("EC2 names images with 3 to 128 letters, digits and ()[] ./-'@_")
    return value


def _instance_type(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", value):
        raise ValueError("not the form of an EC2 instance type")
    return value


def _one(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 1:
        # docs/adr/0017-one-instance-type.md
        raise ValueError("a group of several types can't be kept at a release that every site runs")
    return value


def _encryption(value: str) -> str:
    if value in ("sse-kms", "dsse-kms", "aws:kms", "aws:kms:dsse"):
        raise ValueError(
            "instances read packages without credentials, and S3 refuses anonymous reads of objects under KMS keys: no "
            "instance could install anything"
        )
    if value != "sse-s3":
        raise ValueError("S3 has no such encryption that needs nothing from who reads")
    return value


def _capacity(value: object) -> object:
    """Percent: `full` is what a site needs to carry everything."""
    return FULL_CAPACITY if value == "full" else _whole(value)


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({item for item in value if value.count(item) > 1})
    if twice:
        raise ValueError(f"twice in the list: {', '.join(twice)}")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Text = Annotated[str, BeforeValidator(_text)]
SiteName = Annotated[Text, AfterValidator(_site)]
SiteNames = Annotated[tuple[SiteName, ...], Field(min_length=2), AfterValidator(_distinct)]
ApplicationName = Annotated[Text, AfterValidator(_application)]
DomainName = Annotated[Text, AfterValidator(_domain)]
Release = Annotated[Text, AfterValidator(_release)]
Cidr = Annotated[ipaddress.IPv4Network, BeforeValidator(_cidr)]
Weight = Annotated[Whole, Field(ge=limits.WEIGHT_MIN, le=limits.WEIGHT_MAX)]
PerMinute = Annotated[Whole, Field(ge=1, le=limits.PER_MINUTE_MAX)]
Ttl = Annotated[Whole, Field(ge=limits.TTL_MIN, le=limits.TTL_MAX)]


class RecordType(StrEnum):
    """How the application's name points at the sites: a weighted CNAME, or a weighted alias where the zone begins."""

    CNAME = "cname"
    ALIAS = "alias"


class DatabaseMode(StrEnum):
    """What protects the data: a cross-region replica, backups in the peer's region; or nothing, as there is none."""

    REPLICA = "replica"
    BACKUP = "backup"
    NONE = "none"

    @property
    def holds_data(self) -> bool:
        """Whether the sites have a database at all."""
        return self is not DatabaseMode.NONE


class DatabaseBorn(StrEnum):
    """How a site's first database comes into being. Never its role: that moves, and is in the topology record."""

    SOURCE = "source"
    REPLICA = "replica"

    @property
    def is_source(self) -> bool:
        """Whether other sites replicate from this site's first database."""
        return self is DatabaseBorn.SOURCE


class Fencing(StrEnum):
    """What the writer does while it can't read its peer's record: go on, or stop."""

    AVAILABLE = "available"
    STRICT = "strict"


_THRESHOLD_FORM: Final = (
    f"a whole number from {limits.HEALTH_CHECK_THRESHOLD_MIN} to {limits.HEALTH_CHECK_THRESHOLD_MAX}"
)


class Section(BaseModel):
    """A part of the configuration: frozen, and no key in it that isn't known."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class HealthCheck(Section):
    """How a site is judged, by Route 53's checkers and by its own balancer alike. `interval` is in seconds."""

    path: Annotated[
        Text,
        AfterValidator(_path),
        Field(description=f"a path of at most {limits.HEALTH_CHECK_PATH_MAX} characters that begins with /"),
    ] = Field(default="/healthz", examples=["/healthz"])
    interval: Annotated[Whole, AfterValidator(_interval)] = Field(
        default=10, description="10 or 30 (seconds)", examples=[10]
    )
    threshold: Annotated[Whole, Field(ge=limits.HEALTH_CHECK_THRESHOLD_MIN, le=limits.HEALTH_CHECK_THRESHOLD_MAX)] = (
        Field(
            default=3,
            description=_THRESHOLD_FORM,
            examples=[3],
        )
    )


class Objectives(Section):
    """What is promised when a region is lost: seconds until requests succeed again, and seconds of data lost."""

    rto_seconds: Annotated[Whole, Field(ge=1, le=31_536_000)] = Field(
        description="a whole number of seconds, 1 or more", examples=[120]
    )
    rpo_seconds: Annotated[Whole, Field(ge=0, le=31_536_000)] = Field(
        description="a whole number of seconds, 0 or more", examples=[60]
    )


class Database(Section):
    """The database behind a site. Only mode `none` is built."""

    mode: DatabaseMode = Field(default=DatabaseMode.NONE, description="none, replica or backup", examples=["none"])
    size: Annotated[Text, Field(pattern=r"^db\.[a-z0-9-]+\.[a-z0-9-]+$")] = Field(
        default="db.t4g.medium", description="an RDS instance class, such as db.t4g.medium", examples=["db.t4g.medium"]
    )
    engine_version: Annotated[Text, Field(pattern=r"^\d{2}\.\d{1,2}$")] = Field(
        default="17.6", description="a PostgreSQL version in quotes, major and minor", examples=["17.6"]
    )
    cross_region_writes: Flag = Field(default=True, description="true or false", examples=["true"])
    fencing: Fencing = Field(
        default=Fencing.AVAILABLE, description="available or strict", examples=[Fencing.AVAILABLE.value]
    )


class Fleet(Section):
    """The instances of a site. `image` is a name because an image's id differs from region to region."""

    image: Annotated[Text, AfterValidator(_image)] = Field(
        description="the full name of one image that Amazon owns",
        examples=["al2023-ami-2023.9.20251105.0-kernel-6.1-arm64"],
    )
    instance_types: Annotated[
        tuple[Annotated[Text, AfterValidator(_instance_type)], ...], Field(min_length=1), AfterValidator(_one)
    ] = Field(description="a list with one EC2 instance type, such as [t4g.small]", examples=['["t4g.small"]'])
    instances: Annotated[Whole, Field(ge=1, le=limits.INSTANCES_MAX)] = Field(
        description=f"a whole number from 1 to {limits.INSTANCES_MAX}", examples=[2]
    )
    bake_seconds: Annotated[Whole, Field(ge=limits.BAKE_SECONDS_MIN, le=limits.BAKE_SECONDS_MAX)] = Field(
        default=60,
        description=f"a whole number of seconds from {limits.BAKE_SECONDS_MIN} to {limits.BAKE_SECONDS_MAX}",
        examples=[60],
    )
    zones: Annotated[Whole, Field(ge=limits.ZONES_MIN, le=ZONES_MAX)] = Field(
        description=f"a whole number of Availability Zones from {limits.ZONES_MIN} to {ZONES_MAX}", examples=[2]
    )
    capacity: Annotated[int, BeforeValidator(_capacity), Field(ge=1, le=FULL_CAPACITY)] = Field(
        default=FULL_CAPACITY,
        description="full, or the percentage of the whole load that the site's instances carry, from 1 to 100",
        examples=["full"],
    )
    deregistration_seconds: Annotated[Whole, Field(ge=0, le=limits.DEREGISTRATION_MAX)] = Field(
        default=30, description=f"a whole number of seconds from 0 to {limits.DEREGISTRATION_MAX}", examples=[30]
    )
    errors_per_minute: PerMinute = Field(
        default=60, description=f"a whole number of answers from 1 to {limits.PER_MINUTE_MAX}", examples=[60]
    )
    target_requests: PerMinute | None = Field(
        default=None,
        description=f"a whole number of requests per target and minute from 1 to {limits.PER_MINUTE_MAX}, or nothing",
        examples=[600],
    )
    max_instances: Annotated[Whole, Field(ge=1, le=limits.INSTANCES_MAX)] | None = Field(
        default=None,
        description=f"a whole number from 1 to {limits.INSTANCES_MAX}, with targetRequests; else nothing",
        examples=[4],
    )

    @property
    def load_instances(self) -> int:
        """How many instances the whole load needs, of which `instances` are ready."""
        return math.ceil(self.instances * FULL_CAPACITY / self.capacity)


class Egress(StrEnum):
    """The way out of private subnets, beside the gateway endpoint to S3, which is always there and costs nothing."""

    S3 = "s3"
    ENDPOINTS = "endpoints"
    NAT = "nat"

    @property
    def reaches(self) -> str:
        """What instances can reach."""
        return {
            Egress.S3: "the site's package bucket and the distribution's repositories in S3, and nothing else",
            Egress.ENDPOINTS: "the same, and the services of `lockstep:network.endpointServices`",
            Egress.NAT: "the same, and over HTTPS everything else: AWS's services and the internet",
        }[self]

    @property
    def cost(self) -> str:
        """What AWS charges (`EGRESS_PRICES`)."""
        return {
            Egress.S3: "nothing",
            Egress.ENDPOINTS: "$0.01 per hour, service and zone, and $0.01 per GB",
            Egress.NAT: "$0.05 per hour and zone ($0.045 a gateway, $0.005 its public address), and $0.045 per GB",
        }[self]


# https://aws.amazon.com/vpc/pricing/ and https://aws.amazon.com/privatelink/pricing/, September 2026.
EGRESS_PRICES: Final = (
    "AWS's prices for US East (Ohio) in September 2026, from aws.amazon.com/vpc/pricing and "
    "aws.amazon.com/privatelink/pricing. They vary by region, and each site pays its own."
)


class Network(Section):
    """Who reaches a site's balancer, what its instances reach, and how long the record of it is kept (days)."""

    ingress: Annotated[str | tuple[ipaddress.IPv4Network, ...], PlainValidator(_ingress)] = Field(
        default=ANYWHERE,
        description=(
            f"{ANYWHERE}, or a list of 1 to {limits.INGRESS_BLOCKS_MAX} public IPv4 blocks such as 203.0.113.0/24; "
            "Route 53's health checkers are let in in any case"
        ),
        examples=[ANYWHERE],
    )
    egress: Egress = Field(default=Egress.S3, description="s3, endpoints or nat", examples=[Egress.S3.value])
    endpoint_services: Annotated[
        tuple[Annotated[Text, AfterValidator(_endpoint_service)], ...],
        AfterValidator(_distinct),
        AfterValidator(_some_services),
    ] = Field(
        default=("ssm", "ssmmessages", "ec2messages", "logs", "monitoring"),
        description=(
            f"a list of 1 to {limits.ENDPOINT_SERVICES_MAX} AWS services by the last part of their endpoints' names, "
            "such as [ssm, logs]; used with egress endpoints only"
        ),
        examples=['["ssm", "ssmmessages", "ec2messages"]'],
    )
    flow_log_days: Annotated[Whole, AfterValidator(_log_days)] = Field(
        default=0,
        description=f"0 for no flow logs, or one of {', '.join(map(str, limits.LOG_RETENTION_DAYS))} days",
        examples=[30],
    )

    @property
    def clients(self) -> tuple[ipaddress.IPv4Network, ...] | None:
        """The blocks that may send requests; None for anybody."""
        return None if isinstance(self.ingress, str) else self.ingress


_KEPT_FORM: Final = f"a whole number of days from {limits.KEPT_DAYS_MIN} to {limits.KEPT_DAYS_MAX}"
Days = Annotated[Whole, Field(ge=limits.KEPT_DAYS_MIN, le=limits.KEPT_DAYS_MAX)]


class Packages(Section):
    """A site's package bucket. Current objects never expire; `noncurrent_days` is how long versions stay that were
    overwritten or deleted, `access_log_days` how long its access logs do, if it has any."""

    noncurrent_days: Days = Field(default=90, description=_KEPT_FORM, examples=[90])
    encryption: Annotated[Text, AfterValidator(_encryption)] = Field(
        default="sse-s3", description="sse-s3", examples=["sse-s3"]
    )
    access_logs: Flag = Field(default=False, description="true or false", examples=["true"])
    access_log_days: Days = Field(default=90, description=_KEPT_FORM, examples=[90])


class Site(Section):
    """One site: a region with everything in it. `weight` is its share among the weights of all sites."""

    name: str
    region: str
    cidr: ipaddress.IPv4Network
    domain: str
    weight: int
    fleet: Fleet
    network: Network
    database: Database
    database_born: DatabaseBorn | None
    packages: Packages
    release: str | None
    protect: bool

    @property
    def is_source(self) -> bool:
        """Whether the other sites' databases replicate from this site's first one."""
        return self.database_born is not None and self.database_born.is_source


class Config(Section):
    """Everything that one stack's program, or the CLI, needs to know; `stack` is the stack that it was read for."""

    stack: str
    application: str
    domain: str
    zone: str
    sites: tuple[Site, ...]
    ttl: int
    record_type: RecordType
    https: bool
    health_check: HealthCheck
    objectives: Objectives
    global_region: str
    global_protect: bool

    @property
    def stacks(self) -> tuple[str, ...]:
        """Every stack of the project: one for each site, then the one that joins them."""
        return (*(site.name for site in self.sites), GLOBAL_STACK)

    @property
    def is_global(self) -> bool:
        """Whether `stack` is the one that joins the sites."""
        return self.stack == GLOBAL_STACK

    @property
    def site(self) -> Site:
        """The site that `stack` is. Raises LookupError for `global`, which is none."""
        return self.site_named(self.stack)

    def site_named(self, name: str) -> Site:
        """The site called `name`. Raises LookupError if there is none."""
        for site in self.sites:
            if site.name == name:
                return site
        raise LookupError(f"no site is called {name!r}: the sites are {', '.join(site.name for site in self.sites)}")

    def peer_of(self, site: Site) -> Site:
        """The next site in the list, and the first one for the last."""
        return self.sites[(self.sites.index(site) + 1) % len(self.sites)]

    def switched_in(self, site: Site) -> Site:
        """The site whose drain switch is in the region of `site`: the one whose peer `site` is."""
        # The list is a ring.
        return self.sites[self.sites.index(site) - 1]

    @property
    def bake_seconds(self) -> int:
        """How long the first instance of a new release is watched, in the site where it is tried."""
        return max(site.fleet.bake_seconds for site in self.sites)

    @property
    def holds_data(self) -> bool:
        """Whether any site has a database, so that sites have to reach each other's."""
        return any(site.database.mode.holds_data for site in self.sites)

    @property
    def load_instances(self) -> int:
        """How many instances the whole load needs, by the site that says the most."""
        return max(site.fleet.load_instances for site in self.sites)

    @property
    def region(self) -> str:
        """The region of `stack`'s provider."""
        return self.global_region if self.is_global else self.site.region

    @property
    def protect(self) -> bool:
        """Whether `stack` protects what it owns from deletion."""
        return self.global_protect if self.is_global else self.site.protect

    @property
    def up_order(self) -> tuple[tuple[str, ...], ...]:
        """Stacks in the order in which they can be brought up: those in one group don't wait for each other."""
        sources = tuple(site.name for site in self.sites if site.is_source and site.database.mode.holds_data)
        others = tuple(site.name for site in self.sites if site.name not in sources)
        return tuple(group for group in (sources, others, (GLOBAL_STACK,)) if group)

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of everything in `stack`."""
        return {
            naming.APPLICATION_TAG: self.application,
            naming.SITE_TAG: self.stack,
            naming.MANAGED_BY_TAG: "pulumi",
        }


def site_domain_problem(site: str, domain: str) -> str:
    """Why a site's own name can't exist under `domain`, or nothing."""
    name = naming.site_domain(site, domain)
    if len(name) > limits.DNS_NAME_MAX:
        return f"{name!r}, the site's own name, has {len(name)} characters, and DNS allows {limits.DNS_NAME_MAX}"
    return ""


def describe(model: type[BaseModel], path: tuple[str | int, ...]) -> tuple[str, Any]:
    """The form and the example of the field of `model` at `path`, as far down as fields are described."""
    name = next((n for n, field in model.model_fields.items() if field.alias == path[0] or n == path[0]), None)
    if name is None:
        return "", None
    field = model.model_fields[name]
    return field.description or "", (field.examples or [None])[0]
