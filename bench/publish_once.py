"""Publishes once to some regions and tells what it read: `python -m bench.publish_once FOLDER REGION...`.

A process of its own, as the system counts by process. What is read before, modules for one, isn't counted.
"""

import json
import sys
from pathlib import Path

from lockstep import aws
from lockstep.publishing import package_set
from lockstep.publishing.bucket import ReleaseBucket
from lockstep.publishing.existing import look
from lockstep.publishing.publish import Publisher

APPLICATION = "orders"
RELEASE = "1.0.0"


def main(folder: str, *regions: str) -> None:
    """Print the bytes that were read of files as JSON."""
    buckets = {region: ReleaseBucket(aws.client, region, f"{APPLICATION}-{region}") for region in regions}
    existing = look(aws.client, buckets, APPLICATION, RELEASE)
    before = read_bytes()
    files = package_set.find(Path(folder))
    Publisher(aws.client, APPLICATION, RELEASE, buckets, existing).publish(files)
    json.dump({"read": read_bytes() - before}, sys.stdout)


def read_bytes() -> int:
    """What this process has read by now: `rchar` of proc(5), which leaves out what sockets receive."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar:")).split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
