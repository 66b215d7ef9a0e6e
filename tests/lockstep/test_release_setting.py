"""The release in Pulumi.yaml: one value changes, and nothing else."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lockstep import release_setting
from lockstep.config.files import read_project_file
from lockstep.errors import InvalidInputError

Project = Callable[[str], Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """`project(text)`: a folder whose Pulumi.yaml is `text`, byte for byte."""

    def write(text: str) -> Path:
        (tmp_path / "Pulumi.yaml").write_bytes(text.encode())
        return tmp_path

    return write


def text_of(root: Path) -> str:
    return (root / "Pulumi.yaml").read_bytes().decode()


def with_config(*lines: str) -> str:
    return "name: lockstep\nconfig:\n" + "".join(f"  {line}\n" for line in lines)


# Before, the release to write, after.
CHANGES = {
    "plain": ("lockstep:release: 1.0.0", "1.1.0", "lockstep:release: 1.1.0"),
    "double quotes": ('lockstep:release:   "1.0.0"  # why', "1.1.0", 'lockstep:release:   "1.1.0"  # why'),
    "single quotes": ("lockstep:release: '1.0.0'", "1.1.0", "lockstep:release: '1.1.0'"),
    "a number needs quotes": ("lockstep:release: 1.0.0", "1.10", 'lockstep:release: "1.10"'),
    "a date needs quotes": ("lockstep:release: 1.0.0", "2026-01-01", 'lockstep:release: "2026-01-01"'),
    "so does a truth value": ("lockstep:release: 1.0.0", "yes", 'lockstep:release: "yes"'),
    "and what only the newer YAML takes for a number": ("lockstep:release: a", "1e3", 'lockstep:release: "1e3"'),
    "and nothing": ("lockstep:release: 1.0.0", None, 'lockstep:release: ""'),
    "empty": ('lockstep:release: ""', "1.0.0", 'lockstep:release: "1.0.0"'),
    "null": ("lockstep:release: ~ # none", "1.0.0", 'lockstep:release: "1.0.0" # none'),
    "no value": ("lockstep:release:", "1.0.0", 'lockstep:release: "1.0.0"'),
    "no value and a comment": ("lockstep:release: # none", "1.0.0", 'lockstep:release: "1.0.0" # none'),
    "without the namespace": ("release: 1.0.0", "1.1.0", "release: 1.1.0"),
    "typed": (
        'lockstep:release:\n    type: string\n    default: "1.0.0"',
        "1.1.0",
        'lockstep:release:\n    type: string\n    default: "1.1.0"',
    ),
    "typed, no value": (
        "lockstep:release:\n    default:\n    type: string",
        "1.1.0",
        'lockstep:release:\n    default: "1.1.0"\n    type: string',
    ),
    "value counts before default": (
        "lockstep:release:\n    default: 1.0.0\n    value: 1.0.0",
        "1.1.0",
        "lockstep:release:\n    default: 1.0.0\n    value: 1.1.0",
    ),
    "in braces": (
        'lockstep:release: {type: string, default: "1.0.0", description: x}',
        "1.1.0",
        'lockstep:release: {type: string, default: "1.1.0", description: x}',
    ),
}


@pytest.mark.parametrize(("before", "release", "after"), CHANGES.values(), ids=CHANGES)
def test_only_the_value_changes(project: Project, before: str, release: str | None, after: str) -> None:
    """A diff of more than one line is one that nobody reads, and a number is another release."""
    around = ("# one: é 😀", "lockstep:application: orders", "{}", "", "# two", "lockstep:ttl:   30   # kept")
    root = project(with_config(*around).replace("{}", before))
    release_setting.write(root, release)
    assert text_of(root) == with_config(*around).replace("{}", after)
    assert release_setting.read(root) == release
    # What the program reads.
    assert read_project_file(root).values["release"] == (release or "")


def test_the_committed_file_comes_back_byte_for_byte(project: Project, root: Path) -> None:
    """A deployment that was undone must leave nothing to commit."""
    folder = project(text_of(root))
    before = release_setting.read(folder)
    release_setting.write(folder, "9.10")
    assert release_setting.read(folder) == "9.10"
    assert text_of(folder) != text_of(root)
    release_setting.write(folder, before)
    assert text_of(folder) == text_of(root)


@pytest.mark.parametrize(
    "text",
    [
        with_config("lockstep:release: 1.0.0", "lockstep:ttl: 30").replace("\n", "\r\n"),
        "\ufeff" + with_config("lockstep:release: 1.0.0"),
        with_config("lockstep:ttl: 30", "lockstep:release: 1.0.0").rstrip("\n"),
    ],
    ids=["Windows line ends", "byte order mark", "no last line end"],
)
def test_the_form_of_the_file_is_kept(project: Project, text: str) -> None:
    """Every line would be in the diff."""
    root = project(text)
    release_setting.write(root, "1.1.0")
    assert text_of(root) == text.replace("1.0.0", "1.1.0")


NEW_KEYS = {
    "below a plain one": (
        with_config("# the sites", "lockstep:sites: [a, b]", "lockstep:application: orders  # it", "", "# seconds")
        + "  lockstep:ttl: 30\n",
        with_config(
            "# the sites",
            "lockstep:sites: [a, b]",
            "lockstep:application: orders  # it",
            'lockstep:release: "1.0.0"',
            "",
            "# seconds",
        )
        + "  lockstep:ttl: 30\n",
    ),
    "below a typed one": (
        with_config(
            "lockstep:application:", "  type: string", "  default: orders", "", "# seconds", "lockstep:ttl: 30"
        ),
        with_config(
            "lockstep:application:",
            "  type: string",
            "  default: orders",
            "lockstep:release:",
            "  type: string",
            '  default: "1.0.0"',
            "",
            "# seconds",
            "lockstep:ttl: 30",
        ),
    ),
    "at the end of a file without a line end": (
        with_config("lockstep:application: orders").rstrip("\n"),
        with_config("lockstep:application: orders", 'lockstep:release: "1.0.0"'),
    ),
    "with Windows line ends": (
        with_config("lockstep:application: orders", "lockstep:ttl: 3").replace("\n", "\r\n"),
        with_config("lockstep:application: orders", 'lockstep:release: "1.0.0"', "lockstep:ttl: 3").replace(
            "\n", "\r\n"
        ),
    ),
}


@pytest.mark.parametrize(("before", "after"), NEW_KEYS.values(), ids=NEW_KEYS)
def test_a_missing_key_is_written_below_the_application(project: Project, before: str, after: str) -> None:
    """Between a comment and the key that it is about, it would take the comment for itself."""
    root = project(before)
    assert release_setting.read(root) is None
    release_setting.write(root, None)
    assert text_of(root) == before
    release_setting.write(root, "1.0.0")
    assert text_of(root) == after
    assert release_setting.read(root) == "1.0.0"


@pytest.mark.parametrize("value", ["1.10", "2", "2026-01-01", "true", "yes", "1e3", "0777", "1_000", "1:30"])
def test_a_release_that_yaml_takes_for_something_else_is_refused(project: Project, value: str) -> None:
    """1.10 becomes 1.1, and another release is deployed than the file says."""
    root = project(with_config(f"lockstep:release: {value}"))
    attempts: list[Callable[[], object]] = [
        partial(release_setting.read, root),
        partial(release_setting.write, root, "3"),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidInputError, match=rf"line 3.*{value}") as refused:
            attempt()
        assert refused.value.remedy == f'put it in quotes: "{value}"'


REFUSED = {
    "an anchor": (with_config("lockstep:release: &r 1.0.0", "lockstep:ttl: *r"), "&r 1.0.0"),
    "an alias": ("name: &r lockstep\nconfig:\n  lockstep:release: *r\n", "line 1"),
    "a tag": (with_config("lockstep:release: !!str 1.10"), "!!str"),
    "a block of lines": (with_config("lockstep:release: |", "  1.0.0", "lockstep:ttl: 3"), "block of lines"),
    "a list": (with_config("lockstep:release: [1.0.0]"), "neither a text"),
    "a secret": (with_config("lockstep:release:", "  secure: abc"), "neither a text"),
    "twice": (with_config('lockstep:release: "1"', 'release: "2"'), "lines 3 and 4"),
    "config in braces": ('name: lockstep\nconfig: {"lockstep:ttl": 3}\n', "in braces"),
    "no config": ("name: lockstep\n", "no `config:`"),
    "config without keys": ("name: lockstep\nconfig:\n", "no `config:`"),
    "not a mapping": ("- 1\n", "no `config:`"),
    "not YAML": ("name: [\n", "isn't YAML"),
    "empty": ("", "no `config:`"),
}


@pytest.mark.parametrize(("text", "named"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_changed_safely_is_named_and_left_alone(project: Project, text: str, named: str) -> None:
    """A wrong guess breaks the file in the middle of a deployment."""
    root = project(text)
    with pytest.raises(InvalidInputError, match=r"^Pulumi\.yaml") as refused:
        release_setting.write(root, "1.1.0")
    assert named in refused.value.message
    assert refused.value.remedy
    assert text_of(root) == text


def test_a_release_that_yaml_cannot_hold_is_refused(project: Project) -> None:
    """What was written is read again before it takes the file's place: a broken file would stop every command."""
    text = with_config("lockstep:release: 1.0.0")
    root = project(text)
    with pytest.raises(InvalidInputError, match="can't be set to"):
        release_setting.write(root, "1.0\x7f")
    assert text_of(root) == text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """An operator in the wrong folder sees which one it was."""
    with pytest.raises(InvalidInputError, match=str(tmp_path)):
        release_setting.read(tmp_path)


