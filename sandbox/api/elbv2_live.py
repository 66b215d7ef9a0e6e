"""Whether balancers and machines are processes here, and not only records."""

_live = False


def is_live() -> bool:
    """Whether they are. Tests of requests do without."""
    return _live


def go_live(live: bool) -> None:
    """Whether they are, from now on."""
    global _live
    _live = live
