"""What stops a deployment before it begins: on the sandbox's API, with what was really published there."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.config import Config

from lockstep import aws as factory
from lockstep.config.naming import package_bucket_name
from lockstep.deployment import preflight
from lockstep.deployment.context import Context
from lockstep.deployment_record import DeploymentRecord, parameter_name
from lockstep.errors import (
    FailedUnchangedError,
    InvalidInputError,
    LockstepError,
    RefusedError,
    RegionUnreachableError,
)
from lockstep.site_probe import PROXY_VARIABLE
from tests.lockstep.publishing import conftest as publishing
from tests.lockstep.publishing.regions import ACCOUNT, APPLICATION, Regions, is_reading
from tests.lockstep.site_fleets import SITES, Names, SiteGroup, answering_names, context_of, make_group

NOW = "2026-01-01T00:00:00Z"
FIRST, OTHER = SITES.values()
SETTLED = DeploymentRecord().settle("0.9.0", NOW, SITES)

regions = publishing.regions
write_folder = publishing.write_folder


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again: faults stay."""
    monkeypatch.setattr(factory, "CONFIG", Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1}))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    with answering_names() as names:
        monkeypatch.setenv(PROXY_VARIABLE, names.url)
        yield names


@pytest.fixture
def published(regions: Regions, write_folder: Callable[..., Path]) -> Regions:
    """Release 1.0.0, whole in both regions."""
    regions.publish(write_folder(notes=b"read me"))
    return regions


def context(regions: Regions) -> Context:
    return context_of(regions.project)


def groups(regions: Regions, *sites: str) -> dict[str, SiteGroup]:
    return {site: make_group(regions.aws, site, "0.9.0") for site in sites or SITES}


def set_image(regions: Regions, stack: str, image: str) -> None:
    """Have the sites of a stack's file want another image."""
    file = regions.project / f"Pulumi.{stack}.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"]["lockstep:fleet"] = {"image": image}
    file.write_text(yaml.safe_dump(document))


def refused(kind: type[LockstepError], call: Callable[[], object], *words: str) -> LockstepError:
    """The error that `call` is refused with: of exactly that kind, with all of `words`, saying that nothing changed."""
    with pytest.raises(LockstepError) as caught:
        call()
    assert type(caught.value) is kind
    for word in words:
        assert word in caught.value.message
    return caught.value


class TestLook:
    def test_the_fleets_and_the_newest_record_are_found(self, regions: Regions) -> None:
        """An old record, of a region that was out of reach when it was last written, would undo what was done since."""
        groups(regions)
        assert preflight.look(context(regions)).record is None
        store = context(regions).store
        store.write(SETTLED)
        newer = SETTLED.settle("1.0.0", NOW, SITES)
        store.write(newer, [OTHER])
        found = preflight.look(context(regions))
        assert found.record == newer
        assert {site: facts.group for site, facts in found.facts.items()} == {site: site for site in SITES}
        assert all(facts.runs("0.9.0") for facts in found.facts.values())

    @pytest.mark.parametrize("up", [[], ["primary"], ["secondary"]], ids=["none", "only-primary", "only-secondary"])
    def test_a_site_that_is_not_up_is_refused_by_name(self, regions: Regions, up: list[str]) -> None:
        """A release that reaches one site of two is what this is to prevent."""
        if up:
            groups(regions, *up)
        missing = sorted(set(SITES) - set(up))
        error = refused(
            InvalidInputError, lambda: preflight.look(context(regions)), f"{', '.join(missing)} has no fleet yet"
        )
        assert error.remedy == "lockstep up"

    @pytest.mark.parametrize(
        ("kind", "service", "expected"),
        [
            ("refuse", "autoscaling", RegionUnreachableError),
            ("throttle", "ssm", RegionUnreachableError),
            ("deny", "ssm", InvalidInputError),
        ],
    )
    def test_a_region_that_cannot_be_asked_is_refused(
        self, regions: Regions, kind: str, service: str, expected: type[LockstepError]
    ) -> None:
        """It might be the one that has the newest record, or another deployment at work."""
        groups(regions)
        regions.set_faults({"kind": kind, "region": OTHER, "service": service})
        refused(expected, lambda: preflight.look(context(regions)), OTHER, service, "nothing was changed")

    def test_a_record_that_cannot_be_read_is_refused(self, regions: Regions) -> None:
        """Taken for none, it would have the deployment begin from nothing."""
        groups(regions)
        name = parameter_name(APPLICATION)
        regions.aws("ssm", OTHER).put_parameter(Name=name, Value="[]", Type="String")
        refused(InvalidInputError, lambda: preflight.look(context(regions)), name, OTHER)


