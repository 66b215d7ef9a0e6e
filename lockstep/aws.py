"""The one place that makes AWS clients, so that no command hangs on a region that is lost."""

from importlib.metadata import version
from typing import Any

import boto3
from botocore.config import Config

# No command hangs on a lost region. Two retries, in standard mode with its back-off. CloudTrail shows the user agent.
CONFIG = Config(
    connect_timeout=3,
    read_timeout=10,
    retries={"total_max_attempts": 3, "mode": "standard"},
    user_agent_extra=f"lockstep/{version('lockstep')}",
)


def client(service: str, region: str) -> Any:
    """A client of `service` in `region`, with the user's credentials and endpoint from the environment."""
    session: Any = boto3.Session()
    return session.client(service, region_name=region, config=CONFIG)
