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

from lockstep import release_setting
from tests.conftest import ROOT
from tests.end_to_end.shell import Shell

RPMS = ROOT / "examples" / "orders" / "rpms"
SITES = ("primary", "secondary")
REGIONS = {"primary": "eu-west-1", "secondary": "eu-central-1"}
POLLS_A_SECOND = 20
GOOD = ("1.0.0", "1.1.0")
FAILING = "1.2.0"


@dataclass
class Serving:
    """Both sites serve `now`; `following` and FAILING are published."""

    shell: Shell
    now: str

    @classmethod
    def bring_up(cls, shell: Shell) -> "Serving":
        """All stacks, all releases published, the first of them in both sites."""
        shell("lockstep up --yes")
        publish(shell, *GOOD, FAILING)
        first = shell.json(f"lockstep deploy {GOOD[0]} --yes --json")
        assert {site["releaseRunning"] for site in first["sites"].values()} == {GOOD[0]}
        return cls(shell, GOOD[0])

    @property
    def following(self) -> str:
        """The good release that isn't served."""
        return GOOD[1 - GOOD.index(self.now)]

    def is_well(self) -> bool:
        """Whether both sites serve a good release, which is then the one that is wanted."""
        status = self.shell("lockstep status --json", expect=None)
        if status.returncode != 0 or (settled := json.loads(status.stdout)["settled"]) not in GOOD:
            return False
        self.now = settled
        release_setting.write(self.shell.folder, settled)
        return True

    def want(self, release: str | None) -> None:
        """Write the release, or none, into Pulumi.yaml, as a merge does."""
        release_setting.write(self.shell.folder, release)

    def set_faults(self, *faults: dict[str, Any]) -> None:
        """Replace the sandbox's faults."""
        body = json.dumps({"faults": list(faults)}).encode()
        urllib.request.urlopen(f"{addresses(self.shell)['api']}/_sandbox/faults", body, timeout=10).close()


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


def both(version: str) -> dict[str, set[str]]:
    """What `versions_at` finds if both sites serve `version`."""
    return {site: {version} for site in SITES}


def versions_at(shell: Shell) -> dict[str, set[str]]:
    """The versions that each site's name answers with, asked often enough to meet every instance."""
    return {site: {str(ask(shell, site)[1]["version"]) for _ in range(8)} for site in SITES}


def is_clean(shell: Shell) -> bool:
    """Whether no stack's preview has a change."""
    stacks = shell.json("lockstep preview --json")["stacks"]
    return all(stack["result"] == "succeeded" and stack["changes"] == {} for stack in stacks.values())


def in_wanted(shell: Shell) -> str | None:
    """The release that Pulumi.yaml wants."""
    return release_setting.read(shell.folder)


def until_status(has: str, process: str) -> str:
    """A line of a script: wait until `lockstep status --json` has that text; exit 98 if the process ends before."""
    return f"until lockstep status --json 2>/dev/null | grep -qF '{has}'; do kill -0 {process} || exit 98; done\n"


@dataclass
class Client:
    """Polls every site's name, and keeps what it saw: answers by site and release, how long the slowest took, and every
    answer that wasn't good.
    """

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)

    def of(self, site: str) -> int:
        """How many answers a site has given."""
        return sum(count for (name, _), count in self.answers.items() if name == site)

    def poll(self, site: str, gateway: str) -> None:
        """Ask once, and wait as long as it takes."""
        begun = time.monotonic()
        connection = http.client.HTTPConnection(gateway, timeout=10)
        try:
            connection.request("GET", f"http://{site}.orders.example.com/healthz", headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.bad.append(f"{site}: {error!r}")
        else:
            self.answers[(site, answer.headers.get("Lockstep-Release", ""))] += 1
            if answer.status != 200:
                self.bad.append(f"{site}: {answer.status} {body!r}")
        finally:
            connection.close()
        self.slowest[site] = max(self.slowest.get(site, 0.0), time.monotonic() - begun)

    def report(self) -> str:
        """What it saw: a line for each site, and the first answers that weren't good."""
        sites = [
            f"{each}: {self.of(each)} answers, the slowest after {self.slowest.get(each, 0.0):.2f} s" for each in SITES
        ]
        return "\n".join([*sites, f"not good: {len(self.bad)}", *self.bad[:5]])


@contextmanager
def polling(shell: Shell, at_least: int) -> Iterator[Client]:
    """For the block, a client at each site's name, 20 requests a second; `pytest -rP` shows how slow the slowest was.

    After the block every site must have given `at_least` answers, and nothing but good ones: a client that has hardly
    asked proves nothing.
    """
    gateway = urlsplit(addresses(shell)["gateway"]).netloc
    client, ended = Client(), threading.Event()

    def poll(site: str) -> None:
        while not ended.is_set():
            begun = time.monotonic()
            client.poll(site, gateway)
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
        print(client.report())
    assert client.bad == [], client.report()
    assert all(client.of(site) >= at_least for site in SITES), client.report()