class TestCheck:
    def test_a_release_that_every_region_has_whole_can_be_deployed(self, published: Regions) -> None:
        """And looking at it changes nothing."""
        calls = published.calls_of(lambda: preflight.check(context(published), "1.0.0"))
        assert calls
        assert all(is_reading(call) for call in calls)

    def test_what_was_never_published_is_refused(self, published: Regions) -> None:
        """Instances of it would never start."""
        error = refused(
            InvalidInputError,
            lambda: preflight.check(context(published), "3.0.0"),
            "release 3.0.0 isn't published in any region",
            "nothing was changed",
        )
        assert error.remedy == "lockstep publish 3.0.0 DIR"

    @pytest.mark.parametrize(
        ("damage", "expected"),
        [
            (
                lambda regions: regions.aws("ssm", OTHER).delete_parameter(
                    Name=f"/lockstep/{APPLICATION}/releases/1.0.0"
                ),
                f"{OTHER} has no record of release 1.0.0",
            ),
            (
                lambda regions: regions.delete(OTHER, regions.key(OTHER, "noarch.rpm")),
                "(orders-1.0.0-1.noarch.rpm) is missing",
            ),
            (
                lambda regions: regions.overwrite(OTHER, regions.key(OTHER, "/notes"), b"DAMAGED"),
                "(notes) has SHA-256 checksum",
            ),
        ],
        ids=["no-record", "missing", "damaged"],
    )
    def test_what_one_region_lacks_is_refused_by_region_and_object(
        self, published: Regions, damage: Callable[[Regions], Any], expected: str
    ) -> None:
        """The other region would roll, and both would roll back."""
        damage(published)
        error = refused(
            FailedUnchangedError,
            lambda: preflight.check(context(published), "1.0.0"),
            "not every region has all of it",
            "every site is as before",
            expected,
        )
        assert OTHER in error.message
        assert FIRST not in error.message
        assert "lockstep publish 1.0.0 DIR" in error.remedy

    def test_all_that_is_wrong_is_said_at_once(self, published: Regions) -> None:
        """One at a time, each costs a run."""
        for region in SITES.values():
            published.delete(region, published.key(region, "noarch.rpm"))
        refused(FailedUnchangedError, lambda: preflight.check(context(published), "1.0.0"), FIRST, OTHER)

    @pytest.mark.parametrize("site", SITES)
    def test_an_image_that_a_region_lacks_is_refused_by_region_and_name(self, published: Regions, site: str) -> None:
        """An image is made region by region, and is gone when its owner takes it back."""
        set_image(published, site, "al2023-ami-2023.9.19990101.0-kernel-6.1-arm64")
        error = refused(
            InvalidInputError,
            lambda: preflight.check(context(published), "1.0.0"),
            f"{SITES[site]} has no image al2023-ami-2023.9.19990101.0-kernel-6.1-arm64",
            "nothing was changed",
        )
        assert "lockstep:fleet.image" in error.remedy
        assert re.findall(r"\b[a-z]+-[a-z]+-\d\b", error.message) == [SITES[site]]

    def test_an_image_of_that_name_that_is_not_amazons_does_not_count(self, published: Regions) -> None:
        """Anybody may give an image any name."""
        ec2 = published.aws("ec2", FIRST)
        ec2.register_image(Name="golden-1", Architecture="arm64", RootDeviceName="/dev/xvda")
        assert ec2.describe_images(Filters=[{"Name": "name", "Values": ["golden-1"]}])["Images"]
        set_image(published, "primary", "golden-1")
        refused(
            InvalidInputError, lambda: preflight.check(context(published), "1.0.0"), f"{FIRST} has no image golden-1"
        )

    @pytest.mark.parametrize(
        ("kind", "service", "expected"),
        [
            ("refuse", "ec2", RegionUnreachableError),
            ("throttle", "s3", RegionUnreachableError),
            ("refuse", "ssm", RegionUnreachableError),
            ("deny", "ec2", InvalidInputError),
            ("deny", "s3", InvalidInputError),
        ],
    )
    def test_a_region_that_cannot_be_asked_is_not_taken_for_one_that_lacks_something(
        self, published: Regions, kind: str, service: str, expected: type[LockstepError]
    ) -> None:
        """Publishing again, or another image, wouldn't help."""
        published.set_faults({"kind": kind, "region": OTHER, "service": service})
        refused(expected, lambda: preflight.check(context(published), "1.0.0"), OTHER, "nothing was changed")

    def test_a_bucket_that_is_gone_is_refused_by_name(self, published: Regions) -> None:
        """A site whose stack was taken down has none."""
        bucket = package_bucket_name(APPLICATION, ACCOUNT, OTHER)
        resource = published.aws("s3", OTHER)
        resource.delete_bucket_policy(Bucket=bucket)
        for each in resource.list_object_versions(Bucket=bucket)["Versions"]:
            resource.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
        resource.delete_bucket(Bucket=bucket)
        error = refused(
            FailedUnchangedError,
            lambda: preflight.check(context(published), "1.0.0"),
            f"{OTHER} has no bucket {bucket}",
        )
        assert error.remedy == "lockstep up"


