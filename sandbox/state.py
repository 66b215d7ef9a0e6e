"""What a sandbox keeps on disk: the folder STATE, its lock, and `sandbox.json` with addresses and processes.

Rule: STATE belongs to the sandbox as a whole and is removed as a whole, so a folder is used only if it is absent,
empty, or holds the lock file that only a sandbox makes. `sandbox.json` exists only between the end of `up` and `down`.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from lockstep.errors import IncompleteError, InvalidInputError
from sandbox import processes
from sandbox.processes import ProcessId

HOME_VARIABLE = "LOCKSTEP_SANDBOX_HOME"
FORMAT = 2
LOCK_FILE = "sandbox.lock"
STATE_FILE = "sandbox.json"
AUTHORITY_FILE = "authority.pem"
"""Who trusts this certificate trusts those of the sandbox's balancers."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A process of the sandbox as `sandbox.json` lists it; `log` is a path inside STATE."""

    name: str
    process: ProcessId
    log: str


@dataclass(frozen=True, kw_only=True)
class SandboxState:
    """Contents of `sandbox.json`.

    `started_at` is in seconds since the epoch. `addresses` has `api`, `apiPlain` and `gateway` (URLs), `provider` and
    `dns` (HOST:PORT). Timers run `speed` times faster than AWS's. `ended` says what brought the sandbox down by itself;
    None while nothing did.
    """

    home: Path
    project: Path
    started_at: float
    addresses: Mapping[str, str]
    members: tuple[Member, ...]
    zone: str
    stacks: tuple[str, ...]
    boot_id: str
    speed: float
    ended: str | None = None

    @property
    def pulumi(self) -> dict[str, str]:
        """The variables that tie a Pulumi CLI to this sandbox's backend; see `pulumi_variables`."""
        return pulumi_variables(self.home)

    @property
    def living(self) -> tuple[Member, ...]:
        """The members that run now."""
        if self.boot_id != processes.boot_id():
            return ()
        return tuple(member for member in self.members if processes.is_alive(member.process))

    @property
    def is_up(self) -> bool:
        """Whether every process of the sandbox runs."""
        return self.ended is None and len(self.living) == len(self.members)

    @property
    def recorded(self) -> tuple[ProcessId, ...]:
        """The processes that may be signalled; none if they were started before the last boot."""
        return tuple(member.process for member in self.living)

    def to_json(self) -> dict[str, Any]:
        """The object that `sandbox.json` holds."""
        return {
            "format": FORMAT,
            "home": str(self.home),
            "project": str(self.project),
            "startedAt": self.started_at,
            "bootId": self.boot_id,
            "addresses": dict(self.addresses),
            "processes": [
                {"name": m.name, "pid": m.process.pid, "startTime": m.process.start_ticks, "log": m.log}
                for m in self.members
            ],
            "zone": self.zone,
            "stacks": list(self.stacks),
            "speed": self.speed,
            "ended": self.ended,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError if `data` isn't such an object."""
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}, this version reads {FORMAT}")
        return cls(
            home=Path(data["home"]),
            project=Path(data["project"]),
            started_at=float(data["startedAt"]),
            addresses={str(name): str(address) for name, address in data["addresses"].items()},
            members=tuple(
                Member(name=p["name"], process=ProcessId(p["pid"], p["startTime"]), log=p["log"])
                for p in data["processes"]
            ),
            zone=str(data["zone"]),
            stacks=tuple(data["stacks"]),
            boot_id=str(data["bootId"]),
            speed=float(data["speed"]),
            ended=data["ended"],
        )


