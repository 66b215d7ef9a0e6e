"""Sandboxes for tests with the real CLI and engine: one of a test's own, or one that serves already and is shared."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import environment_of_engine
from tests.end_to_end.releases import Serving
from tests.end_to_end.shell import Shell, sandbox


@pytest.fixture
def shell(tmp_path: Path, engine_environment: dict[str, str]) -> Iterator[Shell]:
    """A shell on a sandbox that lives as long as the test."""
    with sandbox(tmp_path, engine_environment) as made:
        yield made


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, tool_path: str) -> Iterator[Shell]:
    """A shell on a sandbox without resources, which a module's tests share: they leave it as it is."""
    folder = tmp_path_factory.mktemp("empty")
    with sandbox(folder, environment_of_engine(folder, tool_path)) as made:
        yield made


@pytest.fixture
def unchanged(empty: Shell) -> Iterator[Shell]:
    """The shared sandbox without resources, for one test, whose edits are undone."""
    with empty.edits_undone():
        yield empty


class _Shared:
    """The sandbox that serves, brought up when it is first needed, and anew if a test has left it otherwise."""

    def __init__(self, folders: pytest.TempPathFactory, tool_path: str) -> None:
        self._folders = folders
        self._tool_path = tool_path
        self._open = ExitStack()
        self._serving: Serving | None = None

    def get(self) -> Serving:
        if self._serving is None or not self._serving.is_well():
            self.close()
            folder = self._folders.mktemp("serving")
            shell = self._open.enter_context(sandbox(folder, environment_of_engine(folder, self._tool_path)))
            self._serving = Serving.bring_up(shell)
        return self._serving

    def close(self) -> None:
        self._open.close()
        self._serving = None


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, tool_path: str) -> Iterator[_Shared]:
    """What `serving` keeps from test to test."""
    kept = _Shared(tmp_path_factory, tool_path)
    try:
        yield kept
    finally:
        kept.close()


@pytest.fixture
def serving(shared: _Shared) -> Iterator[Serving]:
    """Both sites serve a release. Bringing that about takes most of a minute, so tests share it; edits are undone."""
    found = shared.get()
    with found.shell.edits_undone():
        yield found
    found.set_faults()
