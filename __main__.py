"""The program of every stack: a site, or what joins the sites. The stack's name says which, config says the rest."""

import pulumi

from components.joint import join_sites
from components.references import read_sites
from components.site import build_site
from lockstep.config.program import read_config


async def main() -> pulumi.Inputs:
    """Declares what the running stack owns and returns its outputs.

    Configuration and other stacks' outputs are read before anything is declared: what is wrong there changes nothing.
    """
    config = read_config()
    if not config.is_global:
        return await build_site(config)
    regions = {site.name: site.region for site in config.sites}
    sites = await read_sites(regions, peered=config.holds_data)
    return join_sites(config, sites)


pulumi.run(main)
