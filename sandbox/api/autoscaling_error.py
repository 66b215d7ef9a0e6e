"""How EC2 Auto Scaling refuses."""

from typing import NoReturn

from moto.autoscaling.exceptions import AutoscalingClientError


def refuse(code: str, message: str) -> NoReturn:
    """Refuse with an error code of AWS's."""
    raise AutoscalingClientError(code, message)


def invalid(message: str) -> NoReturn:
    """Refuse what no group can have."""
    refuse("ValidationError", message)


def unsupported(what: str) -> NoReturn:
    """Refuse what AWS has and the sandbox doesn't."""
    refuse("NotImplemented", f"the sandbox doesn't support {what}")
