"""The process of one balancer: `python -m sandbox.balancer`, which the API starts and tells what to do.

| on its stdin, a JSON object a line | |
|---|---|
| `{"do": "configure", "configuration": …}` | listeners, groups and targets from now on |
| `{"do": "stand-still", "how": …}` | stop as `standstill.stand_still` does, until SIGCONT |
| `{"do": "stop"}`, or the end | finish the requests under way, then end |

| on its stdout | |
|---|---|
| `{"listening": [PORT…]}` | the listeners' ports that are open |
| `{"health": {ARN: [TARGET…]}}` | id, port, registration, state, reason and description of all, whenever one changes |
| `{"still": false}` | it has stood still, and goes on |
| `{"measured": {"minute": N, "groups": {ARN: {NAME: value}}}}` | metrics of an AWS minute since the epoch |
| `{"drained": [ARN, id, port]}` | a draining target has answered its last request |

The first `configure` may have `"health"` as well: what an earlier process of the same balancer said last.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Final

from sandbox.balancer.balancer import Balancer
from sandbox.balancer.configuration import Configuration
from sandbox.standstill import stand_still
from tools.child import end_with_parent

# Bytes of a message; a balancer may have a thousand targets.
_LINE_MAX: Final = 16 * 1024 * 1024


def tell(message: Mapping[str, Any]) -> None:
    """One message to the API."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(message).encode() + b"\n")


async def serve() -> None:
    """Do what the API says until it says stop, or is gone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LINE_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    balancer: Balancer | None = None

    async def listen() -> None:
        nonlocal balancer
        while line := await reader.readline():
            message = json.loads(line)
            if message["do"] == "stop":
                break
            if message["do"] == "stand-still":
                await _stand_still(message["how"], balancer)
                continue
            configuration = Configuration.read(message["configuration"])
            if balancer is None:
                balancer = Balancer(configuration, _by_id(message.get("health", {})), tell)
            await balancer.configure(configuration)
        ended.set()

    listening = loop.create_task(listen())
    waiting = loop.create_task(ended.wait())
    await asyncio.wait({listening, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if listening.done():
        # What went wrong there must not look like an orderly end.
        listening.result()
    if balancer is not None:
        await balancer.stop()


async def _stand_still(how: str, balancer: Balancer | None) -> None:
    if balancer is not None:
        await balancer.stand_still(how)
    else:
        stand_still(how, ())
    tell({"still": False})


def _by_id(health: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    return {arn: {target["id"]: target for target in targets} for arn, targets in health.items()}


def main() -> int:
    """Run one balancer."""
    # One that stands still would be left by any other signal.
    end_with_parent(signal.SIGKILL)
    asyncio.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
