"""Packages as a machine gets them: what is right is installed, what is wrong in any way fails the boot by name."""

import bz2
import gzip
import hashlib
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pysequoia
import pytest
import zstandard

from sandbox.machine import repository, repository_files
from sandbox.machine.bucket import S3Endpoint
from sandbox.machine.errors import BootError
from sandbox.machine.filesystem import FileSystem
from tests.debian import dnf, needs
from tests.sandbox.machine import rpm_writer
from tests.sandbox.machine.bucket import REGION, RELEASE, VPCE, Bucket, repositories
from tests.sandbox.machine.conftest import StartMachine
from tests.sandbox.machine.machine_process import PROVIDES
from tests.sandbox.machine.rpm_writer import CONFIG, NO_REPLACE, File, Spec, build, folder, link

Install = Callable[..., list[str]]
CREATEREPO = Path(sys.executable).with_name("createrepo_c")
PROGRAM = {"/usr/bin/probe": File("#!/usr/bin/python3\nprint('hello')\n", 0o100755)}
PROBE = Spec("probe", PROGRAM)


@pytest.fixture
def system(tmp_path: Path) -> FileSystem:
    """The file system of a machine that has booted as far as its packages."""
    (tmp_path / "machine").mkdir()
    system = FileSystem(tmp_path / "machine")
    repository_files.prepare(system)
    return system


@pytest.fixture
def install(system: FileSystem, bucket: Bucket) -> Install:
    """`install("probe")`: what a machine does with `packages: [probe]`; returns its console."""

    def run(*names: str, arch: str = "aarch64", **options: Any) -> list[str]:
        for name, values in repositories(**options).items():
            text = "\n".join(f"{key}={int(each) if isinstance(each, bool) else each}" for key, each in values.items())
            system.write(f"/etc/yum.repos.d/{name}.repo", f"[{name}]\n{text}\n".encode())
        console: list[str] = []
        endpoint = S3Endpoint(region=REGION, url=bucket.url, vpce=VPCE)
        repository.install(system, names, endpoint, arch, PROVIDES, console.append)
        return console

    return run


def publish(bucket: Bucket, *specs: Spec, **options: Any) -> None:
    bucket.publish({spec.filename: build(spec) for spec in specs}, **options)


def refused(install: Install, *names: str, **options: Any) -> str:
    """Why it was refused, with nothing installed."""
    with pytest.raises(BootError) as caught:
        install(*(names or ("probe",)), **options)
    return str(caught.value)


@pytest.mark.parametrize("compressor", ["gzip", "xz", "zstd"])
def test_a_package_is_unpacked_with_its_modes_and_links(
    install: Install, bucket: Bucket, system: FileSystem, compressor: str
) -> None:
    """A program that isn't executable, or a link that isn't one, doesn't start."""
    files = {
        "/usr/lib/probe": folder(0o750),
        "/usr/lib/probe/first": File("same", inode=7),
        "/usr/lib/probe/second": File("same", inode=7),
        "/usr/lib/probe/current": link("first"),
        **PROGRAM,
    }
    publish(bucket, Spec("probe", files, compressor=compressor))
    assert "  Installed: probe-1.0-1.noarch" in install("probe")
    assert (system.root / "usr/bin/probe").stat().st_mode & 0o777 == 0o755
    assert (system.root / "usr/lib/probe").stat().st_mode & 0o777 == 0o750
    assert (system.root / "usr/lib/probe/current").readlink() == Path("first")
    assert [(system.root / "usr/lib/probe" / name).read_text() for name in ("first", "second", "current")] == [
        "same"
    ] * 3


@pytest.mark.parametrize(
    "pack",
    [
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".bz2", bz2.compress),
        (".zst", zstandard.ZstdCompressor().compress),
        ("", bytes),
    ],
)
def test_metadata_is_read_however_it_is_packed(
    install: Install, bucket: Bucket, pack: tuple[str, Callable[[bytes], bytes]]
) -> None:
    """createrepo_c of another version packs otherwise, and dnf reads it all the same."""
    publish(bucket, PROBE, pack=pack)
    assert "lockstep: 1 packages" in install("probe")


