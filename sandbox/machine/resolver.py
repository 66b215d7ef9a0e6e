"""Which packages a machine installs: what is asked for, and what that requires.

As dnf does it, with less: it takes the newest of each and never goes back to an older one, so where only an older one
would do the sandbox fails and dnf would not. What it doesn't do it refuses by name: so also a package that another one
of the repositories obsoletes, although dnf takes it all the same if it is asked for by its version, or required by a
name that the other one doesn't provide.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sandbox.machine.capabilities import Capability, Version
from sandbox.machine.errors import BootError
from sandbox.machine.repository_files import Repository

# rpm(8): what the package manager itself must be able to do, which AWS's can.
_RPMLIB: Final = "rpmlib("


@dataclass(frozen=True)
class Package:
    """A package of a repository as its metadata describes it; `size` in bytes, `href` relative to the repository."""

    repository: Repository
    name: str
    arch: str
    version: Version
    href: str
    size: int
    sha256: str
    provides: tuple[Capability, ...] = field(repr=False, default=())
    requires: tuple[Capability, ...] = field(repr=False, default=())
    conflicts: tuple[Capability, ...] = field(repr=False, default=())
    obsoletes: tuple[Capability, ...] = field(repr=False, default=())
    recommends: tuple[Capability, ...] = field(repr=False, default=())
    files: tuple[str, ...] = field(repr=False, default=())

    @property
    def nevra(self) -> str:
        """Its full name: name, epoch, version, release, architecture."""
        return f"{self.name}-{self.version}.{self.arch}"

    def obsoleted(self, package: "Package") -> Capability | None:
        """By which of its obsoletes it replaces `package`: that goes by name, not by what a package provides."""
        if package.name == self.name:
            # A newer version of the same, which replaces the older one anyway.
            return None
        itself = Capability(package.name, "EQ", package.version)
        return next((each for each in self.obsoletes if each.overlaps(itself)), None)

    def meets(self, wanted: Capability) -> bool:
        """Whether it provides `wanted`, by a capability or by a file."""
        return wanted.name in self.files or any(each.overlaps(wanted) for each in self.provides)


def resolve(
    wanted: Sequence[str], available: Sequence[Package], image: Sequence[Capability], arch: str
) -> list[Package]:
    """The packages to install: the newest that are named so, and what they require that the image doesn't provide.

    Raises BootError, in dnf's manner, if that can't be.
    """
    fitting = [package for package in available if package.arch in ("noarch", arch)]
    chosen: list[Package] = []
    for name in wanted:
        if not _is_on_image(name, image):
            _choose(_newest(_named(name, fitting, available)), chosen)
    # `chosen` grows on the way.
    for package in chosen:
        _refuse_unsupported(package, fitting)
        for requirement in package.requires:
            if not _is_met(requirement, image, chosen):
                _choose(_newest(_providers(requirement, package, fitting)), chosen)
    _check_conflicts(chosen, image)
    return chosen


def _choose(package: Package, chosen: list[Package]) -> None:
    if package in chosen:
        return
    for other in chosen:
        if other.name == package.name:
            raise BootError(f"cannot install both {other.nevra} and {package.nevra}")
    chosen.append(package)


def _is_on_image(name: str, image: Sequence[Capability]) -> bool:
    return any(each.name == name for each in image)


def _named(wanted: str, fitting: Sequence[Package], available: Sequence[Package]) -> list[Package]:
    found = [each for each in fitting if _is_named(each, wanted)]
    if not found:
        found = [each for each in fitting if each.meets(Capability(wanted))]
    if not found:
        others = sorted({each.arch for each in available if _is_named(each, wanted)})
        raise BootError(
            f"Unable to find a match: {wanted}" + (f" (there is one for {', '.join(others)} only)" if others else "")
        )
    return found


def _is_named(package: Package, wanted: str) -> bool:
    """dnf(8), "Specifying packages": name, name-version or name-version-release, and each with the architecture."""
    version, release = package.version.version, package.version.release
    names = {package.name, f"{package.name}-{version}", f"{package.name}-{version}-{release}"}
    if package.version.epoch:
        names |= {f"{package.name}-{package.version.epoch}:{version}-{release}"}
    return wanted in names or wanted in {f"{name}.{package.arch}" for name in names}


def _newest(packages: Iterable[Package]) -> Package:
    best, *rest = packages
    for each in rest:
        # Of different packages that provide the same, the first: repositories are in order.
        if each.name == best.name and each.version.compare(best.version) > 0:
            best = each
    return best


def _is_met(requirement: Capability, image: Sequence[Capability], chosen: Sequence[Package]) -> bool:
    if requirement.name.startswith(_RPMLIB):
        return True
    if requirement.name.startswith("("):
        raise BootError(f"the sandbox doesn't resolve the conditional requirement {requirement}")
    return any(each.overlaps(requirement) for each in image) or any(each.meets(requirement) for each in chosen)


def _providers(requirement: Capability, package: Package, fitting: Sequence[Package]) -> list[Package]:
    found = [each for each in fitting if each.meets(requirement)]
    if not found:
        raise BootError(f"nothing provides {requirement} needed by {package.nevra}")
    return found


def _refuse_unsupported(package: Package, fitting: Sequence[Package]) -> None:
    """Weak requirements are installed on AWS if a repository has them, and obsolete packages replaced if it has what
    obsoletes them; nothing happens if none has.
    """
    for each in package.recommends:
        if any(other.meets(each) for other in fitting):
            raise BootError(f"the sandbox doesn't install what a package recommends: {each} by {package.nevra}")
    for other in fitting:
        if obsolete := other.obsoleted(package):
            raise BootError(
                f"the sandbox doesn't replace packages: {other.nevra} obsoletes {obsolete}, and so {package.nevra}"
            )


def _check_conflicts(chosen: Sequence[Package], image: Sequence[Capability]) -> None:
    for package in chosen:
        for conflict in package.conflicts:
            others = [each.nevra for each in chosen if each is not package and each.meets(conflict)]
            if others or any(each.overlaps(conflict) for each in image):
                raise BootError(
                    f"{package.nevra} conflicts with {conflict}, provided by {', '.join(others) or 'the image'}"
                )
        for obsolete in package.obsoletes:
            if any(each.overlaps(obsolete) for each in image):
                raise BootError(f"the sandbox doesn't replace packages: {package.nevra} obsoletes {obsolete}")
