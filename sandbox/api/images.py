"""The machine images that Amazon publishes: the same names in every region, an id of its own in each.

Real regions hold tens of thousands of public images. The sandbox has those that a fleet is started from: the last
releases of Amazon Linux 2023 for both architectures, and the SSM public parameters that point at the newest.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from moto.ec2.models.amis import Ami, AmiBackend
from moto.ssm.models import Parameter, ParameterDict

from sandbox.api.change import Change, wrap

# moto reads its own list (1,300 images a region) unless MOTO_AMIS_PATH names another before it is imported.
RELEASES_FILE = Path(__file__).with_name("data") / "images.json"
# Capabilities as RPM writes them, in the versions of the oldest of these releases and without their own releases
# (AL2023 release notes, "All packages"): of all that an image has, what packages of an application ask for.
PROVIDES_FILE = Path(__file__).with_name("data") / "image_provides.json"

# Owner account of Amazon Linux images (EC2 User Guide, "Find an AMI", owner alias `amazon`).
AMAZON = "137112412989"
ARCHITECTURES = ("x86_64", "arm64")
ROOT_DEVICE = "/dev/xvda"
ROOT_SIZE_GIB = 8
LATEST_PARAMETERS = "/aws/service/ami-amazon-linux-latest"


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release of Amazon Linux 2023: `version` as in `2023.9.20251105.0`, kernel line, and when it was published."""

    version: str
    kernel: str
    created: datetime

    def image_name(self, architecture: str) -> str:
        """The image's name as AWS forms it; identical in every region, so programs look images up by it."""
        return f"al2023-ami-{self.version}-kernel-{self.kernel}-{architecture}"


class PublicImage(Ami):
    """An Amazon Linux image with the fields that AWS gives one; moto's class has 15 GB of `standard` as its root."""

    ena_support = True
    sriov_net_support = "simple"
    platform_details = "Linux/UNIX"
    usage_operation = "RunInstances"
    imds_support = "v2.0"

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """The root volume: 8 GiB gp3 from the image's snapshot, deleted with the instance."""
        return [
            {
                "DeviceName": ROOT_DEVICE,
                "Ebs": {
                    "SnapshotId": self.ebs_snapshot.id,
                    "VolumeSize": ROOT_SIZE_GIB,
                    "VolumeType": "gp3",
                    "Iops": 3000,
                    "Throughput": 125,
                    "DeleteOnTermination": True,
                    "Encrypted": False,
                },
            }
        ]


def releases() -> list[Release]:
    """The releases of Amazon Linux 2023 that the sandbox knows, oldest first."""
    rows = json.loads(RELEASES_FILE.read_text(encoding="utf-8"))
    known = [
        Release(version=row["release"], kernel=row["kernel"], created=datetime.fromisoformat(row["created"]))
        for row in rows
    ]
    return sorted(known, key=lambda release: release.created)


def provides() -> list[str]:
    """What every image has, as RPM's capabilities: `NAME` or `NAME = VERSION`. Nothing binary runs, so no libraries."""
    known: list[str] = json.loads(PROVIDES_FILE.read_text(encoding="utf-8"))
    return known


def image_id(region: str, name: str) -> str:
    """The id of the public image `name` in `region`: made from both, so that it is the same in every run."""
    return f"ami-0{hashlib.sha256(f'{region}/{name}'.encode()).hexdigest()[:16]}"


def _public_image(backend: Any, release: Release, architecture: str) -> PublicImage:
    name = release.image_name(architecture)
    image = PublicImage(
        backend,
        image_id(backend.region_name, name),
        name=name,
        description=f"Amazon Linux 2023 AMI {release.version} {architecture} HVM kernel-{release.kernel}",
        owner_id=AMAZON,
        owner_alias="amazon",
        public=True,
        virtualization_type="hvm",
        architecture=architecture,
        creation_date=release.created,
        image_location=f"amazon/{name}",
        hypervisor="xen",
        root_device_type="ebs",
        root_device_name=ROOT_DEVICE,
        # moto makes the snapshot from a volume in this zone.
        region_name=f"{backend.region_name}a",
        boot_mode="uefi" if architecture == "arm64" else "uefi-preferred",
    )
    image.ebs_snapshot.volume.size = ROOT_SIZE_GIB
    return image


def _load_public_images(_original: Any, backend: Any) -> None:
    for release in releases():
        for architecture in ARCHITECTURES:
            image = _public_image(backend, release, architecture)
            backend.amis[image.id] = image


def _latest_parameters(region: str) -> dict[str, str]:
    newest = releases()[-1]
    return {
        f"{LATEST_PARAMETERS}/al2023-ami-kernel-{kernel}-{architecture}": image_id(
            region, newest.image_name(architecture)
        )
        for architecture in ARCHITECTURES
        for kernel in (newest.kernel, "default")
    }


def _load_latest_parameters(_original: Any, parameters: Any) -> None:
    published = releases()[-1].created
    # moto's class leaves CloudFormation's abstract methods out, for all its parameters alike.
    parameter: Any = Parameter
    for name, value in _latest_parameters(parameters.region_name).items():
        dict.setdefault(parameters, name, []).append(
            parameter(
                account_id=parameters.account_id,
                name=name,
                value=value,
                parameter_type="String",
                description=None,
                allowed_pattern=None,
                keyid=None,
                last_modified_date=published,
                version=1,
                data_type="text",
            )
        )


CHANGES: tuple[Change, ...] = (
    Change(
        name="ec2-public-images",
        why=(
            "moto loads 1,300 public images into each region, with names that differ by region and root volumes that "
            "no AWS image has. AWS publishes one release under one name in every region, each with an id of its own "
            "(Amazon Linux 2023 User Guide, 'AL2023 on Amazon EC2'): programs look images up by that name."
        ),
        apply=lambda: wrap(AmiBackend, "_load_amis", _load_public_images),
    ),
    Change(
        name="ssm-public-image-parameters",
        why=(
            "moto's public parameters point at images of its own list. On AWS /aws/service/ami-amazon-linux-latest/… "
            "holds the newest Amazon Linux image of the region (Systems Manager User Guide, 'AMI public parameters')."
        ),
        apply=lambda: wrap(ParameterDict, "_load_latest_amis", _load_latest_parameters),
    ),
)
