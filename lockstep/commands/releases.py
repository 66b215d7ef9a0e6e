"""`lockstep releases`: what is published, where, and what is incomplete. Reads only."""

from typing import Annotated

import typer


def releases(
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> None:
    """List the releases by region, and what is incomplete."""
    from lockstep import aws, config, console, project
    from lockstep.deployment_store import DeploymentStore
    from lockstep.publishing.listing import list_releases
    from lockstep.publishing.regions import open_buckets

    settings = config.load(project.find_root(), project.GLOBAL_STACK)
    buckets = open_buckets(aws.client, settings)
    listed = list_releases(aws.client, buckets, settings.application)
    record = DeploymentStore(aws.client, settings.application, list(buckets)).current()
    settled = record.settled if record else None
    wanted = settings.sites[0].release
    if as_json:
        console.data_json(
            {"wanted": wanted, "settled": settled, "releases": {each.release: each.as_json() for each in listed}}
        )
        return
    console.table(
        ["release", *buckets, "digest", "files", "bytes", ""],
        [
            [
                each.release,
                *(each.state_in(region) for region in buckets),
                each.digest[:16] if each.digest else "",
                str(each.files),
                str(each.size),
                " ".join(word for word, one in (("wanted", wanted), ("settled", settled)) if one == each.release),
            ]
            for each in listed
        ],
    )
    for each in listed:
        for problem in each.problems:
            console.warning(problem)