def damaged(bucket: Bucket, name: str, change: Callable[[bytes], bytes]) -> None:
    key = bucket.key_of(name)
    bucket.put(key, change(bucket.objects[f"/orders-packages/{key}"]))


def flipped(content: bytes) -> bytes:
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (flipped, "sha256 checksum is"),
        (lambda content: content[:-100], "bytes, and should have"),
        (lambda content: content + b"more", "bytes, and should have"),
        (lambda _: b"", "has 0 bytes, and should have"),
    ],
)
def test_a_damaged_package_is_refused_by_name(
    install: Install, bucket: Bucket, system: FileSystem, change: Callable[[bytes], bytes], expected: str
) -> None:
    """Half a package would be installed, or another one."""
    publish(bucket, PROBE)
    damaged(bucket, PROBE.filename, change)
    reason = refused(install)
    assert "package probe-1.0-1.noarch" in reason
    assert expected in reason
    assert not (system.root / "usr").exists()


def test_a_missing_package_is_refused_by_name(install: Install, bucket: Bucket) -> None:
    """The reason has to say which object is gone."""
    publish(bucket, PROBE)
    key = bucket.key_of(PROBE.filename)
    del bucket.objects[f"/orders-packages/{key}"]
    reason = refused(install)
    assert "package probe-1.0-1.noarch: Failed to download" in reason
    assert key in reason
    assert "Status code: 404" in reason


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda text: text.replace(b'package="', b'package="9'), "bytes, and should have 9"),
        (
            lambda text: text.replace(hashlib.sha256(build(PROBE)).hexdigest().encode() + b"</ch", b"0" * 64 + b"</ch"),
            f"should be {'0' * 64}",
        ),
        (lambda text: text.replace(b'type="sha256" pkgid', b'type="md5" pkgid'), "checksum of the kind md5"),
        (lambda text: text.replace(b"../../packages/", b"../../elsewhere/"), "Status code: 404"),
        (
            lambda text: text.replace(b"../../packages/", b"https://mirror.example.com/"),
            "private subnet reaches nothing",
        ),
        (lambda text: text[:-30], "can't be read"),
    ],
)
def test_metadata_that_lies_about_a_package_is_found_out(
    install: Install, bucket: Bucket, edit: Callable[[bytes], bytes], expected: str
) -> None:
    """What dnf refuses on AWS must not be installed here."""
    publish(bucket, PROBE, edit=edit)
    assert expected in refused(install)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("primary.xml.gz", lambda content: content + b"\0", "sha256 checksum is"),
        ("repomd.xml", lambda content: content.replace(b"</repomd>", b""), "can't be read"),
        ("repomd.xml", lambda content: content.replace(b"primary", b"another"), "lists no primary metadata"),
        (
            "repomd.xml",
            lambda content: content.replace(b'<open-checksum type="sha256">', b'<open-checksum type="sha256">0'),
            "primary.xml.gz, unpacked: sha256 checksum is",
        ),
    ],
)
def test_metadata_that_is_not_the_listed_one_makes_the_repository_unavailable(
    install: Install, bucket: Bucket, name: str, change: Callable[[bytes], bytes], expected: str
) -> None:
    """A boot would go on with a list of packages that nobody published."""
    publish(bucket, PROBE)
    damaged(bucket, name, change)
    reason = refused(install)
    assert reason.startswith("Unable to find a match: probe; Failed to download metadata for repo 'lockstep'")
    assert expected in reason


def test_a_repository_that_must_be_readable_fails_at_once(install: Install, bucket: Bucket) -> None:
    """skip_if_unavailable=0 is how a boot insists on its repository."""
    reason = refused(install, skip_if_unavailable=False)
    assert reason.startswith("Failed to download metadata for repo 'lockstep'")
    assert "Status code: 404" in reason


def test_a_package_whose_payload_is_not_its_headers_is_refused(install: Install, bucket: Bucket) -> None:
    """Repository and package can agree on damage that was there before publishing."""
    bucket.publish({PROBE.filename: build(PROBE, payload=flipped)})
    assert "its payload has sha256" in refused(install)


