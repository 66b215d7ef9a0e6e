"""The list of what the sandbox changes in moto: complete, explained and proved, and for one version of moto only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.api import changes
from sandbox.api.change import Change, replace, wrap

TESTS = Path(__file__).parents[2]


def marked_names(source: str) -> Iterator[str]:
    """The names in `@pytest.mark.change("...")` on tests, on classes of tests, and in `pytestmark`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            marks: list[ast.expr] = node.decorator_list
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            marks = node.decorator_list
        elif isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["pytestmark"]:
            marks = [node.value]
        else:
            continue
        for call in (inner for mark in marks for inner in ast.walk(mark) if isinstance(inner, ast.Call)):
            if ast.unparse(call.func) == "pytest.mark.change" and isinstance(call.args[0], ast.Constant):
                yield str(call.args[0].value)


@pytest.fixture(scope="module")
def proved() -> set[str]:
    return {name for path in TESTS.rglob("test_*.py") for name in marked_names(path.read_text())}


def test_every_change_has_a_test(proved: set[str]) -> None:
    """A change without a test is silently lost with the next version of moto."""
    assert {change.name for change in changes.CHANGES} - proved == set()


def test_every_marked_test_proves_a_change_that_exists(proved: set[str]) -> None:
    """A name with a typing error proves nothing."""
    assert proved - {change.name for change in changes.CHANGES} == set()


def test_change_names_are_unique_and_name_the_service_first() -> None:
    """The name is how a change is found from its test and its documentation."""
    names = [change.name for change in changes.CHANGES]
    assert names
    assert sorted(names) == sorted(set(names))
    assert [name for name in names if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)] == []


def test_every_change_says_why() -> None:
    """Without the reason nobody can tell whether a change is still needed."""
    assert [change.name for change in changes.CHANGES if len(change.why.split()) < 8] == []


def test_another_version_of_moto_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The changes reach into moto's inside: on another version some would be wrong without an error."""
    applied: list[str] = []
    change = Change(name="core-example", why="", apply=lambda: applied.append("core-example"))
    monkeypatch.setattr(changes, "_installed", False)
    monkeypatch.setattr(changes, "CHANGES", (change,))
    monkeypatch.setattr(changes, "version", lambda _: "9.9.9")
    with pytest.raises(RuntimeError, match=r"moto 9\.9\.9 .* 5\.2\.5.*make setup"):
        changes.install()
    assert applied == []


def test_changes_are_applied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper around a wrapper does its work twice."""
    applied: list[str] = []
    change = Change(name="core-example", why="", apply=lambda: applied.append("core-example"))
    monkeypatch.setattr(changes, "_installed", False)
    monkeypatch.setattr(changes, "CHANGES", (change,))
    changes.install()
    changes.install()
    assert applied == ["core-example"]


class Backend:
    def describe(self, name: str) -> str:
        """What moto does."""
        return f"moto's {name}"


def test_a_wrapper_gets_the_original_and_the_arguments() -> None:
    """Changes build on what moto does."""

    class Own(Backend):
        pass

    wrap(Own, "describe", lambda original, self, name: original(self, name).upper())
    assert Own().describe("zone") == "MOTO'S ZONE"
    assert Backend().describe("zone") == "moto's zone"


def test_a_replacement_takes_the_method_s_place() -> None:
    """Some of what moto does can't be built upon."""

    class Own(Backend):
        pass

    replace(Own, "describe", lambda self, name: f"AWS's {name}")
    assert Own().describe("zone") == "AWS's zone"


@pytest.mark.parametrize("put_in_place", [wrap, replace])
def test_a_method_that_moto_no_longer_has_is_an_error(put_in_place: object) -> None:
    """A change of a method that is never called changes nothing, and nobody would know."""
    assert callable(put_in_place)
    with pytest.raises(AttributeError, match="describe_all"):
        put_in_place(Backend, "describe_all", lambda *_: None)
