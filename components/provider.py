"""The provider of a stack."""

from pulumi_aws import Provider

from lockstep.config import Config


def provider_of(config: Config) -> Provider:
    """The stack's one provider: its region is config, never the environment's, and it tags all that it makes."""
    return Provider("aws", region=config.region, default_tags={"tags": config.tags})
