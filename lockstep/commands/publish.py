"""`lockstep publish`: the packages of a release into every region.

What is published is never changed, only completed. Broken off at any point, the same command goes on where it was.
"""

from pathlib import Path
from typing import Annotated

import typer


def publish(
    version: Annotated[str, typer.Argument(help="The release, for example 1.0.0.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder with the RPMs, and anything else.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go on without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> None:
    """Upload a release to every region's bucket, and record it once every region has all of it."""
    from lockstep import aws, config, console, project
    from lockstep.config.models import check_release_name
    from lockstep.publishing import package_set
    from lockstep.publishing.existing import look
    from lockstep.publishing.progress import bytes_progress
    from lockstep.publishing.publish import Publisher
    from lockstep.publishing.regions import open_buckets

    check_release_name(version)
    settings = config.load(project.find_root(), project.GLOBAL_STACK)
    files = package_set.find(folder)
    buckets = open_buckets(aws.client, settings)
    existing = look(aws.client, buckets, settings.application, version)
    publisher = Publisher(aws.client, settings.application, version, buckets, existing, say=console.warning)
    for warning in publisher.prepare(files):
        console.warning(warning)
    for line in existing.plan(files):
        console.progress(line)
    if not existing.is_complete:
        console.confirm(f"Publish release {version} in {len(buckets)} regions?", yes=yes)
    with bytes_progress(buckets, sum(file.size for file in files)) as on_bytes:
        publisher.on_bytes = on_bytes
        published = publisher.publish(files)
    if as_json:
        console.data_json(published.as_json())
    else:
        console.table(
            ["region", "uploaded", "present", "bytes", "record"],
            [
                [region, f"{each.uploaded}", f"{each.present}", f"{each.sent_bytes}", each.as_json()["record"]]
                for region, each in published.regions.items()
            ],
        )
    what = "was published already, and is complete" if published.unchanged else "is published"
    console.progress(f"release {version} {what}: digest {published.manifest.digest[:16]}; `lockstep deploy {version}`")
