"""The one place that makes AWS clients, so that no command hangs on a region that is lost."""

import functools
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

# No command hangs on a lost region. Two retries, in standard mode with its back-off. CloudTrail shows the user agent.
CONNECT_SECONDS: Final = 3
READ_SECONDS: Final = 10
USER_AGENT: Final = f"lockstep/{version('lockstep')}"
CONFIG = Config(
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    retries={"total_max_attempts": 3, "mode": "standard"},
    user_agent_extra=USER_AGENT,
)


# Reading a service's description takes longer than a call, and a session keeps it; clients may be used by many threads,
# but making one isn't safe (boto3 guide, "Multithreading with clients").
_making = threading.Lock()
_SERVICE: Final = "LockstepService"
_CALL: Final = "lockstep_call"


def client(service: str, region: str) -> Any:
    """A client of `service` in `region`, with the user's credentials and endpoint from the environment."""
    with _making:
        made = _session().client(service, region_name=region, config=CONFIG)
    _name_calls(made, service)
    return made


def credentials() -> Any:
    """The user's credentials as botocore has them, for signing requests that aren't made by a client.

    Raises NoCredentialsError if there are none.
    """
    with _making:
        found = _session().get_credentials()
    if found is None:
        raise NoCredentialsError
    return found.get_frozen_credentials()


def call_of(error: BotoCoreError | ClientError) -> str:
    """Service and operation of the call that raised `error`, such as `ec2 DescribeImages`; empty if not known."""
    if isinstance(error, ClientError):
        service = str(error.response.get("ResponseMetadata", {}).get(_SERVICE, ""))
        return f"{service} {error.operation_name}".strip()
    return str(getattr(error, _CALL, ""))


def _name_calls(made: Any, service: str) -> None:
    """Have errors tell which call they are of: botocore's own don't say the service, those of connections nothing."""

    def on_answer(parsed: dict[str, Any], **_: Any) -> None:
        parsed.setdefault("ResponseMetadata", {})[_SERVICE] = service

    def on_error(exception: Exception, event_name: str, **_: Any) -> None:
        setattr(exception, _CALL, f"{service} {event_name.rpartition('.')[2]}")

    made.meta.events.register("after-call", on_answer)
    made.meta.events.register("after-call-error", on_error)


@functools.cache
def _session() -> Any:
    return boto3.Session()


def account_id(clients: Callable[[str, str], Any], regions: Sequence[str]) -> str:
    """The account that the credentials belong to, asked of the first of `regions` that answers.

    A failure that may pass is that region's own, and the next one is asked; any other is the same everywhere, as is a
    login that has run out. Raises RegionUnreachableError if no region answers, and what else is the matter.
    """
    # It asks this module which call an error is of.
    from lockstep.regions import as_error, classify

    failures = {}
    for region in regions:
        try:
            return str(clients("sts", region).get_caller_identity()["Account"])
        except (BotoCoreError, ClientError) as error:
            failure = classify(region, error)
            if not failure.may_pass:
                raise as_error({region: failure}) from error
            failures[region] = failure
    raise as_error(failures)
