"""Every resource type that the sandbox's provider knows, by token."""

from collections.abc import Mapping

from sandbox.provider.resources import (
    alarm,
    balancer,
    bucket,
    certificate,
    dns,
    fleet,
    gateways,
    iam,
    logs,
    network,
    ssm,
)
from sandbox.provider.schema import ResourceType

_MODULES = (alarm, balancer, bucket, certificate, dns, fleet, gateways, iam, logs, network, ssm)

RESOURCES: Mapping[str, ResourceType] = {
    item.token: item for module in _MODULES for item in vars(module).values() if isinstance(item, ResourceType)
}
