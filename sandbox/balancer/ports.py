"""Where a balancer listens."""

from typing import Final

PORT_OFFSET: Final = 8000
"""Balancers listen on their listener's port and this, as ports below 1024 are the system's."""

HEALTH_CHECKERS: Final = "127.53.0.1"
"""The loopback address that Route 53's health checkers connect from, by which a balancer tells them from clients. No
machine and no balancer has it: `sandbox.api.addresses`."""
