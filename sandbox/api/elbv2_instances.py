"""Which instance is behind a target."""

from typing import Any


def instance_of(group: Any, target_id: str) -> Any | None:
    """The instance behind a target: of an `ip` group the one that runs at the address, None if nothing does."""
    if group.target_type == "instance":
        return group.ec2_backend.get_instance_by_id(target_id)
    for reservation in group.ec2_backend.reservations.values():
        for instance in reservation.instances:
            if instance.vpc_id == group.vpc_id and instance.private_ip == target_id and instance.state == "running":
                return instance
    return None
