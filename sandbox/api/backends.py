"""moto's backends of a service, of every account and region that is in use."""

from collections.abc import Iterator
from typing import Any

from sandbox.api import lost_regions


def every(service: Any) -> Iterator[Any]:
    """Each backend of `service`, which is moto's dictionary of them by account and region.

    Call it under the backend lock; what is done with one backend may bring others into being, which are left out then.
    """
    for account in list(service.values()):
        yield from list(account.values())


def alive(service: Any) -> Iterator[Any]:
    """Those of a regional service whose region isn't lost."""
    return (backend for backend in every(service) if not lost_regions.is_lost(backend.region_name))
