"""What mutants there are, what each is, and which reasons hold."""

import ast
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.campaigns import mutants, survivors
from tests.conftest import ROOT

SOURCE = """
import pulumi
from pulumi_aws import s3

def build(args):
    bucket = s3.Bucket("packages-bucket", bucket=args.name, opts=pulumi.ResourceOptions(protect=True))
    s3.BucketVersioning("v", bucket=bucket.bucket, versioning_configuration={"status": "Enabled"})
    for site in args.sites:
        s3.BucketPolicy(f"{site}-policy", bucket=site, opts=pulumi.ResourceOptions(depends_on=[bucket, site]))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "packages.py").write_text(SOURCE)
    return tmp_path


def source(checkout: Path, case: str) -> str:
    return mutants.mutant(checkout, case).source


def test_every_resource_argument_and_entry_is_a_case(checkout: Path) -> None:
    """What isn't found is never tried."""
    assert mutants.cases(checkout) == {
        "packages": [
            "packages s3.Bucket(packages-bucket) removed",
            "packages s3.Bucket(packages-bucket) bucket removed",
            "packages s3.Bucket(packages-bucket) opts removed",
            "packages s3.Bucket(packages-bucket) opts.protect removed",
            "packages s3.Bucket(packages-bucket) opts.protect = False",
            "packages s3.BucketVersioning(v) removed",
            "packages s3.BucketVersioning(v) bucket removed",
            "packages s3.BucketVersioning(v) versioning_configuration removed",
            "packages s3.BucketVersioning(v) versioning_configuration.status removed",
            "packages s3.BucketVersioning(v) versioning_configuration.status = 'Disabled'",
            "packages build each args.sites fewer",
            "packages s3.BucketPolicy(policy) removed",
            "packages s3.BucketPolicy(policy) bucket removed",
            "packages s3.BucketPolicy(policy) opts removed",
            "packages s3.BucketPolicy(policy) opts.depends_on removed",
            "packages s3.BucketPolicy(policy) opts.depends_on.0 removed",
            "packages s3.BucketPolicy(policy) opts.depends_on.1 removed",
        ]
    }


def test_a_resource_goes_with_what_it_is_given_to(checkout: Path) -> None:
    """A program that names what isn't there is refused by Python, which proves nothing about policies."""
    changed = source(checkout, "packages s3.Bucket(packages-bucket) removed")
    assert "s3.Bucket(" not in changed
    assert "s3.BucketVersioning('v', versioning_configuration={'status': 'Enabled'})" in changed
    assert "depends_on=[site]" in changed


@pytest.mark.parametrize(
    ("case", "there"),
    [
        ("packages s3.Bucket(packages-bucket) opts.protect = False", "protect=False"),
        ("packages s3.BucketVersioning(v) versioning_configuration.status = 'Disabled'", "{'status': 'Disabled'}"),
        ("packages build each args.sites fewer", "for site in list(args.sites)[1:]:"),
        ("packages s3.BucketPolicy(policy) removed", "for site in args.sites:\n        pass"),
    ],
)
def test_a_mutant_is_the_program_but_for_one_thing(checkout: Path, case: str, there: str) -> None:
    """A mutant of two things proves neither."""
    assert there in source(checkout, case)


def test_a_case_that_is_gone_is_said(checkout: Path) -> None:
    """A result under a name that nothing has would stand there for ever."""
    with pytest.raises(LookupError):
        mutants.mutant(checkout, "packages s3.Bucket(other) removed")


def test_every_mutant_of_the_program_is_python_and_differs() -> None:
    """A mutant that is no program, or is the program, would count as rejected, or as survived."""
    cases = [case for found in mutants.cases(ROOT).values() for case in found]
    assert len(cases) > 500
    assert len(set(cases)) == len(cases)
    unchanged = {
        path.name: ast.unparse(ast.parse(path.read_text())) + "\n" for path in (ROOT / "components").glob("*.py")
    }
    # One of ten, as each is made anew.
    for case in cases[::10]:
        made = mutants.mutant(ROOT, case)
        ast.parse(made.source)
        assert made.source != unchanged[made.file], case


def test_every_reason_is_about_a_case_that_exists() -> None:
    """A reason that is left over would let through the next thing of that name."""
    cases = [case for found in mutants.cases(ROOT).values() for case in found]
    unused = [pattern for pattern in survivors.SURVIVORS if not any(fnmatchcase(case, pattern) for case in cases)]
    assert unused == []
