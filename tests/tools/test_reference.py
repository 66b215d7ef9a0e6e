"""The generated pages are the ones that the code makes."""

import re

import pytest
import yaml

from lockstep.config.keys import KEYS
from lockstep.errors import ExitCode
from tools import reference


@pytest.mark.parametrize("name", reference.PAGES)
def test_committed_page_is_up_to_date(name: str) -> None:
    """A page that lags behind tells people options and limits that aren't there."""
    assert (reference.DOCS / name).read_text() == reference.PAGES[name](), "run `make docs`"


def test_every_exit_code_is_explained() -> None:
    """Scripts branch on these numbers."""
    assert set(reference.EXIT_CODES) == set(ExitCode)


def test_a_default_is_written_as_the_files_have_it() -> None:
    """What is copied from the page into Pulumi.yaml must mean the same there."""
    written = dict(re.findall(r"^\| `([^`]+)` \|.*\| `([^`]*)` \|$", reference.configuration(), re.MULTILINE))
    defaults = {key.full_name: key.default for key in KEYS} | {
        f"{key.full_name}.{field.alias}": field.default
        for key in KEYS
        if key.model is not None
        for field in key.model.model_fields.values()
    }
    assert "lockstep:fleet.bakeSeconds" in written
    for name, text in written.items():
        read = yaml.safe_load(text)
        default = defaults[name]
        assert str(read) == str(list(default) if isinstance(default, tuple) else default), name
        assert isinstance(read, bool) == isinstance(defaults[name], bool), name


def test_every_argument_of_a_command_is_shown() -> None:
    """A command that needs a release looked as if it took none."""
    assert "## `lockstep publish VERSION DIR`" in reference.cli()
    assert "## `lockstep deploy [VERSION]`" in reference.cli()
