"""How moto is set for the sandbox: environment variables that it reads once, when it is imported."""

import os
import sys
from pathlib import Path

SETTINGS = {
    # As on AWS: an AMI id that doesn't exist is InvalidAMIID.NotFound, an unknown instance type InvalidInstanceType.
    "MOTO_ENABLE_AMI_VALIDATION": "true",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
    # Our few public images (sandbox/api/images.py) in place of moto's 1,300 a region.
    "MOTO_AMIS_PATH": str(Path(__file__).with_name("data") / "images.json"),
    # No browser speaks to this API, so no answer needs the headers for one.
    "MOTO_DISABLE_GLOBAL_CORS": "true",
}

# moto asks boto3 for the list of regions, and boto3 fails on a profile that this machine's configuration doesn't have.
REMOVED = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


def apply() -> None:
    """Put the settings into the environment, whatever was there: the sandbox behaves the same in every shell.

    Raises RuntimeError, naming the settings, if moto is imported already with other values: it would ignore these.
    """
    late = sorted(name for name, value in SETTINGS.items() if "moto" in sys.modules and os.environ.get(name) != value)
    if late:
        raise RuntimeError(
            f"moto was imported before its settings {', '.join(late)} were made and ignores them now: "
            "import sandbox.api before anything of moto"
        )
    os.environ.update(SETTINGS)
    for name in REMOVED:
        os.environ.pop(name, None)
