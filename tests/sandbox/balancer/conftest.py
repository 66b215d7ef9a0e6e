"""A balancer and targets, real ones, for the tests of the balancer's process."""

import socket
from collections.abc import Callable, Iterator

import pytest

from sandbox.api import addresses
from tests.sandbox.balancer.process import Backend, Process, ScriptedTarget

MakeTarget = Callable[[Callable[[socket.socket, bytes], bool]], ScriptedTarget]


@pytest.fixture
def balancer() -> Iterator[Process]:
    made = Process()
    yield made
    made.process.kill()
    made.process.wait()
    addresses.release(made.address)


@pytest.fixture
def backend() -> Iterator[Callable[[str], Backend]]:
    made: list[Backend] = []

    def make(name: str) -> Backend:
        made.append(Backend(name))
        return made[-1]

    yield make
    for each in made:
        each.close()
        addresses.release(each.address)


@pytest.fixture
def scripted() -> Iterator[MakeTarget]:
    """`scripted(script)`: a target that does with its connections what `script` does."""
    made: list[ScriptedTarget] = []

    def make(script: Callable[[socket.socket, bytes], bool]) -> ScriptedTarget:
        made.append(ScriptedTarget(script))
        return made[-1]

    yield make
    for each in made:
        each.close()
