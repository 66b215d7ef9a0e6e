"""Facts of fleets, made by hand."""

from lockstep.fleet import FleetFacts, Instance, Refresh

OLD, NEW = 1, 2


def instance(number: int, version: int = OLD, **changes: object) -> Instance:
    """A healthy instance; version 1 of the template is release 1.0.0, version 2 is 1.1.0."""
    release = {OLD: "1.0.0", NEW: "1.1.0"}[version]
    values: dict[str, object] = {
        "id": f"i-{number}",
        "release": release,
        "version": version,
        "lifecycle": "InService",
        "health": "Healthy",
        "target_state": "healthy",
    }
    return Instance(**{**values, **changes})  # type: ignore[arg-type]


def facts(*instances: Instance, version: int = OLD, desired: int = 2, refresh: Refresh | None = None) -> FleetFacts:
    """A group of two with `instances`."""
    return FleetFacts(
        group="group", template_id="lt-1", version=version, desired=desired, instances=instances, refresh=refresh
    )


def refresh(status: str = "InProgress", percentage: int = 0, id: str = "r-1") -> Refresh:
    """A refresh to the new version."""
    return Refresh(id=id, status=status, reason="", percentage=percentage, version=str(NEW))


BEFORE = facts(instance(1), instance(2))
AFTER = facts(instance(3, NEW), instance(4, NEW), version=NEW, refresh=refresh("Successful", 100))
