"""How a process of a region that is lost stands still: with all that it has, and for its clients as if it were gone.

A process that is merely stopped (SIGSTOP) still answers SYN packets, because the kernel does: a client would connect,
and wait. Packets that vanish look otherwise from outside, and take Route 53's checkers longer to notice (Developer
Guide, "How Amazon Route 53 determines whether a health check is healthy": 4 seconds to connect).
"""

import signal
import socket
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final

REFUSE: Final = "refuse"
VANISH: Final = "vanish"
WAYS: Final = (VANISH, REFUSE)
"""How a region is lost: its addresses don't answer at all, or they refuse connections."""

Listener = tuple[socket.socket, int]
"""A listening socket and its backlog."""


def stand_still(how: str, listeners: Iterable[Listener]) -> None:
    """Stop this process, whichever thread calls, until somebody sends it SIGCONT; then listen again.

    `refuse`: connections to `listeners` are refused meanwhile. `vanish`: they aren't answered; those that wait to be
    accepted, and those that are open, are kept.
    """
    held = list(listeners)
    with ExitStack() as fillers:
        for listener, _ in held:
            if how == REFUSE:
                # Ends the listening of every descriptor of the socket, the service's too; the port stays bound.
                listener.shutdown(socket.SHUT_RDWR)
            else:
                fillers.enter_context(_fill(listener))
        # To this thread, so that it doesn't run on while another one takes the signal.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        for listener, backlog in held:
            listener.listen(backlog)


def _fill(listener: socket.socket) -> socket.socket:
    """Have the queue of connections that wait to be accepted full: the kernel drops SYN packets then (listen(2))."""
    listener.listen(0)
    filler = socket.socket(listener.family, socket.SOCK_STREAM)
    filler.setblocking(False)
    # In progress if the queue is full already.
    filler.connect_ex(listener.getsockname())
    return filler