@pytest.mark.parametrize("key", ["lockstep:release", "release"])
def test_a_stack_that_has_a_release_of_its_own_is_refused(project: Project, key: str) -> None:
    """That site would stay behind, or come back to it with the next deployment, and the pair isn't in lockstep."""
    root = project(with_config('lockstep:release: "1.0.0"'))
    (root / "Pulumi.primary.yaml").write_text("config:\n  lockstep:region: eu-west-1\n")
    assert release_setting.read(root) == "1.0.0"
    (root / "Pulumi.secondary.yaml").write_text(f'config:\n  {key}: "1.0.0"\n')
    attempts: list[Callable[[], object]] = [
        partial(release_setting.read, root),
        partial(release_setting.write, root, "3"),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidInputError, match=r"^Pulumi\.secondary\.yaml sets lockstep:release") as refused:
            attempt()
        assert refused.value.remedy == "pulumi config rm lockstep:release -s secondary"
    assert read_project_file(root).values["release"] == "1.0.0"


def test_permissions_stay(project: Project) -> None:
    """A file that only its owner may read becomes one that everybody reads, or nobody."""
    root = project(with_config("lockstep:release: 1.0.0"))
    for mode in (0o600, 0o664):
        (root / "Pulumi.yaml").chmod(mode)
        release_setting.write(root, f"1.{mode}.0")
        assert (root / "Pulumi.yaml").stat().st_mode & 0o7777 == mode


