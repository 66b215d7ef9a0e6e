"""What runs behind the API's records: machines, balancers, groups that replace what is unhealthy, refreshes.

The tests of requests do without it: there instances are records, and nothing is started.
"""

from typing import Final

from moto.autoscaling.models import autoscaling_backends

from sandbox.api import (
    autoscaling_members,
    backends,
    balancers,
    cloudwatch_turn,
    ec2_launch,
    faults,
    instance_refresh,
    machines,
    metric_checks,
    outages,
    zone_feed,
)
from sandbox.api.workers import Worker

TURN_SECONDS: Final = 0.2


def _settle_groups() -> None:
    for backend in backends.alive(autoscaling_backends):
        autoscaling_members.settle_all(backend)


groups = Worker("groups", TURN_SECONDS, _settle_groups)
WORKERS: Final = (
    machines.worker,
    balancers.worker,
    instance_refresh.worker,
    groups,
    cloudwatch_turn.worker,
    metric_checks.worker,
    zone_feed.worker,
)


def start(endpoint_url: str) -> None:
    """Have machines read their packages from the API at `endpoint_url`, and begin."""
    machines.serve_from(endpoint_url)
    autoscaling_members.use_health_of(balancers.target_state, machines.is_impaired)
    ec2_launch.use_capacity(faults.lacks_capacity)
    balancers.go_live(True)
    for worker in WORKERS:
        worker.start()


def stop() -> None:
    """End. Processes are ended by `children.stop_all`."""
    for worker in WORKERS:
        worker.stop()
    # What stands still wouldn't hear that it is to end.
    outages.heal_all()
    balancers.go_live(False)
    machines.serve_from("")