def test_a_package_whose_header_was_changed_is_refused(install: Install, bucket: Bucket) -> None:
    """The same, of the header."""
    content = build(PROBE).replace(b"Made for a test", b"Made for a jest")
    bucket.publish({PROBE.filename: content})
    assert "its header" in refused(install)


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        (1023, "%pre"),
        (1024, "%post"),
        (1086, "%post"),
        (1025, "%preun"),
        (1026, "%postun"),
        (1079, "%verifyscript"),
        (1151, "%pretrans"),
        (1152, "%posttrans"),
        (1065, "%trigger"),
        (5066, "%filetrigger"),
        (5076, "%transfiletrigger"),
        (5103, "%preuntrans"),
        (5104, "%postuntrans"),
    ],
)
def test_scriptlets_are_refused_by_name(install: Install, bucket: Bucket, tag: int, kind: str) -> None:
    """On AWS they run; left out here, the package would be installed otherwise."""
    publish(bucket, Spec("probe", PROGRAM, tags=rpm_writer.scriptlet(tag, "/sbin/ldconfig")))
    assert f"package probe-1.0-1.noarch has {kind}:" in refused(install)


@pytest.mark.parametrize("path", ["/../outside", "/usr/../../outside", "/usr/lib/../../../outside"])
def test_a_path_that_leads_out_of_the_machine_is_refused(install: Install, bucket: Bucket, path: str) -> None:
    """A package would write anywhere on the developer's disk."""
    publish(bucket, Spec("probe", {path: File("x")}))
    assert "leads out of the file system" in refused(install)


@pytest.mark.parametrize("target", ["/", "../../../../../../../..", "{outside}"])
def test_a_link_does_not_lead_out_of_the_machine(
    install: Install, bucket: Bucket, system: FileSystem, tmp_path: Path, target: str
) -> None:
    """A link in a package is the other way to write anywhere; on the machine it leads into the machine."""
    outside = tmp_path / "outside"
    outside.mkdir()
    destination = target.format(outside=outside)
    publish(bucket, Spec("probe", {"/usr/out": link(destination), "/usr/out/deep/file": File("x")}))
    install("probe")
    assert list(outside.iterdir()) == []
    within = system.root / str(outside).lstrip("/") if "{" in target else system.root
    assert (within / "deep/file").read_text() == "x"


@pytest.mark.parametrize("mode", [0o020666, 0o060666, 0o010644])
def test_devices_and_pipes_are_refused(install: Install, bucket: Bucket, mode: int) -> None:
    """Nobody but root can make a device, and a file in its place would hide that."""
    publish(bucket, Spec("probe", {"/dev/probe": File(mode=mode)}))
    assert "/dev/probe of package probe-1.0-1.noarch is a device or a pipe" in refused(install)


def test_two_packages_with_different_files_at_one_path_conflict(
    install: Install, bucket: Bucket, system: FileSystem
) -> None:
    """rpm refuses this on AWS; here the last one would win."""
    publish(bucket, PROBE, Spec("other", {"/usr/bin/probe": File("other")}))
    expected = "file /usr/bin/probe of package other-1.0-1.noarch conflicts with file of package probe-1.0-1.noarch"
    assert refused(install, "probe", "other") == expected
    assert not (system.root / "usr").exists()


def test_two_packages_may_share_a_file_and_a_folder(install: Install, bucket: Bucket) -> None:
    """rpm allows what is the same, and folders of several packages are common."""
    shared = {"/usr/share/probe": folder(), **PROGRAM}
    publish(bucket, Spec("probe", shared), Spec("other", {**shared, "/usr/share/probe": folder(0o700)}))
    install("probe", "other")


