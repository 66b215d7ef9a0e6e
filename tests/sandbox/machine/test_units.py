"""systemd's unit files: syntax, drop-ins, and what the sandbox refuses."""

import math
import signal
from pathlib import Path

import pytest

from sandbox.machine import dependencies, units
from sandbox.machine.errors import BootError
from sandbox.machine.filesystem import FileSystem

SERVICE = "[Service]\nExecStart=/usr/bin/python3 x.py\n"


def refused(text: str, name: str = "probe.service") -> str:
    with pytest.raises(BootError) as caught:
        units.parse(name, text)
    return str(caught.value)


def test_keys_that_repeat_add_up_and_an_empty_one_takes_back() -> None:
    """A drop-in that replaces ExecStart= does it with an empty one first."""
    unit = units.parse(
        "probe.service",
        "[Service]\nExecStart=/old\nExecStart=\nExecStart=/new\nEnvironment=A=1\nEnvironment=B=2\n",
    )
    assert unit.all("Service", "ExecStart") == ("/new",)
    assert unit.all("Service", "Environment") == ("A=1", "B=2")


def test_comments_and_continued_lines_are_read_as_systemd_does() -> None:
    """A command of several lines would be cut off after its first."""
    unit = units.parse(
        "probe.service",
        "# comment\n; another\n[Service]\n"
        "ExecStart=/usr/bin/python3 \\\n# in between\n  x.py \\\n  --all\n\nRestart = always\n",
    )
    assert unit.one("Service", "ExecStart").split() == ["/usr/bin/python3", "x.py", "--all"]
    assert unit.one("Service", "Restart") == "always"


def test_specifiers_are_expanded() -> None:
    """%n in a command would reach the service as it is."""
    unit = units.parse("probe.service", "[Service]\nExecStart=/bin/x %n %p %N %%i [%i]\n")
    assert unit.one("Service", "ExecStart") == "/bin/x probe.service probe probe %i []"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SERVICE + "[Path]\nPathExists=/x\n", "section [Path] of probe.service"),
        (SERVICE + "ExecReload=/bin/x\n", "ExecReload= in [Service] of probe.service"),
        (SERVICE + "WorkingDirectory=%h\n", "specifier %h in probe.service"),
        ("[Service]\n", "probe.service has 0 ExecStart="),
        (SERVICE + "ExecStart=/bin/y\n", "probe.service has 2 ExecStart="),
        (SERVICE + "Restart=on-abort\n", "Restart=on-abort in [Service]"),
        (SERVICE + "Type=notify\n", "Type=notify in [Service]"),
        (SERVICE + "KillMode=process\n", "KillMode=process in [Service]"),
        (SERVICE + "StandardOutput=file:/var/log/x\n", "StandardOutput=file:/var/log/x in [Service]"),
        (SERVICE + "KillSignal=SIGNOTHING\n", "SIGNOTHING of probe.service isn't the name of a signal"),
        (SERVICE + "RestartSec=soon\n", "RestartSec=soon of probe.service isn't a span of time"),
        (SERVICE + "[Unit]\nStartLimitBurst=x\n", "StartLimitBurst=x of probe.service isn't a number"),
        ("ExecStart=/bin/x\n", "neither a section nor KEY=VALUE"),
        (SERVICE + "nonsense\n", "'nonsense' is neither a section nor KEY=VALUE"),
    ],
)
def test_what_the_sandbox_does_not_do_is_refused_by_unit_section_and_key(text: str, expected: str) -> None:
    """Ignored, the service would behave otherwise than on AWS."""
    assert expected in refused(text)


def test_sections_and_keys_for_other_programs_are_left_alone() -> None:
    """systemd.unit(5): what begins X- is for others."""
    units.parse("probe.service", SERVICE + "X-Note=1\n[X-Other]\nAnything=1\n")


