"""How the Pulumi program knows that a deployment runs it."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Final

DEPLOYMENT_VARIABLE: Final = "LOCKSTEP_DEPLOYMENT"
"""Set for Pulumi operations of a deployment, to its id: the program's hooks then leave rolling to it."""


def deployment_id(environ: Mapping[str, str] = os.environ) -> str | None:
    """The id of the deployment that runs this program; None for a plain `pulumi up`."""
    return environ.get(DEPLOYMENT_VARIABLE) or None


@contextlib.contextmanager
def marked(deployment: str) -> Iterator[None]:
    """While it lasts, the Pulumi operations of this process belong to the deployment with that id."""
    os.environ[DEPLOYMENT_VARIABLE] = deployment
    try:
        yield
    finally:
        del os.environ[DEPLOYMENT_VARIABLE]
