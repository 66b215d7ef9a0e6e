"""Where the checkers of a check are: region and address, as GetHealthCheckStatus tells them."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

CHECKERS: Final = 16
"""Checkers of each check. AWS says no number; these are as many as it has published address ranges for."""

# Route 53 API Reference, GetCheckerIpRanges; ip-ranges.json, service ROUTE53_HEALTHCHECKS. Two in each region.
_RANGES: Final = {
    "us-east-1": ("54.243.31.192/26", "107.23.255.0/26"),
    "us-west-1": ("54.183.255.128/26", "54.241.32.64/26"),
    "us-west-2": ("54.244.52.192/26", "54.245.168.0/26"),
    "eu-west-1": ("54.228.16.0/26", "176.34.159.192/26"),
    "ap-southeast-1": ("54.251.31.128/26", "54.255.254.192/26"),
    "ap-southeast-2": ("54.252.79.128/26", "54.252.254.192/26"),
    "ap-northeast-1": ("54.248.220.0/26", "54.250.253.192/26"),
    "sa-east-1": ("54.232.40.64/26", "177.71.207.128/26"),
}


@dataclass(frozen=True)
class Place:
    """Where one checker is."""

    region: str
    address: str


def places(regions: Sequence[str] = ()) -> tuple[Place, ...]:
    """Those of a check's checkers, by their number; spread over `regions`, all of them if there is none."""
    known = [region for region in _RANGES if region in regions] or list(_RANGES)
    return tuple(_place(known[number % len(known)], number // len(known)) for number in range(CHECKERS))


def _place(region: str, turn: int) -> Place:
    ranges = _RANGES[region]
    block = ipaddress.IPv4Network(ranges[turn % len(ranges)])
    return Place(region, str(block[1 + turn // len(ranges)]))
