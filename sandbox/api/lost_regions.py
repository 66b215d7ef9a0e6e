"""Which regions are lost, for all that has to do without them. See `outages`, which loses them.

Read and written under the backend lock.
"""

_lost: dict[str, str] = {}


def is_lost(region: str) -> bool:
    """Whether nothing happens in `region` now."""
    return region in _lost


def known() -> dict[str, str]:
    """How each lost region is lost: `sandbox.standstill.WAYS`."""
    return dict(_lost)


def add(region: str, how: str) -> None:
    """Have `region` be lost."""
    _lost[region] = how


def remove(region: str) -> None:
    """Have `region` be there again."""
    _lost.pop(region, None)