def test_other_kinds_of_units_are_refused() -> None:
    """A timer that never fires would look started."""
    assert "no units of the kind .timer" in refused("[Timer]\nOnBootSec=1\n", "probe.timer")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5.0), ("1.5s", 1.5), ("2min 30s", 150.0), ("500ms", 0.5), ("1h", 3600.0), ("infinity", math.inf), ("", 7.0)],
)
def test_spans_of_time_are_read_as_systemd_does(text: str, seconds: float) -> None:
    """A service with 2min would be killed after 2 seconds."""
    unit = units.parse("probe.service", SERVICE + f"TimeoutStopSec={text}\n")
    assert unit.seconds("Service", "TimeoutStopSec", 7.0) == seconds


def test_a_signal_is_known_by_its_name() -> None:
    """KillSignal= decides how a service is asked to end."""
    assert units.parse("probe.service", SERVICE).stop_signal == signal.SIGTERM
    assert units.parse("probe.service", SERVICE + "KillSignal=SIGINT\n").stop_signal == signal.SIGINT


def test_the_administrators_unit_hides_the_packages_and_drop_ins_add_to_it(tmp_path: Path) -> None:
    """write_files changes a packaged service through these."""
    system = FileSystem(tmp_path)
    system.write("/usr/lib/systemd/system/probe.service", b"[Service]\nExecStart=/packaged\n")
    system.write("/usr/lib/systemd/system/probe.service.d/10-a.conf", b"[Service]\nEnvironment=A=hidden\n")
    system.write("/etc/systemd/system/probe.service.d/10-a.conf", b"[Service]\nEnvironment=A=1\n")
    system.write("/etc/systemd/system/probe.service.d/20-b.conf", b"[Service]\nExecStart=\nExecStart=/dropped-in\n")
    unit = units.load(system, "probe.service")
    assert unit is not None
    assert unit.all("Service", "Environment") == ("A=1",)
    assert unit.one("Service", "ExecStart") == "/dropped-in"
    system.write("/etc/systemd/system/probe.service", b"[Service]\nExecStart=/own\nEnvironment=B=2\n")
    system.locate("/etc/systemd/system/probe.service.d/20-b.conf").unlink()
    unit = units.load(system, "probe.service")
    assert unit is not None
    assert unit.one("Service", "ExecStart") == "/own"
    assert units.load(system, "other.service") is None


def test_masked_units_and_templates_are_refused(tmp_path: Path) -> None:
    """A masked service doesn't start on AWS either."""
    system = FileSystem(tmp_path)
    folder = system.locate("/etc/systemd/system")
    folder.mkdir(parents=True)
    (folder / "probe.service").symlink_to("/dev/null")
    with pytest.raises(BootError, match=r"Unit probe\.service is masked"):
        units.load(system, "probe.service")
    with pytest.raises(BootError, match="templates"):
        units.load(system, "probe@1.service")


def ordered(**texts: str) -> list[str]:
    """The names of services with these [Unit] sections, in the order of their start."""
    needed = {
        f"{name}.service": units.parse(f"{name}.service", f"[Unit]\n{text}\n{SERVICE}") for name, text in texts.items()
    }
    return [unit.stem for unit in dependencies.in_order(needed)]


def test_units_start_in_their_order() -> None:
    """A service would start before what it needs is there."""
    assert ordered(a="After=b.service", b="After=c.service", c="") == ["c", "b", "a"]
    assert ordered(a="Before=b.service", b="Before=c.service", c="") == ["a", "b", "c"]
    assert ordered(a="Requires=b.service", b="") == ["b", "a"]
    assert ordered(a="After=elsewhere.service network-online.target", b="") == ["b", "a"]


def test_units_that_wait_for_each_other_are_refused() -> None:
    """systemd drops one of the two at random; a package shouldn't depend on which."""
    with pytest.raises(BootError, match=r"a\.service, b\.service wait for each other"):
        ordered(a="After=b.service", b="After=a.service")


def test_a_socket_comes_before_its_service() -> None:
    """systemd.socket(5): sockets are ordered before their services, without a word in the file."""
    needed = {
        "a.service": units.parse("a.service", SERVICE),
        "b.socket": units.parse("b.socket", "[Socket]\nListenStream=1\nService=a.service\n"),
    }
    for names in (list(needed), list(reversed(needed))):
        assert [unit.name for unit in dependencies.in_order({name: needed[name] for name in names})] == [
            "b.socket",
            "a.service",
        ]