@pytest.mark.parametrize(
    ("flags", "in_place", "beside"),
    [(CONFIG | NO_REPLACE, "written", (".rpmnew", "packaged")), (CONFIG, "packaged", (".rpmorig", "written"))],
)
def test_a_configuration_file_that_cloud_init_wrote_is_treated_as_rpm_does(
    install: Install, bucket: Bucket, system: FileSystem, flags: int, in_place: str, beside: tuple[str, str]
) -> None:
    """Settings of the instance would be overwritten here that stay on AWS, or the other way around."""
    system.write("/etc/probe.conf", b"written")
    publish(bucket, Spec("probe", {"/etc/probe.conf": File("packaged", flags=flags)}))
    console = install("probe")
    suffix, content = beside
    assert system.read_text("/etc/probe.conf") == in_place
    assert system.read_text(f"/etc/probe.conf{suffix}") == content
    assert any(suffix in line for line in console)


def signer(user: str) -> tuple[bytes, Callable[[bytes], bytes]]:
    """A key, and what signs with it."""
    key = pysequoia.Tsk.generate(user)

    def sign(header: bytes) -> bytes:
        return bytes(pysequoia.sign(key.signer(), header, mode=pysequoia.SignatureMode.DETACHED, armor=False))

    return bytes(key.extract_certificate()), sign


OURS = signer("packages@example.com")
THEIRS = signer("somebody@example.com")
KEY = "file:///etc/pki/rpm-gpg/key"


def test_a_signed_package_is_installed(install: Install, bucket: Bucket, system: FileSystem) -> None:
    """gpgcheck=1 must not refuse what is right."""
    key, sign = OURS
    bucket.publish({PROBE.filename: build(PROBE, sign=sign)})
    system.write("/etc/pki/rpm-gpg/key", THEIRS[0] + key)
    install("probe", gpgcheck=True, gpgkey=KEY)


def test_the_key_may_be_in_the_bucket(install: Install, bucket: Bucket) -> None:
    """A release can bring its key along."""
    key, sign = OURS
    bucket.publish({PROBE.filename: build(PROBE, sign=sign)})
    bucket.put("keys/ours.asc", key)
    install("probe", gpgcheck=True, gpgkey=f"https://orders-packages.s3.{REGION}.amazonaws.com/keys/ours.asc")


@pytest.mark.parametrize(
    ("sign", "expected"),
    [
        (None, "package probe-1.0-1.noarch is not signed"),
        (THEIRS[1], "no key of its repository"),
        (lambda header: OURS[1](header + b"x"), "no key of its repository"),
        (lambda _: b"nonsense", "no key of its repository"),
    ],
)
def test_a_package_that_is_not_signed_by_the_key_is_refused(
    install: Install, bucket: Bucket, system: FileSystem, sign: Callable[[bytes], bytes] | None, expected: str
) -> None:
    """gpgcheck=1 would be worth nothing."""
    bucket.publish({PROBE.filename: build(PROBE, sign=sign)})
    system.write("/etc/pki/rpm-gpg/key", OURS[0])
    assert expected in refused(install, gpgcheck=True, gpgkey=KEY)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "repository lockstep has gpgcheck=1 and no gpgkey"),
        ({"gpgkey": "file:///etc/missing"}, "gpgkey file:///etc/missing of repository lockstep doesn't exist"),
        ({"gpgkey": "file:///etc/dnf/dnf.conf"}, "isn't an OpenPGP certificate"),
    ],
)
def test_signatures_can_only_be_checked_with_a_key(
    install: Install, bucket: Bucket, options: dict[str, str], expected: str
) -> None:
    """dnf fails for want of a key; here a package would pass unchecked."""
    bucket.publish({PROBE.filename: build(PROBE, sign=OURS[1])})
    assert expected in refused(install, gpgcheck=True, **options)


def test_signatures_are_checked_unless_the_repository_says_otherwise(
    install: Install, bucket: Bucket, system: FileSystem
) -> None:
    """The image's dnf.conf has gpgcheck on: a repository without the line is checked on AWS."""
    publish(bucket, PROBE)
    system.write("/etc/pki/rpm-gpg/key", OURS[0])
    url = repositories()["lockstep"]["baseurl"]
    system.write("/etc/yum.repos.d/plain.repo", f"[plain]\nbaseurl={url}\ngpgkey={KEY}\n".encode())
    assert "is not signed" in refused(install, enabled=False)


