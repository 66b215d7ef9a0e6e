"""Which calls of a command the campaign kills it at."""

from collections.abc import Sequence

from tests.campaigns.cases import Call, Case, changes, count, each, on_the_way_back, without_alike

A, B = "eu-central-1", "eu-west-1"


def calls(*texts: str) -> list[Call]:
    """`REGION SERVICE OPERATION` each."""
    return [dict(zip(("region", "service", "operation"), text.split(), strict=True)) for text in texts]


def of(cases: Sequence[Case], operation: str) -> list[str]:
    return [
        f"{'after' if case.after else 'before'} {case.region} {case.nth}"
        for case in cases
        if case.operation == operation
    ]


def test_a_case_is_what_its_name_says() -> None:
    """The file has names only; another call would be tried under a name that is there already."""
    case = Case("deploy", A, "ssm", "PutParameter", 3, after=True)
    assert Case.parse(str(case)) == case


def test_changes_are_tried_before_and_after_each_and_reads_once() -> None:
    """A change that isn't tried is a state that nobody has looked at."""
    cases = each("publish", count(calls(*[f"{A} s3 PutObject"] * 2, *[f"{A} s3 HeadObject"] * 2)))
    assert of(cases, "PutObject") == [f"before {A} 1", f"after {A} 1", f"before {A} 2", f"after {A} 2"]
    assert of(cases, "HeadObject") == [f"before {A} 1"]


def test_of_a_record_all_calls_are_tried_the_last_time_and_one_of_each_state_before() -> None:
    """Some regions have it or none, or some or all: both must be there, at each writing."""
    written = calls(*[f"{region} ssm PutParameter" for region in (A, B)] * 2)
    cases = without_alike(each("deploy", count(written)))
    assert of(cases, "PutParameter") == [
        f"before {A} 1",
        f"before {A} 2",
        f"after {A} 2",
        f"after {B} 1",
        f"before {B} 2",
        f"after {B} 2",
    ]


def test_of_a_files_parts_the_first_and_the_last_are_tried() -> None:
    """None or one has arrived, all but one, or all: those between leave nothing else."""
    cases = without_alike(each("publish-large", count(calls(*[f"{A} s3 UploadPart"] * 4))))
    assert of(cases, "UploadPart") == [f"before {A} 1", f"after {A} 1", f"before {A} 4", f"after {A} 4"]


def test_on_the_way_back_what_was_done_ahead_is_not_tried() -> None:
    """That is what `deploy` is about, and a deployment that fails takes longer."""
    made = calls(
        f"{B} ssm PutParameter",
        f"{B} autoscaling StartInstanceRefresh",
        f"{B} ssm PutParameter",
        f"{B} autoscaling DescribeInstanceRefreshes",
        f"{B} autoscaling RollbackInstanceRefresh",
        f"{B} autoscaling StartInstanceRefresh",
        f"{B} ssm PutParameter",
    )
    cases = on_the_way_back("undo", made)
    assert of(cases, "StartInstanceRefresh") == [f"before {B} 2", f"after {B} 2"]
    assert of(cases, "RollbackInstanceRefresh") == [f"before {B} 1", f"after {B} 1"]
    assert of(cases, "PutParameter") == [f"before {B} 2", f"before {B} 3", f"after {B} 3"]
    assert of(cases, "DescribeInstanceRefreshes") == []


def test_the_lease_is_not_tried_again_in_every_command() -> None:
    """Taking and giving it back is the same in all of them."""
    assert changes("settle", calls(f"{A} s3 PutObject", f"{A} s3 DeleteObject")) == []
