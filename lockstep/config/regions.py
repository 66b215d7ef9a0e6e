"""AWS's regions as botocore's data lists them: no network, and no import of botocore, which takes its time."""

import functools
import importlib.util
import json
from pathlib import Path


@functools.cache
def commercial_regions() -> frozenset[str]:
    """The regions of the partition `aws`.

    Other partitions have other ARNs, host names and a Route 53 of their own, and sites of two partitions can't
    replicate to each other. Raises RuntimeError if botocore isn't installed: it is part of the product.
    """
    spec = importlib.util.find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("botocore isn't installed in this environment: run `make setup`")
    data = json.loads((Path(spec.submodule_search_locations[0]) / "data" / "partitions.json").read_text("utf-8"))
    regions = next(partition["regions"] for partition in data["partitions"] if partition["id"] == "aws")
    # "aws-global" is botocore's name for the endpoints of global services.
    return frozenset(region for region in regions if region != "aws-global")