def test_requirements_are_installed_from_the_repository_and_the_image(
    install: Install, bucket: Bucket, system: FileSystem
) -> None:
    """A release of several packages would come up with one of them."""
    publish(
        bucket,
        Spec("probe", PROGRAM, requires=["library >= 2.0", "python3 >= 3.9", "/usr/bin/tool", "systemd"]),
        Spec("library", {"/usr/lib/library": File("old")}, version="1.9"),
        Spec("library", {"/usr/lib/library": File("new")}, version="2.10"),
        Spec("library", {"/usr/lib/library": File("middle")}, version="2.9"),
        Spec("tools", {"/usr/bin/tool": File("tool")}),
        Spec("unrelated", {"/usr/lib/unrelated": File("x")}),
    )
    install("probe")
    assert system.read_text("/usr/lib/library") == "new"
    installed = [each["nevra"] for each in json.loads(system.read_text(repository.INSTALLED))]
    assert installed == ["library-2.10-1.noarch", "probe-1.0-1.noarch", "tools-1.0-1.noarch"]


@pytest.mark.parametrize(
    ("specs", "names", "expected"),
    [
        ([Spec("probe", requires=["other"])], ["probe"], "nothing provides other needed by probe-1.0-1.noarch"),
        ([Spec("probe", requires=["python3 >= 3.11"])], ["probe"], "nothing provides python3 >= 3.11 needed by probe"),
        (
            [Spec("probe", requires=["other > 1.0"]), Spec("other")],
            ["probe"],
            "nothing provides other > 1.0 needed by probe-1.0-1.noarch",
        ),
        ([Spec("probe", arch="x86_64")], ["probe"], "Unable to find a match: probe (there is one for x86_64 only)"),
        ([Spec("probe")], ["probe-2.0"], "Unable to find a match: probe-2.0"),
        ([Spec("probe", requires=["(a or b)"])], ["probe"], "conditional requirement (a or b)"),
        ([Spec("probe", recommends=["other"]), Spec("other")], ["probe"], "doesn't install what a package recommends"),
        (
            [Spec("probe", conflicts=["other"]), Spec("other")],
            ["probe", "other"],
            "conflicts with other, provided by other",
        ),
        (
            [Spec("probe", conflicts=["systemd < 300"])],
            ["probe"],
            "conflicts with systemd < 300, provided by the image",
        ),
        (
            [Spec("probe", obsoletes=["systemd"])],
            ["probe"],
            "doesn't replace packages: probe-1.0-1.noarch obsoletes systemd",
        ),
        (
            [Spec("probe"), Spec("other", obsoletes=["probe"])],
            ["probe", "other"],
            "doesn't replace packages: other-1.0-1.noarch obsoletes probe, and so probe-1.0-1.noarch",
        ),
        (
            [Spec("needy", requires=["probe"]), Spec("probe"), Spec("other", obsoletes=["probe < 2"])],
            ["needy"],
            "doesn't replace packages: other-1.0-1.noarch obsoletes probe < 2, and so probe-1.0-1.noarch",
        ),
        (
            [Spec("probe"), Spec("probe", version="2.0")],
            ["probe-1.0", "probe-2.0"],
            "cannot install both probe-1.0-1.noarch and probe-2.0-1.noarch",
        ),
    ],
)
def test_what_cannot_be_resolved_is_refused_in_dnfs_manner(
    install: Install, bucket: Bucket, specs: list[Spec], names: list[str], expected: str
) -> None:
    """Installed without what it needs, a package fails later and elsewhere."""
    publish(bucket, *specs)
    assert expected in refused(install, *names)


