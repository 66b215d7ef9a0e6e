"""What a balancer is told: its listeners with their rules, and its target groups with their targets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

ROUND_ROBIN: Final = "round_robin"
LEAST_OUTSTANDING_REQUESTS: Final = "least_outstanding_requests"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One registered target.

    `host` is the address of its machine's sockets, None while there is no machine; `private_address` the one that AWS
    would reach it at. `reachable` says whether security groups let requests through; `checkable` the same of health
    checks, None if they go to the same port. `registration` tells two registrations of one target apart.
    """

    id: str
    port: int
    host: str | None
    reachable: bool
    checkable: bool | None = None
    private_address: str = ""
    registration: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """What identifies it in its group."""
        return self.id, self.port


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """How targets are checked; times in AWS's seconds, `port` None for the target's own."""

    enabled: bool
    path: str
    port: int | None
    interval: float
    timeout: float
    healthy: int
    unhealthy: int
    matcher: str

    def accepts(self, status: int) -> bool:
        """Whether the matcher has `status`: numbers, and ranges of them, joined by commas."""
        for part in self.matcher.split(","):
            low, _, high = part.partition("-")
            if int(low) <= status <= int(high or low):
                return True
        return False


@dataclass(frozen=True, kw_only=True)
class Group:
    """One target group. `draining` targets get no new requests.

    With fewer healthy targets than `healthy_count`, or than `healthy_percentage` of all, requests go to all of them.
    """

    arn: str
    check: HealthCheck
    targets: tuple[Target, ...]
    draining: tuple[Target, ...] = ()
    algorithm: str = ROUND_ROBIN
    healthy_count: int = 1
    healthy_percentage: int = 0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Conditions, all of which must hold, and one action, as Elastic Load Balancing's API has them."""

    conditions: tuple[Mapping[str, Any], ...]
    action: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How a listener speaks TLS: certificate with chain and key as PEM, and what its security policy allows.

    `ciphers` are OpenSSL's names of those up to TLS 1.2, `minimum` and `maximum` versions such as `TLSv1.2`.
    """

    certificate: str
    key: str
    ciphers: tuple[str, ...]
    minimum: str
    maximum: str


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A port, and rules in the order in which they are tried; the last one has no conditions. `tls` None is HTTP.

    `admits` are the blocks of addresses from which connections are taken.
    """

    port: int
    rules: tuple[Rule, ...]
    admits: tuple[str, ...] = ("0.0.0.0/0",)
    tls: Tls | None = None

    @property
    def scheme(self) -> str:
        """What URLs to it begin with."""
        return "http" if self.tls is None else "https"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """All of it. `address` is the balancer's own loopback address; times in AWS's seconds.

    `client_port` adds the client's port to X-Forwarded-For; `forwarded_for` is `append`, `preserve` or `remove`.
    """

    address: str
    dns_name: str = ""
    listeners: tuple[Listener, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    idle_timeout: float = 60.0
    client_keep_alive: float = 3600.0
    drop_invalid_headers: bool = False
    preserve_host: bool = False
    forwarded_for: str = "append"
    client_port: bool = False

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From the message that carries it."""
        plain = {name: value for name, value in given.items() if name not in ("listeners", "groups")}
        return cls(
            **plain,
            listeners=tuple(
                Listener(
                    port=each["port"],
                    rules=tuple(
                        Rule(conditions=tuple(rule["conditions"]), action=rule["action"]) for rule in each["rules"]
                    ),
                    **({"admits": tuple(each["admits"])} if "admits" in each else {}),
                    tls=_tls(each.get("tls")),
                )
                for each in given["listeners"]
            ),
            groups={arn: _group(each) for arn, each in given["groups"].items()},
        )


def _tls(given: Mapping[str, Any] | None) -> Tls | None:
    return None if given is None else Tls(**{**given, "ciphers": tuple(given["ciphers"])})


def _group(given: Mapping[str, Any]) -> Group:
    plain = {name: value for name, value in given.items() if name not in ("check", "targets", "draining")}
    return Group(
        **plain,
        check=HealthCheck(**given["check"]),
        targets=tuple(Target(**target) for target in given["targets"]),
        draining=tuple(Target(**target) for target in given["draining"]),
    )
