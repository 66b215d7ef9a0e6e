"""How a balancer ends a connection when there is no orderly end."""

import asyncio
import socket
import struct
from typing import Final

# struct linger: on, and no time, has the kernel send a reset (socket(7)).
_NO_LINGER: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End the connection by RST, so that nobody takes its end for a whole answer's."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
