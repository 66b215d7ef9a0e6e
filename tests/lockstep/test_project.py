"""Finding the project, and what is read from Pulumi.yaml before the program's own configuration."""

from pathlib import Path

import pytest

from lockstep import project
from lockstep.errors import InvalidInputError

CONFIG = "config:\n  lockstep:sites: [primary, secondary]\n  lockstep:zone: example.com\n"


def write_project(
    folder: Path, config: str = CONFIG, stacks: tuple[str, ...] = ("primary", "secondary", "global")
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Pulumi.yaml").write_text(f"name: lockstep\nruntime: python\n{config}")
    for stack in stacks:
        (folder / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    return folder


def test_the_project_is_found_from_a_folder_inside_it(tmp_path: Path) -> None:
    """People run commands from where they edit, not from the root."""
    root = write_project(tmp_path / "checkout")
    inside = root / "docs" / "adr"
    inside.mkdir(parents=True)
    assert project.find_root(inside, {}) == root


def test_another_pulumi_project_on_the_way_is_passed_over(tmp_path: Path) -> None:
    """The policy pack and the examples have a Pulumi.yaml of their own."""
    root = write_project(tmp_path / "checkout")
    inner = root / "examples"
    inner.mkdir()
    (inner / "Pulumi.yaml").write_text("name: other\nruntime: python\n")
    assert project.find_root(inner, {}) == root


def test_the_variable_names_the_project_from_anywhere(tmp_path: Path) -> None:
    """A cron job has no checkout as its working folder."""
    root = write_project(tmp_path / "checkout")
    assert project.find_root(tmp_path, {"LOCKSTEP_PROJECT": str(root)}) == root


def test_a_variable_that_names_no_project_is_an_error_even_inside_one(tmp_path: Path) -> None:
    """Falling back to the working folder would act on another project than the one that was named."""
    root = write_project(tmp_path / "checkout")
    with pytest.raises(InvalidInputError, match=r"LOCKSTEP_PROJECT is .*absent"):
        project.find_root(root, {"LOCKSTEP_PROJECT": str(tmp_path / "absent")})


def test_outside_of_a_project_the_error_says_where_it_looked(tmp_path: Path) -> None:
    """The next step, `cd` or a variable, depends on where the command ran."""
    with pytest.raises(InvalidInputError, match=str(tmp_path)) as caught:
        project.find_root(tmp_path, {})
    assert "LOCKSTEP_PROJECT" in caught.value.remedy


@pytest.mark.parametrize("key", ["lockstep:{}", "{}"])
@pytest.mark.parametrize("form", ["{value}", "{{value: {value}}}", "{{default: {value}}}"])
def test_every_form_that_pulumi_takes_for_a_project_value_is_read(tmp_path: Path, key: str, form: str) -> None:
    """Pulumi accepts them all, so the sandbox must not come up with other sites than the program has."""
    lines = [
        f"  {key.format('sites')}: {form.format(value='[a, b, c]')}",
        f"  {key.format('zone')}: {form.format(value='example.org.')}",
    ]
    root = write_project(tmp_path, "config:\n" + "\n".join(lines) + "\n", ("a", "b", "c", "global"))
    found = project.load(root)
    assert found.sites == ("a", "b", "c")
    assert found.stacks == ("a", "b", "c", "global")
    assert found.zone == "example.org"


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ("", "lockstep:sites is not set"),
        ("config:\n  lockstep:sites: primary\n", "lockstep:sites is 'primary'"),
        ("config:\n  lockstep:sites: []\n", r"lockstep:sites is \[\]"),
        ("config:\n  lockstep:sites: [primary, primary]\n", "names 'primary' twice"),
        ("config:\n  lockstep:sites: [primary, global]\n", "'global', which is the stack that joins"),
        ("config:\n  lockstep:sites: [../evil]\n", "names '../evil'"),
        ("config:\n  lockstep:sites: [1]\n", "names 1,"),
        ("config:\n  lockstep:sites: [primary, third]\n", "'third' has no file Pulumi.third.yaml"),
        (CONFIG.replace("example.com", "''"), "lockstep:zone is ''"),
    ],
)
def test_wrong_sites_and_zones_are_named_with_their_value(tmp_path: Path, config: str, complaint: str) -> None:
    """A wrong name ends up as a stack, a path and an argument."""
    root = write_project(tmp_path, config)
    with pytest.raises(InvalidInputError, match=complaint):
        project.load(root)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """One error per run makes a round of guessing out of one edit."""
    root = write_project(tmp_path, "config:\n  lockstep:sites: [third, fourth]\n")
    with pytest.raises(InvalidInputError) as caught:
        project.load(root)
    assert all(part in caught.value.message for part in ("'third'", "'fourth'", "lockstep:zone is not set"))


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    """Otherwise a stray tab in Pulumi.yaml shows as a traceback of the YAML library."""
    (tmp_path / "Pulumi.yaml").write_text("name: [lockstep\n")
    with pytest.raises(InvalidInputError, match=r"Pulumi\.yaml can't be read as YAML: line 2: expected"):
        project.find_root(tmp_path, {})
