"""Chance is the same in each run: when a checker probes is drawn by lot."""

import random

import pytest


@pytest.fixture(autouse=True)
def _same_chance() -> None:
    random.seed(1)
