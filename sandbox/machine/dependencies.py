"""What a unit needs, and what of it has to be started first: systemd.unit(5)."""

from collections.abc import Mapping

from sandbox.machine.errors import BootError
from sandbox.machine.units import Unit

_KINDS = (".service", ".socket")
# They are there on AWS by the time cloud-init runs commands.
_TARGET = ".target"


def required(unit: Unit) -> list[str]:
    """The units without which `unit` can't be started. Raises BootError for kinds that the sandbox doesn't have."""
    names = [name for name in unit.words("Unit", "Requires", "BindsTo") if not name.endswith(_TARGET)]
    for name in names:
        if not name.endswith(_KINDS):
            raise BootError(f"the sandbox has no {name}, which {unit.name} requires")
    return names


def wanted(unit: Unit) -> list[str]:
    """The units that are started with `unit` if they exist."""
    return [name for name in unit.words("Unit", "Wants") if name.endswith(_KINDS)]


def in_order(needed: Mapping[str, Unit]) -> list[Unit]:
    """`needed` by After= and Before=; a socket comes before its service (systemd.socket(5), "Implicit Dependencies").

    Where nothing is said, what was named last comes first: what is needed before what needs it. Raises BootError if
    units wait for each other.
    """
    after = {name: set(unit.words("Unit", "After")) & needed.keys() for name, unit in needed.items()}
    for name, unit in needed.items():
        for other in (*unit.words("Unit", "Before"), *((unit.service,) if unit.is_socket else ())):
            if other in after:
                after[other].add(name)
    ordered: list[Unit] = []
    names = list(reversed(list(needed)))
    while names:
        ready = [name for name in names if not after[name] & set(names)]
        if not ready:
            raise BootError(f"{', '.join(sorted(names))} wait for each other (After=, Before=)")
        ordered.append(needed[ready[0]])
        names.remove(ready[0])
    return ordered
