"""How long an answer of the sandbox's name server takes, against dnslib's own server with the same answer ready.

Ours chooses between two weighted CNAMEs with calculated health checks and follows the one; dnslib's answers two records
that it was given. Each is a process of its own and asked in turn, so that a drifting machine drifts for both.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from dnslib import RR, DNSRecord
from dnslib.server import DNSLogger, DNSServer

from bench.measure import ROOT, Result
from sandbox.dns.answers import Answerer
from sandbox.dns.server import NameServer
from sandbox.dns.zones import Zones

HOST: Final = "127.0.0.1"
ROUNDS: Final = 10
QUERIES: Final = 400
# Wherever a wait for an answer would be one for ever. Seconds.
_PATIENCE: Final = 10.0


def run() -> list[Result]:
    """Median and 99th percentile of a query over UDP, and the ratio of the medians."""
    with _server("ours") as ours, _server("bare") as bare:
        taken: dict[str, list[float]] = {"ours": [], "bare": []}
        for _ in range(ROUNDS):
            for name, client in (("ours", ours), ("bare", bare)):
                taken[name] += [_seconds(client) for _ in range(QUERIES)]
    ours_median, bare_median = (_percentile(taken[name], 50) for name in ("ours", "bare"))
    return [
        Result("answer of the name server, median", ours_median * 1e6, "µs"),
        Result("answer of the name server, 99 %", _percentile(taken["ours"], 99) * 1e6, "µs"),
        Result("answer of dnslib's bare server, median", bare_median * 1e6, "µs"),
        Result("ratio of the medians", ours_median / bare_median, "", "1.3 or less"),
    ]


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[len(values) * percent // 100]


_QUERY: Final = bytes(DNSRecord.question("app.example.com").pack())


def _seconds(client: socket.socket) -> float:
    begin = time.perf_counter()
    client.send(_QUERY)
    client.recv(4096)
    return time.perf_counter() - begin


@contextmanager
def _server(name: str) -> Iterator[socket.socket]:
    """A socket to a process of this module."""
    command = [sys.executable, "-m", "bench.name_server", name]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        try:
            assert process.stdout is not None
            client.connect((HOST, int(process.stdout.readline())))
            client.settimeout(_PATIENCE)
            yield client
        finally:
            process.terminate()


def _record(name: str, type_: str, value: str, **fields: Any) -> dict[str, Any]:
    known = {"ttl": 60, "policy": "simple", "set": None, "weight": None, "check": None, "alias": None}
    return {**known, "name": name, "type": type_, "values": [value], **fields}


def _ours() -> int:
    checks: dict[str, dict[str, Any]] = {}
    records = []
    for site in ("one", "two"):
        checks[f"{site}-endpoint"] = {"Type": "HTTP"}
        checks[site] = {"Type": "CALCULATED", "ChildHealthChecks": [f"{site}-endpoint"], "HealthThreshold": 1}
        shared = {"policy": "weighted", "set": site, "weight": 1, "check": site, "ttl": 30}
        records.append(_record("app.example.com.", "CNAME", f"{site}.example.com.", **shared))
        records.append(_record(f"{site}.example.com.", "A", "127.0.0.1"))
    answerer = Answerer()
    zone = {"id": "Z1", "name": "example.com.", "records": records}
    health = {f"{site}-endpoint": True for site in ("one", "two")}
    answerer.zones = Zones.read({"zones": [zone], "checks": checks, "health": health, "balancers": {}})
    server = NameServer(answerer, HOST, 0)
    server.start()
    return server.port


class _Ready:
    def __init__(self) -> None:
        self._records = RR.fromZone("app.example.com. 30 CNAME one.example.com.\none.example.com. 60 A 127.0.0.1\n")

    def resolve(self, request: Any, handler: Any) -> Any:
        del handler
        reply = request.reply()
        reply.add_answer(*self._records)
        return reply


def _bare() -> int:
    quiet = DNSLogger("-request,-reply,-truncated,-error,-recv,-send,-data")
    server = DNSServer(_Ready(), address=HOST, port=0, logger=quiet)
    server.start_thread()
    return int(server.server.server_address[1])


def main() -> None:
    """Be one of both servers until this process is ended; its first line of output is its port."""
    print(_ours() if sys.argv[1] == "ours" else _bare(), flush=True)
    while True:
        time.sleep(_PATIENCE)


if __name__ == "__main__":
    main()
