"""What every part of a deployment works with: the configuration, the regions, the records, and Pulumi."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep import aws
from lockstep.automation import StackOperations
from lockstep.config import Config
from lockstep.config.models import Site
from lockstep.config.naming import package_bucket_name
from lockstep.deployment_store import DeploymentStore
from lockstep.fleet import SiteFleet
from lockstep.site_probe import SiteProbe
from lockstep.stacks import dependencies


@dataclass(frozen=True)
class Context:
    """One application in all its regions, as one command sees it."""

    root: Path
    config: Config
    operations: StackOperations
    client: Callable[[str, str], Any] = aws.client

    @property
    def application(self) -> str:
        """The application's name."""
        return self.config.application

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site, in the order of the configuration."""
        return self.config.sites

    @property
    def regions(self) -> tuple[str, ...]:
        """The region of each site."""
        return tuple(site.region for site in self.sites)

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        """For each stack those that it needs."""
        return dependencies([site.name for site in self.sites])

    @cached_property
    def store(self) -> DeploymentStore:
        """The deployment record of every region."""
        return DeploymentStore(self.client, self.application, self.regions)

    @cached_property
    def fleets(self) -> Mapping[str, SiteFleet]:
        """The fleet of each site."""
        return {site.name: SiteFleet(self.client, self.application, site.name, site.region) for site in self.sites}

    @cached_property
    def probes(self) -> Mapping[str, SiteProbe]:
        """What asks each site at its own name."""
        return {
            site.name: SiteProbe(site.domain, self.config.health_check.path, https=self.config.https)
            for site in self.sites
        }

    @cached_property
    def account(self) -> str:
        """The AWS account's id. STS is asked in the first region that answers."""
        return aws.account_id(self.client, self.regions)

    @cached_property
    def buckets(self) -> Mapping[str, str]:
        """The package bucket of each region."""
        return {region: package_bucket_name(self.application, self.account, region) for region in self.regions}
