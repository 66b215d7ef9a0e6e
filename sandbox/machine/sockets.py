"""The sockets that a machine holds open for its services, systemd.socket(5)."""

import socket
from dataclasses import dataclass
from typing import Final

from sandbox.machine.errors import BootError
from sandbox.machine.units import Unit
from sandbox.standstill import Listener

BACKLOG: Final = 4096
# All of these mean "every address of the machine", of which it has one here.
_EVERY_ADDRESS: Final = ("", "0.0.0.0", "[::]")


@dataclass(frozen=True)
class ListeningSocket:
    """A socket unit that was started."""

    unit: Unit
    listeners: tuple[socket.socket, ...]

    @property
    def name(self) -> str:
        """What the service finds in LISTEN_FDNAMES."""
        return self.unit.one("Socket", "FileDescriptorName", self.unit.name)

    def serves(self, service: Unit) -> bool:
        """Whether its descriptors are passed to `service`."""
        return self.unit.service == service.name or self.unit.name in service.words("Service", "Sockets")

    def with_backlog(self) -> list[Listener]:
        """What listens, each with its backlog."""
        return [(listener, _backlog(self.unit)) for listener in self.listeners]

    def close(self) -> None:
        """Let go of the ports: connections are refused from now on."""
        for listener in self.listeners:
            listener.close()


def listen(unit: Unit, address: str) -> ListeningSocket:
    """Open the ports of `unit` at the machine's own address. Raises BootError if that can't be."""
    listeners: list[socket.socket] = []
    try:
        for value in unit.all("Socket", "ListenStream"):
            listeners.append(_listener(unit, value, address))
    except BootError:
        for listener in listeners:
            listener.close()
        raise
    return ListeningSocket(unit, tuple(listeners))


def _listener(unit: Unit, value: str, address: str) -> socket.socket:
    host, _, port = value.rpartition(":")
    if not port.isdecimal() or host not in (*_EVERY_ADDRESS, address):
        raise BootError(
            f"the sandbox doesn't support ListenStream={value} of {unit.name}: a port of every address (PORT, "
            "0.0.0.0:PORT) is what a balancer can reach"
        )
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(unit.is_true("Socket", "ReusePort")))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(unit.is_true("Socket", "KeepAlive")))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(unit.is_true("Socket", "NoDelay")))
        listener.bind((address, int(port)))
        listener.listen(_backlog(unit))
    except (OSError, OverflowError) as error:
        listener.close()
        raise BootError(f"{unit.name} can't listen on port {port} of {address}: {error}") from error
    return listener


def _backlog(unit: Unit) -> int:
    return unit.number("Socket", "Backlog", BACKLOG)
