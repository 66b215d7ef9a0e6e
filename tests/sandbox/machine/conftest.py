"""A bucket and machines, real processes, for the tests of a machine."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.machine.bucket import Bucket, serving
from tests.sandbox.machine.machine_process import MachineProcess, way_to_s3

StartMachine = Callable[..., MachineProcess]


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """An empty bucket in the machines' region."""
    with serving() as bucket:
        yield bucket


@pytest.fixture
def start_machine(tmp_path: Path, bucket: Bucket) -> Iterator[StartMachine]:
    """`start_machine(user_data)`: starts a machine with a way to `bucket`; all of them are ended after the test."""
    numbers = itertools.count()
    with contextlib.ExitStack() as machines:

        def start(
            user_data: str | Mapping[str, Any] | None, s3: Mapping[str, Any] | None = None, **options: Any
        ) -> MachineProcess:
            root = tmp_path / f"machine{next(numbers)}"
            root.mkdir()
            machine = MachineProcess(root, user_data, s3 or way_to_s3(bucket.url), **options)
            machines.callback(machine.close)
            return machine

        yield start
