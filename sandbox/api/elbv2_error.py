"""How Elastic Load Balancing refuses."""

import re
from typing import Any, NoReturn

from moto.elbv2.exceptions import ELBClientError


def refuse(code: str, message: str) -> NoReturn:
    """Refuse with an error code of AWS's."""
    raise ELBClientError(code, message)


def unsupported(what: str) -> NoReturn:
    """Refuse what AWS has and the sandbox doesn't."""
    refuse("NotImplemented", f"the sandbox doesn't support {what}")


def check_port(port: Any, parameter: str = "port") -> None:
    """Refuse a port outside 1 to 65535; None is none."""
    if port is not None and not 1 <= int(port) <= 65535:
        bound = "greater than or equal to 1" if int(port) < 1 else "less than or equal to 65535"
        refuse(
            "ValidationError",
            f"1 validation error detected: Value '{port}' at '{parameter}' failed to satisfy constraint: Member must "
            f"have value {bound}",
        )


# Elastic Load Balancing API Reference, CreateLoadBalancer and CreateTargetGroup: `Name`.
NAME_MAX = 32


def check_name(kind: str, name: str) -> None:
    """Refuse a name that no load balancer or target group (`kind`, for the message) can have."""
    if not name:
        refuse("ValidationError", f"{kind} name cannot be blank")
    if len(name) > NAME_MAX:
        refuse("ValidationError", f"{kind} name '{name}' cannot be longer than '{NAME_MAX}' characters")
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        refuse(
            "ValidationError",
            f"{kind} name '{name}' can only contain characters that are alphanumeric characters and hyphens(-)",
        )
    if name.startswith("-") or name.endswith("-"):
        refuse("ValidationError", f"{kind} name '{name}' cannot begin or end with '-'")
