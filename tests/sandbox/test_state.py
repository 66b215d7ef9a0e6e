"""STATE on disk: the record, the folder's rules, the lock."""

import fcntl
import multiprocessing
import os
import resource
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.errors import IncompleteError, InvalidInputError
from sandbox import processes, state
from sandbox.processes import ProcessId
from sandbox.state import HomeLock, Member, SandboxState


def record(home: Path, *members: ProcessId) -> SandboxState:
    return SandboxState(
        home=home,
        project=home.parent,
        started_at=1.5,
        addresses={"api": "http://127.0.0.1:1", "apiPlain": "http://127.0.0.1:2", "provider": "127.0.0.1:3"},
        members=tuple(Member(name=f"m{n}", process=p, log=f"log/m{n}.log") for n, p in enumerate(members)),
        zone="example.com",
        stacks=("primary", "global"),
        boot_id=processes.boot_id(),
        speed=6.0,
    )


def myself() -> ProcessId:
    found = processes.identify(os.getpid())
    assert found
    return found


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """`down` ends what this record lists, and nothing else may get in or out of it."""
    written = record(tmp_path, ProcessId(1, 2), ProcessId(3, 4))
    state.write(written)
    assert state.read(tmp_path) == written


def test_only_the_owner_may_read_the_record(tmp_path: Path) -> None:
    """It tells where an API without authentication listens."""
    state.write(record(tmp_path))
    assert stat.S_IMODE((tmp_path / "sandbox.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["sandbox.json"]


def _write_within(home: Path, limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        state.write(replace(record(home), zone="another.example"))
    except OSError:
        os._exit(7)


def test_a_record_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    """Half a record on a full disk would lose the processes that it lists."""
    state.write(record(tmp_path))
    writer = multiprocessing.get_context("fork").Process(target=_write_within, args=(tmp_path, 100))
    writer.start()
    writer.join(60)
    assert writer.exitcode == 7
    assert state.read(tmp_path) == record(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sandbox.json"]


def test_no_record_is_no_sandbox(tmp_path: Path) -> None:
    """The first `up` has to see "not up", not an error."""
    assert state.read(tmp_path) is None
    assert state.read(tmp_path / "absent") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 99}', "null"])
def test_an_unreadable_record_is_an_error_with_a_way_out(tmp_path: Path, text: str) -> None:
    """Taken for "not up", it would hide processes that run."""
    (tmp_path / "sandbox.json").write_text(text)
    with pytest.raises(InvalidInputError, match=r"sandbox\.json can't be used") as caught:
        state.read(tmp_path)
    assert "lockstep sandbox down" in caught.value.remedy


def test_a_sandbox_is_up_only_if_all_of_it_runs(tmp_path: Path) -> None:
    """A pid that the kernel has given to somebody else must not pass for the sandbox's."""
    me = myself()
    gone = ProcessId(me.pid, me.start_ticks + 1)
    assert record(tmp_path, me).is_up
    assert not record(tmp_path, me, gone).is_up
    assert record(tmp_path, me, gone).recorded == (me,)
    assert not replace(record(tmp_path, me), ended="api was killed").is_up


def test_processes_of_an_earlier_boot_are_not_the_sandboxes(tmp_path: Path) -> None:
    """After a reboot pids and start times come round again, and `down` would end a stranger's process."""
    before = replace(record(tmp_path, myself()), boot_id="an earlier one")
    assert not before.is_up
    assert before.recorded == ()


def test_the_end_is_added_to_the_record(tmp_path: Path) -> None:
    """`status` has to tell what died after the supervisor itself is gone."""
    state.write(record(tmp_path))
    state.record_end(tmp_path, "api was killed")
    found = state.read(tmp_path)
    assert found
    assert found.ended == "api was killed"


def test_the_end_does_not_bring_a_removed_record_back(tmp_path: Path) -> None:
    """A supervisor that ends after `rm -rf .sandbox` must not leave a new file there."""
    state.record_end(tmp_path, "api was killed")
    assert list(tmp_path.iterdir()) == []


def test_home_is_the_variable_or_the_projects_folder(tmp_path: Path) -> None:
    """Tests and parallel checkouts rely on having their own."""
    assert state.home_of(tmp_path, {}) == tmp_path / ".sandbox"
    assert state.home_of(tmp_path, {"LOCKSTEP_SANDBOX_HOME": ""}) == tmp_path / ".sandbox"
    assert state.home_of(tmp_path, {"LOCKSTEP_SANDBOX_HOME": "mine"}) == tmp_path / "mine"
    assert state.home_of(tmp_path, {"LOCKSTEP_SANDBOX_HOME": str(tmp_path / "x")}) == tmp_path / "x"
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert state.home_of(tmp_path, {"LOCKSTEP_SANDBOX_HOME": str(tmp_path / "link")}) == tmp_path / "x"


def test_a_folder_is_a_sandboxes_only_if_absent_empty_or_marked(tmp_path: Path) -> None:
    """`down` removes the folder with all that is in it."""
    state.check_home(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    state.check_home(tmp_path / "empty")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis").touch()
    with pytest.raises(InvalidInputError, match="thesis"):
        state.check_home(tmp_path / "used")
    (tmp_path / "used" / state.LOCK_FILE).touch()
    state.check_home(tmp_path / "used")
    with pytest.raises(InvalidInputError, match="is a file"):
        state.check_home(tmp_path / "used" / "thesis")
    with pytest.raises(InvalidInputError, match="doesn't exist"):
        state.check_home(tmp_path / "absent" / "deeper")


def test_removing_takes_everything_and_follows_no_link(tmp_path: Path) -> None:
    """A link to a home directory in STATE must cost the link only."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").touch()
    home = tmp_path / "state"
    (home / "deep" / "er").mkdir(parents=True)
    (home / "deep" / "er" / "file").touch()
    (home / "link").symlink_to(precious)
    (home / "dangling").symlink_to(tmp_path / "absent")
    (home / state.LOCK_FILE).touch()
    state.remove(home)
    assert not home.exists()
    assert (precious / "thesis").exists()
    state.remove(home)


def test_what_cannot_be_removed_is_named_and_the_folder_stays_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its mark the rest would be taken for a stranger's folder, and never be removed."""
    home = tmp_path / "state"
    (home / "stubborn").mkdir(parents=True)
    (home / state.LOCK_FILE).touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(home / "stubborn"))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(IncompleteError, match=r"stubborn: Operation not permitted"):
        state.remove(home)
    assert (home / state.LOCK_FILE).exists()


def test_the_lock_is_one_holders_and_makes_the_folder(tmp_path: Path) -> None:
    """Two that start or end one sandbox at once would undo each other."""
    home = tmp_path / "state"
    first, second = HomeLock(home), HomeLock(home)
    assert first.try_acquire()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()
    second.release()


def test_a_lock_on_a_removed_folder_protects_nothing_and_is_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opened the lock file just before `down` removed it must not believe to have the new folder."""
    home = tmp_path / "state"
    lock, real_flock = HomeLock(home), fcntl.flock

    def removed_meanwhile(descriptor: int, operation: int) -> None:
        real_flock(descriptor, operation)
        state.remove(home)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    assert not lock.try_acquire()
    monkeypatch.undo()
    assert lock.try_acquire()
    lock.release()


def test_waiting_for_the_lock_says_so_once_and_gives_up(tmp_path: Path) -> None:
    """A command that hangs in silence gets killed, which is worse than waiting."""
    holder = HomeLock(tmp_path)
    assert holder.try_acquire()
    said: list[str] = []
    assert not HomeLock(tmp_path).acquire(timeout=0.1, on_wait=lambda: said.append("waiting"))
    assert said == ["waiting"]
    holder.release()


def test_the_backends_url_is_encoded(tmp_path: Path) -> None:
    """The Pulumi CLI decodes it: a % in a folder's name leads elsewhere unless encoded."""
    assert state.pulumi_variables(Path("/a b/50%"))["PULUMI_BACKEND_URL"] == "file:///a%20b/50%25/backend?metadata=skip"
