"""The package buckets of all sites."""

from collections.abc import Callable
from typing import Any

from lockstep import aws
from lockstep.config import Config
from lockstep.config.naming import package_bucket_name
from lockstep.publishing.bucket import ReleaseBucket

Client = Callable[[str, str], Any]


def open_buckets(client: Client, config: Config) -> dict[str, ReleaseBucket]:
    """The package bucket of each site's region, in the order of their names: in that order a release is claimed."""
    regions = sorted(site.region for site in config.sites)
    account = aws.account_id(client, regions)
    return {
        region: ReleaseBucket(client, region, package_bucket_name(config.application, account, region))
        for region in regions
    }
