"""Where a balancer listens."""

from typing import Final

PORT_OFFSET: Final = 8000
"""Balancers listen on their listener's port and this, as ports below 1024 are the system's."""
