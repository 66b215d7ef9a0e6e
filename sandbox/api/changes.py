"""Everything the sandbox changes in moto, in one list, and the moto version that the list was made for."""

from importlib.metadata import version

from sandbox.api.change import Change

MOTO_VERSION = "5.2.5"

CHANGES: tuple[Change, ...] = ()

_installed = False


def install() -> None:
    """Apply every change, once per process.

    Raises RuntimeError if moto is another version than the changes were written for.
    """
    global _installed
    if _installed:
        return
    found = version("moto")
    if found != MOTO_VERSION:
        raise RuntimeError(
            f"moto {found} is installed, and the sandbox's API changes are written for {MOTO_VERSION}: run `make setup`"
        )
    for change in CHANGES:
        change.apply()
    _installed = True