def test_a_link_stays_a_link(project: Project, tmp_path: Path) -> None:
    """The file that it points to, shared by several checkouts, would be left behind."""
    root = project(with_config("lockstep:release: 1.0.0"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "Pulumi.yaml").rename(elsewhere / "Shared.yaml")
    (root / "Pulumi.yaml").symlink_to("elsewhere/Shared.yaml")
    release_setting.write(root, "1.1.0")
    assert (root / "Pulumi.yaml").is_symlink()
    assert "1.1.0" in (elsewhere / "Shared.yaml").read_text()
    assert [path.name for path in elsewhere.iterdir()] == ["Shared.yaml"]


def test_a_file_that_says_it_already_is_not_touched(project: Project) -> None:
    """Editors ask whether to load it anew, and `make` builds again."""
    root = project(with_config("lockstep:release: 1.0.0"))
    before = (root / "Pulumi.yaml").stat()
    release_setting.write(root, "1.0.0")
    after = (root / "Pulumi.yaml").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_failure_leaves_the_file_and_nothing_beside_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle of a deployment must not cost the configuration."""
    root = project(with_config("lockstep:release: 1.0.0"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InvalidInputError, match="No space left on device"):
        release_setting.write(root, "1.1.0")
    assert text_of(root) == with_config("lockstep:release: 1.0.0")
    assert [path.name for path in root.iterdir()] == ["Pulumi.yaml"]
