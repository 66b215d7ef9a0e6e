"""What a balancer is told: its listeners with their rules, and its target groups with their targets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Target:
    """One registered target. `host` is None while its machine isn't there, `reachable` says what security groups do."""

    id: str
    port: int
    host: str | None
    reachable: bool

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
    """One target group. `draining` targets get no new requests."""

    arn: str
    check: HealthCheck
    targets: tuple[Target, ...]
    draining: tuple[Target, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Conditions, all of which must hold, and one action, as Elastic Load Balancing's API has them."""

    conditions: tuple[Mapping[str, Any], ...]
    action: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A port, and rules in the order in which they are tried; the last one has no conditions."""

    port: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """All of it. `address` is the balancer's own loopback address, `idle_timeout` in AWS's seconds."""

    address: str
    listeners: tuple[Listener, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    idle_timeout: float = 60.0
    drop_invalid_headers: bool = False

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From the message that carries it."""
        return cls(
            address=given["address"],
            idle_timeout=given["idle_timeout"],
            drop_invalid_headers=given["drop_invalid_headers"],
            listeners=tuple(
                Listener(
                    port=each["port"],
                    rules=tuple(
                        Rule(conditions=tuple(rule["conditions"]), action=rule["action"]) for rule in each["rules"]
                    ),
                )
                for each in given["listeners"]
            ),
            groups={
                arn: Group(
                    arn=arn,
                    check=HealthCheck(**each["check"]),
                    targets=tuple(Target(**target) for target in each["targets"]),
                    draining=tuple(Target(**target) for target in each["draining"]),
                )
                for arn, each in given["groups"].items()
            },
        )