REPLACING = [
    ([Spec("probe"), Spec("other", obsoletes=["probe"])], ["probe"]),
    ([Spec("probe"), Spec("other", obsoletes=["probe < 2"])], ["probe"]),
    ([Spec("probe"), Spec("other", obsoletes=["probe = 1.0"])], ["probe"]),
]
NOT_REPLACING = [
    ([Spec("probe"), Spec("other", obsoletes=["probe < 1.0"])], ["probe"]),
    ([Spec("probe"), Spec("other", obsoletes=["probe < 1.0"])], ["probe", "other"]),
    ([Spec("probe"), Spec("other", obsoletes=["probe = 1.0-2"])], ["probe"]),
    ([Spec("probe"), Spec("probe", version="2.0", obsoletes=["probe < 2.0"])], ["probe-1.0"]),
    ([Spec("probe", provides=["thing"]), Spec("other", obsoletes=["thing"])], ["probe"]),
]


@pytest.mark.parametrize(("specs", "names"), REPLACING)
def test_a_package_that_another_one_obsoletes_is_refused(
    install: Install, bucket: Bucket, specs: list[Spec], names: list[str]
) -> None:
    """An instance on AWS would run what is in its place."""
    publish(bucket, *specs)
    assert "doesn't replace packages: other-1.0-1.noarch obsoletes probe" in refused(install, *names)


@pytest.mark.parametrize(("specs", "names"), NOT_REPLACING)
def test_what_obsoletes_another_version_or_name_changes_nothing(
    install: Install, bucket: Bucket, specs: list[Spec], names: list[str]
) -> None:
    """The last step of a renaming obsoletes every version before it; a release with both would never come up here."""
    publish(bucket, *specs)
    assert "  Installed: probe-1.0-1.noarch" in install(*names)


@needs("dnf")
@pytest.mark.parametrize(("specs", "names"), [*REPLACING, *NOT_REPLACING])
def test_dnf_takes_the_obsoleting_package_where_the_sandbox_refuses_and_only_there(
    tmp_path: Path, specs: list[Spec], names: list[str]
) -> None:
    """Both tests above would only repeat what we think of dnf."""
    repo, target = tmp_path / "repo", tmp_path / "target"
    repo.mkdir()
    for spec in specs:
        (repo / spec.filename).write_bytes(build(spec))
    subprocess.run([CREATEREPO, "--quiet", repo], check=True, capture_output=True)
    done = dnf(tmp_path / "root", repo.as_uri(), "install", "--downloadonly", f"--downloaddir={target}", *names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (target / "probe-1.0-1.noarch.rpm").exists() == ((specs, names) in NOT_REPLACING)
    assert (target / "other-1.0-1.noarch.rpm").exists() == ((specs, names) in REPLACING or "other" in names)


@pytest.mark.parametrize(
    "name", ["probe", "probe-1.0", "probe-1.0-1", "probe-1.0-1.noarch", "probe.noarch", "the-probe"]
)
def test_a_package_is_found_by_every_name_that_dnf_takes(install: Install, bucket: Bucket, name: str) -> None:
    """cloud-config's [name, version] is one of them."""
    publish(bucket, Spec("probe", PROGRAM, provides=["the-probe"]))
    assert "  Installed: probe-1.0-1.noarch" in install(name)


def test_an_aarch64_package_is_for_an_arm64_image(install: Install, bucket: Bucket) -> None:
    """The program's instances are arm64."""
    publish(bucket, Spec("probe", PROGRAM, arch="aarch64"))
    assert "  Installed: probe-1.0-1.aarch64" in install("probe")


def test_a_broken_package_fails_the_boot_of_the_real_machine(start_machine: StartMachine, bucket: Bucket) -> None:
    """The same through the process: the reason reaches the API and the console, and nothing of the package is there."""
    publish(bucket, PROBE)
    damaged(bucket, PROBE.filename, flipped)
    machine = start_machine({"yum_repos": repositories(), "packages": ["probe"]})
    assert "package probe-1.0-1.noarch: sha256 checksum is" in machine.reason
    assert machine.reason in machine.console
    assert not (machine.root / "usr").exists()


def test_reading_packages_leaves_the_environment_as_it_was(install: Install, bucket: Bucket) -> None:
    """librpm is kept quiet by a variable that the services must not inherit."""
    publish(bucket, PROBE)
    before = dict(os.environ)
    install("probe")
    assert dict(os.environ) == before
    assert bucket.asked[0].endswith(f"{RELEASE}repodata/repomd.xml")
