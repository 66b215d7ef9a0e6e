"""The name server's sockets: UDP in one thread, TCP in others, each answer from what is known at that moment."""

import contextlib
import socket
import socketserver
import struct
import sys
import threading
from typing import Final

from dnslib import EDNS0, QTYPE, RCODE, DNSError, DNSHeader, DNSRecord

from sandbox.dns.answers import Answerer, NotAnswerableError

# RFC 1035 section 4.2.1; RFC 6891 section 6.2.5 for the size that a resolver announces.
UDP_MAX: Final = 512
EDNS_MAX: Final = 4096
TCP_IDLE_SECONDS: Final = 10.0


def reply(answerer: Answerer, packet: bytes, *, limit: int | None) -> bytes | None:
    """The answer to one packet, cut to `limit` bytes (None over TCP); None if it isn't worth an answer."""
    try:
        request = DNSRecord.parse(packet)
    except (DNSError, struct.error, ValueError):
        return None
    if request.header.qr or len(request.questions) != 1:
        return None
    question = request.questions[0]
    header = DNSHeader(id=request.header.id, qr=1, opcode=request.header.opcode, rd=request.header.rd, aa=0)
    response = DNSRecord(header, questions=[question])
    edns = next((each for each in request.ar if each.rtype == QTYPE.OPT), None)
    if edns is not None:
        response.add_ar(EDNS0(udp_len=EDNS_MAX))
        limit = None if limit is None else max(UDP_MAX, min(edns.edns_len, EDNS_MAX))
    if request.header.opcode != 0 or question.qclass != 1:
        header.rcode = RCODE.NOTIMP if request.header.opcode else RCODE.REFUSED
        return bytes(response.pack())
    try:
        answer = answerer.answer(str(question.qname).lower(), QTYPE.get(question.qtype))
    except NotAnswerableError as error:
        print(f"name server: {error}", file=sys.stderr, flush=True)
        header.rcode = RCODE.SERVFAIL
        return bytes(response.pack())
    header.rcode, header.aa = answer.rcode, int(answer.authoritative)
    response.add_answer(*answer.answers)
    response.add_auth(*answer.authority)
    packed = bytes(response.pack())
    if limit is not None and len(packed) > limit:
        header.tc = 1
        response.rr, response.auth = [], []
        packed = bytes(response.pack())
    return packed


class NameServer:
    """Listens on `host`:`port`, UDP and TCP; port 0 takes a free one. Raises OSError if it can't be had."""

    def __init__(self, answerer: Answerer, host: str, port: int) -> None:
        self._answerer = answerer
        self._tcp = _TcpServer((host, port), answerer)
        self.port: int = self._tcp.server_address[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((host, self.port))

    def start(self) -> None:
        """Answer, in threads of this process."""
        threading.Thread(target=self._tcp.serve_forever, name="dns-tcp", daemon=True).start()
        threading.Thread(target=self._serve_udp, name="dns-udp", daemon=True).start()

    def _serve_udp(self) -> None:
        while True:
            packet, peer = self._udp.recvfrom(EDNS_MAX)
            answer = reply(self._answerer, packet, limit=UDP_MAX)
            if answer is not None:
                with contextlib.suppress(OSError):
                    self._udp.sendto(answer, peer)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], answerer: Answerer) -> None:
        self.answerer = answerer
        super().__init__(address, _TcpHandler)


class _TcpHandler(socketserver.BaseRequestHandler):
    """Messages with their length in front (RFC 1035 section 4.2.2), as many as the client sends."""

    server: _TcpServer

    def handle(self) -> None:
        self.request.settimeout(TCP_IDLE_SECONDS)
        with contextlib.suppress(OSError):
            while length := self._read(2):
                packet = self._read(struct.unpack(">H", length)[0])
                answer = reply(self.server.answerer, packet, limit=None)
                if answer is None:
                    return
                self.request.sendall(struct.pack(">H", len(answer)) + answer)

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.request.recv(count - len(data))
            if not part:
                return b""
            data += part
        return data
