"""What clients met while a region was lost, computed from their requests."""

import pytest

from tools.clients import Request
from tools.failover import Failover, measure, picture

HERE, THERE = "eu-west-1", "eu-central-1"


def request(client: int, began: float, *, good: bool = True, region: str = HERE) -> Request:
    failure = "" if good else "timed out"
    return Request(client=client, began=began, ended=began + 0.1, region="" if failure else region, failure=failure)


def test_the_first_and_the_last_failure_and_the_way_back() -> None:
    """Times are of when a request was sent, in AWS's seconds: ten pass in one here."""
    requests = [
        request(0, 0.5, good=False),  # Before it was lost: none of this failover's.
        request(0, 1.0),
        request(0, 2.0, good=False),
        request(0, 4.0, good=False),
        request(0, 5.0),
        request(1, 2.5),
        request(1, 3.0, good=False),
        request(1, 3.5),
    ]
    found = measure(requests, since=1.0, until=6.0, clients=4, speed=10)
    # Client 0 was without from 2 to 5, client 1 from 3 to 3.5; four of five requests between 2 and 4 are counted.
    assert found == Failover(first=10.0, last=30.0, back_99=40.0, lost=3.5 * 10 / 4, failed=3, share=3 / 5)


def test_a_client_that_is_not_back_at_the_end_is_not_back() -> None:
    """It would count as served, and a demo in which traffic never moved would pass."""
    found = measure([request(0, 1.0, good=False)], since=0.0, until=9.0, clients=1, speed=1)
    assert (found.back_99, found.lost) == (9.0, 8.0)


def test_without_a_failure_there_is_nothing_to_tell() -> None:
    """Zero seconds would look like a perfect failover, where perhaps nothing was lost."""
    found = measure([request(0, 1.0)], since=0.0, until=9.0, clients=1, speed=1)
    assert (found.first, found.last, found.back_99, found.lost) == (None, None, None, 0.0)


@pytest.mark.parametrize(("clients", "served"), [(100, 99), (24, 24)])
def test_99_per_cent_are_99_of_100(clients: int, served: int) -> None:
    """The hundredth may stay away for an hour and change nothing; one of 24 may not."""
    requests = [request(number, 0.0, good=False) for number in range(clients)]
    requests += [request(number, number + 1.0) for number in range(clients)]
    assert measure(requests, since=0.0, until=200.0, clients=clients, speed=1).back_99 == served


def test_the_picture_shows_who_answered_when() -> None:
    """Shares, so that a client that waits in vain, and so asks less, doesn't look like less of a failure."""
    requests = [request(0, 0.5), request(1, 0.6, region=THERE)]
    requests += [request(0, 1.5, good=False), request(1, 2.5, region=THERE)]
    marks = {"lost": 1.0, "healed": 2.2}
    lines = picture(requests, [HERE, THERE], marks, spans=[(0.0, 4.0)], speed=6, columns=4)
    assert lines == [
        "              requests by who answered; one column is 6.0 s",
        "   eu-west-1 |▄   |",
        "eu-central-1 |▄ █ |",
        "   no answer | █  |",
        "               ^^",
        "               lost healed",
    ]


def test_the_picture_leaves_out_what_is_between() -> None:
    """An operator's commands in between take longer than the failover itself."""
    requests = [request(0, 0.5), request(0, 9.5, region=THERE)]
    lines = picture(requests, [HERE, THERE], {"back": 9.0}, spans=[(0.0, 2.0), (8.0, 10.0)], speed=1, columns=4)
    assert lines[1:] == [
        "   eu-west-1 |█ ┆  |",
        "eu-central-1 |  ┆ █|",
        "   no answer |  ┆  |",
        "                  ^",
        "                  back",
    ]
