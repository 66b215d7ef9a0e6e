"""What a check of an endpoint asks of its checkers: its settings, as the API tells them.

Route 53 API Reference, HealthCheckConfig; Developer Guide, "Values that you specify when you create or update health
checks".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

CHECKS_PATH: Final = "/_sandbox/checks"
"""On the API: `?after=VERSION` answers `{"version": N}`, and with `checks` if N is newer."""

OBSERVATIONS_PATH: Final = "/_sandbox/observations"
"""On the API: takes `{"observations": [...]}`, each the state of one checker of one check."""

_PORTS: Final = {"HTTP": 80, "HTTPS": 443}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One check. `name` is resolved before each probe unless there is an `address`; `interval` is in AWS's seconds.

    `version` is the check's, by which the API knows observations of settings that have changed meanwhile.
    """

    id: str
    version: int
    type: str
    port: int
    interval: int
    threshold: int
    name: str | None = None
    address: str | None = None
    path: str = "/"
    search: str | None = None
    sends_name: bool = False

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From what the API says. Raises KeyError, TypeError or ValueError if that isn't understood."""
        config = given["config"]
        return cls(
            id=given["id"],
            version=int(given["version"]),
            type=config["Type"],
            port=int(config["Port"]),
            interval=int(config["RequestInterval"]),
            threshold=int(config["FailureThreshold"]),
            name=config.get("FullyQualifiedDomainName"),
            address=config.get("IPAddress"),
            path=config.get("ResourcePath") or "/",
            search=config.get("SearchString"),
            sends_name=bool(config.get("EnableSNI")),
        )

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.type.startswith("HTTPS")

    @property
    def host(self) -> str:
        """The Host header (API Reference, HealthCheckConfig, "FullyQualifiedDomainName")."""
        known = self.name or self.address or ""
        usual = self.port == _PORTS["HTTPS" if self.is_secure else "HTTP"]
        return known if usual else f"{known}:{self.port}"
