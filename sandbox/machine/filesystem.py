"""A machine's file system: a folder of the host, in which no path and no symbolic link leads outside.

Links are followed as on the machine, as chroot(2) would: an absolute target begins at the machine's root, and `..` of
the root is the root.
"""

from pathlib import Path, PurePosixPath
from typing import Final

from sandbox.machine.errors import BootError

# path_resolution(7): more than 40 links on the way is ELOOP.
LINKS_MAX: Final = 40
NEW_FILE_MODE: Final = 0o644


class FileSystem:
    """What is below the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def locate(self, path: str, *, follow: bool = True) -> Path:
        """Where `path` of the machine is on the host, whether or not it exists.

        Without `follow` a link that `path` itself is isn't followed, only those on the way. Raises BootError for links
        that lead in a circle.
        """
        at, links = self.root, 0
        pending = _parts(path)
        while pending:
            part = pending.pop()
            if part == "..":
                at = at if at == self.root else at.parent
                continue
            here = at / part
            if not here.is_symlink() or not (pending or follow):
                at = here
                continue
            links += 1
            if links > LINKS_MAX:
                raise BootError(f"{path}: too many levels of symbolic links")
            target = str(here.readlink())
            at = self.root if target.startswith("/") else at
            pending += _parts(target)
        return at

    def exists(self, path: str) -> bool:
        """Whether the machine has `path`."""
        return self.locate(path).exists()

    def is_file(self, path: str) -> bool:
        """Whether `path` is a file, or a link to one."""
        return self.locate(path).is_file()

    def read_text(self, path: str) -> str:
        """The text of a file. Raises OSError, and BootError if it isn't UTF-8."""
        try:
            return self.locate(path).read_text()
        except UnicodeDecodeError as error:
            raise BootError(f"{path} isn't UTF-8 text: {error}") from error

    def listing(self, folder: str, pattern: str) -> list[str]:
        """The paths in `folder` that match `pattern`, sorted by name; none if there is no such folder."""
        return [f"{folder.rstrip('/')}/{path.name}" for path in sorted(self.locate(folder).glob(pattern))]

    def write(self, path: str, content: bytes, *, mode: int | None = NEW_FILE_MODE, append: bool = False) -> None:
        """Write a file, with the folders above it. Its mode stays if `mode` is None.

        Raises BootError if there is something else in the way.
        """
        at = self.locate(path)
        try:
            at.parent.mkdir(parents=True, exist_ok=True)
            with at.open("ab" if append else "wb") as file:
                file.write(content)
        except OSError as error:
            raise BootError(f"{path} can't be written: {error.strerror}") from error
        if mode is not None:
            at.chmod(mode)


def _parts(path: str) -> list[str]:
    """The parts of `path`, last first."""
    return [part for part in reversed(PurePosixPath(path).parts) if part != "/" and part != "//"]
