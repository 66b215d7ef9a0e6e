"""CloudWatch Logs with AWS's limits."""

from typing import Any

from moto.logs.exceptions import InvalidParameterException
from moto.logs.models import LogsBackend

from sandbox.api.change import Change, wrap

# CloudWatch Logs API Reference, PutRetentionPolicy, "retentionInDays".
RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


def _put_retention(original: Any, backend: Any, log_group_name: str, retention_in_days: Any) -> Any:
    if int(retention_in_days) not in RETENTION_DAYS:
        raise InvalidParameterException(
            f"Invalid retention value. Valid values are: [{', '.join(map(str, RETENTION_DAYS))}]"
        )
    return original(backend, log_group_name, retention_in_days)


CHANGES: tuple[Change, ...] = (
    Change(
        name="logs-retention",
        why=(
            "moto keeps logs for any number of days. AWS takes those of a list (CloudWatch Logs API Reference, "
            "PutRetentionPolicy)."
        ),
        apply=lambda: wrap(LogsBackend, "put_retention_policy", _put_retention),
    ),
)
