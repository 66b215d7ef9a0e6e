"""Addresses of machines and balancers."""

import ipaddress
import random
import subprocess
import sys

import pytest

from sandbox.api import addresses


def test_every_address_is_given_once_until_it_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise two sandboxes' machines answer for each other."""
    monkeypatch.setattr(random, "randrange", lambda low, high: 77)
    address = addresses.reserve()
    assert ipaddress.ip_address(address) in addresses.NETWORK
    with pytest.raises(OSError, match="all taken"):
        addresses.reserve()
    code = (
        "import random; random.randrange = lambda low, high: 77\nfrom sandbox.api import addresses; addresses.reserve()"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "all taken" in other.stderr
    addresses.release(address)
    assert addresses.reserve() == address
    addresses.release(address)
