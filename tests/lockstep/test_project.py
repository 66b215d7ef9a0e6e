"""Finding the project that a command works on."""

from pathlib import Path

import pytest

from lockstep import project
from lockstep.errors import InvalidInputError


def write_project(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Pulumi.yaml").write_text("name: lockstep\nruntime: python\n")
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


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    """Otherwise a stray tab in Pulumi.yaml shows as a traceback of the YAML library."""
    (tmp_path / "Pulumi.yaml").write_text("name: [lockstep\n")
    with pytest.raises(InvalidInputError, match=r"Pulumi\.yaml can't be read as YAML: line 2: expected"):
        project.find_root(tmp_path, {})
