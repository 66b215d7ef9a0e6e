"""Sites without their stacks: groups on the sandbox's API as a stack would leave them, and names that answer."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from lockstep import config
from lockstep.automation import StackOperations
from lockstep.config.naming import APPLICATION_TAG, RELEASE_TAG, SITE_TAG
from lockstep.deployment.context import Context
from lockstep.project import GLOBAL_STACK
from lockstep.site_probe import RELEASE_HEADER
from sandbox.api import images, instance_refresh
from sandbox.api.backend_lock import backend_lock

APPLICATION = "orders"
# Those of the committed stack files.
SITES = {"primary": "eu-west-1", "secondary": "eu-central-1"}


def image_name() -> str:
    """An image of Amazon's that every region has."""
    return images.releases()[-1].image_name("x86_64")


@dataclass
class SiteGroup:
    """What was made: a group named after its site, whose template has `versions` versions."""

    aws: Callable[..., Any]
    site: str
    region: str
    template: str
    versions: int = 1

    @property
    def autoscaling(self) -> Any:
        return self.aws("autoscaling", self.region)

    def add_version(self, release: str, **more_tags: str) -> int:
        """A newer version of the template, which starts `release`, with its instances' tags in the given order."""
        data = _data(self.region, release, more_tags)
        self.aws("ec2", self.region).create_launch_template_version(
            LaunchTemplateId=self.template, LaunchTemplateData=data
        )
        self.versions += 1
        return self.versions

    def refresh_to(self, version: int, **preferences: Any) -> str:
        """Begin to roll the group."""
        answer = self.autoscaling.start_instance_refresh(
            AutoScalingGroupName=self.site,
            DesiredConfiguration={"LaunchTemplate": self._specification(version)},
            Preferences=preferences,
        )
        return str(answer["InstanceRefreshId"])

    def end_refresh(self) -> None:
        """Cancel the active refresh, and have it end."""
        self.autoscaling.cancel_instance_refresh(AutoScalingGroupName=self.site)
        with backend_lock:
            instance_refresh.turn()

    def update(self, **changes: Any) -> None:
        self.autoscaling.update_auto_scaling_group(AutoScalingGroupName=self.site, **changes)

    def members(self) -> list[str]:
        described = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.site])
        return [each["InstanceId"] for each in described["AutoScalingGroups"][0]["Instances"]]

    def _specification(self, version: int) -> dict[str, str]:
        return {"LaunchTemplateId": self.template, "Version": str(version)}


def make_group(aws: Callable[..., Any], site: str, release: str = "1.0.0", *, instances: int = 2) -> SiteGroup:
    """The group of `site` with `instances` of `release`, as AWS has it once they have started."""
    region = SITES[site]
    ec2, balancing = aws("ec2", region), aws("elbv2", region)
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    zone = f"{region}a"
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/20", AvailabilityZone=zone)["Subnet"]["SubnetId"]
    template = ec2.create_launch_template(LaunchTemplateName=site, LaunchTemplateData=_data(region, release, {}))
    targets = balancing.create_target_group(Name=site, Protocol="HTTP", Port=8080, VpcId=vpc)["TargetGroups"][0]
    made = SiteGroup(aws, site, region, template["LaunchTemplate"]["LaunchTemplateId"])
    made.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=site,
        MinSize=0,
        MaxSize=2 * instances,
        DesiredCapacity=instances,
        LaunchTemplate=made._specification(1),
        VPCZoneIdentifier=subnet,
        TargetGroupARNs=[targets["TargetGroupArn"]],
        Tags=[
            {"Key": key, "Value": value, "PropagateAtLaunch": True}
            for key, value in {APPLICATION_TAG: APPLICATION, SITE_TAG: site}.items()
        ],
    )
    return made


def _data(region: str, release: str, more_tags: Mapping[str, str]) -> Mapping[str, Any]:
    tags = [{"Key": key, "Value": value} for key, value in {RELEASE_TAG: release, **more_tags}.items()]
    return {
        "ImageId": images.image_id(region, image_name()),
        "InstanceType": "t3.micro",
        "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
    }


def context_of(project: Path) -> Context:
    """As a command makes it, but without Pulumi: only what is declared needs that."""
    return Context(project, config.load(project, GLOBAL_STACK), cast(StackOperations, None))


@dataclass
class Names:
    """What answers at the sites' own names: `releases` in turn, for each site; a None among them is HTTP 502.

    A site that isn't in it isn't known.
    """

    url: str
    releases: dict[str, list[str | None]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)


@contextmanager
def answering_names() -> Iterator[Names]:
    """A proxy, for LOCKSTEP_HTTP_PROXY, that answers in the place of all sites."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site = str(urlsplit(self.path).hostname).partition(".")[0]
            with lock:
                number = names.asked[site] = names.asked.get(site, 0) + 1
            releases = names.releases.get(site, [None])
            release = releases[number % len(releases)]
            self.send_response(200 if release else 502)
            if release:
                self.send_header(RELEASE_HEADER, release)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    names = Names(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield names
    server.shutdown()
    server.server_close()