class TestSitesAnswer:
    @pytest.fixture
    def up(self, regions: Regions, names: Names) -> dict[str, SiteGroup]:
        names.releases |= {site: ["0.9.0"] for site in SITES}
        return groups(regions)

    def check(self, regions: Regions) -> None:
        with_clients = context(regions)
        preflight.check_sites_answer(with_clients, preflight.look(with_clients))

    def test_sites_that_answer_pass(self, regions: Regions, names: Names, up: object) -> None:
        """Each is asked at its own name."""
        self.check(regions)
        assert names.asked == dict.fromkeys(SITES, 3)

    def test_a_site_that_answers_now_and_then_passes(self, regions: Regions, names: Names, up: object) -> None:
        """It may be what the new release mends; what is verified afterwards is stricter."""
        names.releases["secondary"] = ["0.9.0", None, None]
        self.check(regions)

    def test_a_site_that_serves_and_does_not_answer_is_refused(
        self, regions: Regions, names: Names, up: object
    ) -> None:
        """The release would be rolled out, found silent, and rolled back: an hour for nothing."""
        names.releases["secondary"] = [None]
        error = refused(
            RefusedError,
            lambda: self.check(regions),
            "http://secondary.orders.example.com/healthz: 3 failed (HTTP 502)",
            "nothing was changed",
        )
        assert "primary" not in error.message
        assert "lockstep status" in error.remedy
        assert PROXY_VARIABLE in error.remedy

    def test_every_site_that_is_silent_is_named(self, regions: Regions, names: Names, up: object) -> None:
        """One at a time, each costs a run."""
        names.releases |= {site: [None] for site in SITES}
        refused(RefusedError, lambda: self.check(regions), "http://primary.", "http://secondary.")

    def test_a_site_that_runs_nothing_is_not_asked(
        self, regions: Regions, names: Names, up: dict[str, SiteGroup]
    ) -> None:
        """Its first release is what makes it answer."""
        up["secondary"].update(DesiredCapacity=0)
        del names.releases["secondary"]
        self.check(regions)
        assert set(names.asked) == {"primary"}
