"""Releases in an end-to-end test: the example packages published, sites polled as clients would, faults set."""

import http.client
import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.conftest import ROOT
from tests.end_to_end.conftest import Shell

RPMS = ROOT / "examples" / "orders" / "rpms"
SITES = ("primary", "secondary")
REGIONS = {"primary": "eu-west-1", "secondary": "eu-central-1"}
POLLS_A_SECOND = 20


def bring_up(shell: Shell, *versions: str) -> None:
    """All stacks, and the example application's `versions` published."""
    shell("lockstep up --yes")
    publish(shell, *versions)


def publish(shell: Shell, *versions: str) -> None:
    """Publish the example application's `versions`."""
    for version in versions:
        shell(f"lockstep publish {version} {RPMS / version} --yes")


def addresses(shell: Shell) -> dict[str, str]:
    """Where the sandbox's parts are."""
    found: dict[str, str] = shell.json("lockstep sandbox status --json")["addresses"]
    return found


def ask(shell: Shell, site: str, path: str = "/") -> tuple[int, dict[str, Any]]:
    """Status and JSON that a site gives at its own name."""
    gateway = urlsplit(addresses(shell)["gateway"]).netloc
    connection = http.client.HTTPConnection(gateway, timeout=10)
    connection.request("GET", f"http://{site}.orders.example.com{path}", headers={"Connection": "close"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def versions_at(shell: Shell) -> dict[str, set[str]]:
    """The versions that each site's name answers with, asked often enough to meet every instance."""
    return {site: {str(ask(shell, site)[1]["version"]) for _ in range(8)} for site in SITES}


def is_clean(shell: Shell) -> bool:
    """Whether no stack's preview has a change."""
    stacks = shell.json("lockstep preview --json")["stacks"]
    return all(stack["result"] == "succeeded" and stack["changes"] == {} for stack in stacks.values())


def set_faults(shell: Shell, *faults: dict[str, Any]) -> None:
    """Replace the sandbox's faults."""
    body = json.dumps({"faults": list(faults)}).encode()
    urllib.request.urlopen(f"{addresses(shell)['api']}/_sandbox/faults", body, timeout=10).close()


def in_wanted(shell: Shell) -> str:
    """The release that Pulumi.yaml wants."""
    text = (shell.folder / "Pulumi.yaml").read_text()
    after = text.partition("lockstep:release:")[2].partition("default:")[2]
    return after.splitlines()[0].strip().strip('"')


@dataclass
class Client:
    """Polls every site's name, and keeps what it saw: releases by site, and every answer that wasn't good."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)


@contextmanager
def polling(shell: Shell) -> Iterator[Client]:
    """For the block, a client at each site's name, 20 requests a second."""
    gateway = urlsplit(addresses(shell)["gateway"]).netloc
    client, ended = Client(), threading.Event()

    def poll(site: str) -> None:
        while not ended.is_set():
            begun = time.monotonic()
            try:
                connection = http.client.HTTPConnection(gateway, timeout=10)
                url = f"http://{site}.orders.example.com/healthz"
                connection.request("GET", url, headers={"Connection": "close"})
                answer = connection.getresponse()
                body = answer.read()
                client.answers[(site, answer.headers.get("Lockstep-Release", ""))] += 1
                if answer.status != 200:
                    client.bad.append(f"{site}: {answer.status} {body!r}")
            except (OSError, http.client.HTTPException) as error:
                client.bad.append(f"{site}: {error!r}")
            ended.wait(max(0.0, 1 / POLLS_A_SECOND - (time.monotonic() - begun)))

    threads = [threading.Thread(target=poll, args=(site,)) for site in SITES]
    for thread in threads:
        thread.start()
    try:
        yield client
    finally:
        ended.set()
        for thread in threads:
            thread.join()
