"""A small service for machines, as cloud-config's write_files or a package's files: tells what systemd gave it."""

from collections.abc import Mapping
from typing import Any

PORT = 8080

# Answers on its first passed socket, or on PORT if it has none. /exit/N ends it with status N, /die by SIGKILL.
SERVER = """
import http.server, json, os, signal, socket, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/exit/"):
            os._exit(int(self.path.rpartition("/")[2]))
        if self.path == "/die":
            os.kill(os.getpid(), signal.SIGKILL)
        told = {"pid": os.getpid(), "environment": dict(os.environ), "arguments": sys.argv[1:], "folder": os.getcwd()}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

passed = "LISTEN_FDS" in os.environ
server = http.server.ThreadingHTTPServer((os.environ.get("ADDRESS", "127.0.0.1"), 8080), Handler, not passed)
if passed:
    server.socket = socket.socket(fileno=3)
print("serving", flush=True)
server.serve_forever()
"""

SOCKET_UNIT = f"""
[Socket]
ListenStream={PORT}

[Install]
WantedBy=sockets.target
"""


def service_unit(*lines: str, unit: str = "", command: str = "/usr/bin/python3 /usr/lib/probe/server.py") -> str:
    return "\n".join(
        ["[Unit]", unit, "[Service]", f"ExecStart={command}", *lines, "[Install]", "WantedBy=multi-user.target", ""]
    )


def files(service: str, *, socket: str | None = SOCKET_UNIT, **others: str) -> list[dict[str, Any]]:
    """write_files for `probe.service`, its socket and its program; `others` by path."""
    contents = {"/usr/lib/probe/server.py": SERVER, "/etc/systemd/system/probe.service": service}
    if socket is not None:
        contents["/etc/systemd/system/probe.socket"] = socket
    return [{"path": path, "content": content} for path, content in {**contents, **others}.items()]


def user_data(
    service: str,
    *,
    socket: str | None = SOCKET_UNIT,
    start: tuple[str, ...] = ("probe.socket", "probe.service"),
    others: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """cloud-config that writes the service and starts `start`."""
    return {
        "write_files": files(service, socket=socket, **(others or {})),
        "runcmd": [["systemctl", "daemon-reload"], ["systemctl", "start", *start]],
    }