def home_of(project: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder STATE: `$LOCKSTEP_SANDBOX_HOME`, else `.sandbox`. Absolute, without symbolic links.

    What is relative is relative to the project, so that the same sandbox is meant in every folder.
    """
    return (project / (environ.get(HOME_VARIABLE) or ".sandbox")).resolve()


def pulumi_variables(home: Path) -> dict[str, str]:
    """What ties a Pulumi CLI to the backend in `home`: no login, no passphrase, no network, nothing in ~/.pulumi."""
    return {
        # The CLI decodes the URL's path, so a `%`, `?` or `#` in a folder's name has to be encoded.
        # Without metadata, a write is one rename: the sidecar file (*.attrs) that would otherwise follow it isn't
        # written atomically, and one that a kill left empty makes the whole backend unreadable ("EOF").
        "PULUMI_BACKEND_URL": f"file://{quote(str(home / 'backend'))}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_HOME": str(home / "pulumi"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def read(home: Path) -> SandboxState | None:
    """The state recorded in `home`, or None if no sandbox is on record.

    Raises InvalidInputError if the record can't be read.
    """
    path = home / STATE_FILE
    try:
        return SandboxState.from_json(json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(
            f"{path} can't be used ({type(error).__name__}: {error}), so what runs there is unknown",
            "`lockstep sandbox down` ends what is left of it; then `lockstep sandbox up`",
        ) from error


def write(state: SandboxState) -> None:
    """Record `state`: readers see the old record or the new one, never a part, and only the owner may read it.

    Raises OSError, with the old record untouched.
    """
    path = state.home / STATE_FILE
    draft = path.with_suffix(".json.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(state.to_json(), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def record_end(home: Path, reason: str) -> None:
    """Note in the record of `home` why the sandbox ended by itself; nothing to do if the record is gone."""
    state = read(home)
    if state:
        write(replace(state, ended=reason))


def check_home(home: Path) -> None:
    """Raises InvalidInputError unless `home` can be a sandbox's folder: absent, empty, or a sandbox's already."""
    remedy = f"set {HOME_VARIABLE} to a folder that is absent or empty, inside one that exists"
    if not home.parent.is_dir():
        raise InvalidInputError(f"the sandbox's folder {home} can't be made: {home.parent} doesn't exist", remedy)
    try:
        names = {entry.name for entry in home.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise InvalidInputError(f"the sandbox's folder {home} is a file", remedy) from None
    if names and LOCK_FILE not in names:
        raise InvalidInputError(
            f"{home} holds files that aren't a sandbox's ({', '.join(sorted(names)[:3])}): "
            "`lockstep sandbox down` would remove them, so it isn't used",
            remedy,
        )


def empty(home: Path) -> None:
    """Remove all that is in `home` but the lock file; hold its lock.

    Raises IncompleteError if something can't be removed.
    """
    try:
        for entry in home.iterdir():
            if entry.name != LOCK_FILE:
                _remove_entry(entry)
    except FileNotFoundError:
        return
    except OSError as error:
        raise IncompleteError(
            f"couldn't remove the sandbox's files: {error.filename}: {error.strerror}",
            "`lockstep sandbox down` again goes on from here",
        ) from error


def remove(home: Path) -> None:
    """Remove `home` with all that is in it; hold its lock. The lock file goes last, so that a kill half way is found.

    Raises IncompleteError if something can't be removed.
    """
    empty(home)
    # A read-only file system, a mount point, or a parent that isn't ours to change: what is left is an empty folder.
    with contextlib.suppress(OSError):
        (home / LOCK_FILE).unlink(missing_ok=True)
        home.rmdir()


class HomeLock:
    """Exclusive right to start or end the sandbox of a folder; the kernel gives it back when its holder dies."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it, making the folder first; False if it is taken.

        Raises InvalidInputError if the folder isn't a sandbox's, and OSError if it can't be made or written.
        """
        check_home(self._home)
        self._home.mkdir(mode=0o700, exist_ok=True)
        try:
            descriptor = os.open(self._home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return False  # `down` has removed the folder in this very moment.
        except OSError:
            with contextlib.suppress(OSError):
                self._home.rmdir()  # Fails, as it should, unless the folder is empty.
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = self._is_current(descriptor)
        except BlockingIOError:
            current = False
        if not current:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def acquire(self, *, timeout: float, on_wait: Callable[[], None] | None = None) -> bool:
        """Take the lock, waiting at most `timeout` seconds; `on_wait` is called once if somebody has it."""
        deadline = time.monotonic() + timeout
        while not self.try_acquire():
            if on_wait:
                on_wait()
                on_wait = None
            if time.monotonic() >= deadline:
                return False
            time.sleep(processes.POLL_SECONDS)
        return True

    def release(self) -> None:
        """Give the lock back; nothing to do if it isn't held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_current(self, descriptor: int) -> bool:
        """False if the file was removed between opening and locking it: then the lock protects nothing."""
        try:
            return os.path.samestat(os.fstat(descriptor), (self._home / LOCK_FILE).stat())
        except FileNotFoundError:
            return False


def _remove_entry(entry: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, onerror=_pass_over_missing)
        else:
            entry.unlink()


def _pass_over_missing(_function: Any, _path: str, failure: Any) -> None:
    error = failure[1]
    if not isinstance(error, FileNotFoundError):
        raise error
