"""The name server's sockets: UDP in one thread, TCP in others, each answer from what is known at that moment."""

import contextlib
import errno
import socket
import socketserver
import struct
import sys
import threading
import traceback
from typing import Final

from dnslib import RCODE

from sandbox.dns import message
from sandbox.dns.answers import Answer, Answerer, NotAnswerableError

TCP_IDLE_SECONDS: Final = 10.0
"""How long a TCP connection without a query is kept (RFC 7766 section 6.2.3: a few seconds). Real seconds."""

_PACKET_MAX: Final = 65535
# How often the thread of TCP looks whether it should end. Real seconds.
_POLL_SECONDS: Final = 0.05
# Free ports that are tried until one is free for both protocols.
_ATTEMPTS: Final = 16
# Complaints that are remembered, so that each is in the log once and not once for each query.
_COMPLAINTS_MAX: Final = 1000


class Responder:
    """Turns packets into answers, and never fails: what goes wrong is SERVFAIL, and in the log."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._complaints: set[str] = set()

    def reply(self, packet: bytes, *, over_udp: bool) -> bytes | None:
        """The answer to one packet; None if it isn't worth one."""
        query = message.read(packet)
        if query is None:
            return None
        limit = query.limit if over_udp else None
        try:
            return message.write(query, self._answer(query), limit)
        except Exception as error:
            self._complain("".join(traceback.format_exception(error)))
            return message.write(query, _failure(), limit)

    def _answer(self, query: message.Query) -> Answer:
        if query.rcode or query.name is None:
            return Answer(rcode=query.rcode, authoritative=False)
        if query.edns is not None and query.edns.version:
            # BADVERS: the rest of that code is in the OPT record.
            return Answer(authoritative=False)
        if not message.is_internet(query):
            return Answer(rcode=RCODE.REFUSED, authoritative=False)
        try:
            return self._answerer.answer(query.name, query.type)
        except NotAnswerableError as error:
            self._complain(str(error))
            return _failure()

    def _complain(self, text: str) -> None:
        if text not in self._complaints and len(self._complaints) < _COMPLAINTS_MAX:
            self._complaints.add(text)
            print(f"name server: {text}", file=sys.stderr, flush=True)


def _failure() -> Answer:
    return Answer(rcode=RCODE.SERVFAIL, authoritative=False)


class NameServer:
    """Listens on `host`:`port`, UDP and TCP; port 0 takes one that is free for both. Raises OSError if there is none.

    Queries that arrive before `start` wait.
    """

    def __init__(self, answerer: Answerer, host: str, port: int) -> None:
        self._responder = Responder(answerer)
        self._udp, self._tcp = self._listen(host, port)
        self.port: int = self._tcp.server_address[1]
        self._ending = False
        self._threads = (
            threading.Thread(target=self._tcp.serve_forever, args=(_POLL_SECONDS,), name="dns-tcp", daemon=True),
            threading.Thread(target=self._serve_udp, name="dns-udp", daemon=True),
        )

    def _listen(self, host: str, port: int) -> tuple[socket.socket, "_TcpServer"]:
        for attempt in range(_ATTEMPTS):
            tcp = _TcpServer((host, port), self._responder)
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                udp.bind(tcp.server_address)
            except OSError as error:
                udp.close()
                tcp.server_close()
                if port or error.errno != errno.EADDRINUSE or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return udp, tcp
        raise AssertionError("unreachable")

    def start(self) -> None:
        """Answer, in threads of this process."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop answering, which must have begun, and free the port."""
        self._ending = True
        self._tcp.shutdown()
        # Ends a `recvfrom` that waits, which closing alone doesn't; it fails nevertheless, as there is no peer.
        with contextlib.suppress(OSError):
            self._udp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._tcp.server_close()
        self._udp.close()

    def _serve_udp(self) -> None:
        while not self._ending:
            packet, peer = self._udp.recvfrom(_PACKET_MAX)
            answer = self._responder.reply(packet, over_udp=True)
            if answer is not None:
                with contextlib.suppress(OSError):
                    self._udp.sendto(answer, peer)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], responder: Responder) -> None:
        self.responder = responder
        super().__init__(address, _TcpHandler)


class _TcpHandler(socketserver.BaseRequestHandler):
    """Messages with their length in front (RFC 1035 section 4.2.2), as many as the client sends."""

    server: _TcpServer

    def handle(self) -> None:
        self.request.settimeout(TCP_IDLE_SECONDS)
        with contextlib.suppress(OSError):
            while length := self._read(2):
                packet = self._read(struct.unpack(">H", length)[0])
                answer = self.server.responder.reply(packet, over_udp=False)
                if answer is None:
                    return
                self.request.sendall(struct.pack(">H", len(answer)) + answer)

    def _read(self, count: int) -> bytes:
        """`count` bytes; nothing if the client ends the connection."""
        data = b""
        while len(data) < count:
            part = self.request.recv(count - len(data))
            if not part:
                return b""
            data += part
        return data
