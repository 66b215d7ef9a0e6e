"""Loopback addresses of machines' and balancers' own: 127.64.0.0 to 127.127.255.255, one for each.

Several sandboxes may run on a machine, so an address is reserved by holding a UDP port of it: the kernel gives it to
one process only, and gives it back when that process ends, however it ends.
"""

import errno
import ipaddress
import random
import socket
from typing import Final

NETWORK: Final = ipaddress.ip_network("127.64.0.0/10")
# No service of the sandbox speaks UDP on an address of its own.
_RESERVATION_PORT: Final = 7999
_ATTEMPTS: Final = 64

_held: dict[str, socket.socket] = {}


def reserve() -> str:
    """An address that nobody else on this machine has, until `release` or the end of this process.

    Raises OSError if none can be had.
    """
    for _ in range(_ATTEMPTS):
        address = str(NETWORK[random.randrange(1, NETWORK.num_addresses - 1)])
        holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            holder.bind((address, _RESERVATION_PORT))
        except OSError as error:
            holder.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        _held[address] = holder
        return address
    raise OSError(errno.EADDRINUSE, f"{_ATTEMPTS} addresses in {NETWORK} were all taken")


def release(address: str) -> None:
    """Give `address` back."""
    _held.pop(address).close()
