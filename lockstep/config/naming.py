"""Names that the program gives to things and that something outside of it must be able to work out again."""

import hashlib
from typing import Final

from lockstep.config import limits

# What every instance reads of its region's package bucket, and what is replicated. Leases are neither.
RELEASES_PREFIX: Final = "releases/"
PACKAGES_PREFIX: Final = "packages/"
LEASES_PREFIX: Final = "leases/"

# Tags by which what belongs to an application and a site is found again; the last one is on instances only.
APPLICATION_TAG: Final = "lockstep:application"
SITE_TAG: Final = "lockstep:site"
MANAGED_BY_TAG: Final = "lockstep:managed-by"
RELEASE_TAG: Final = "lockstep:release"

_HASH_LENGTH: Final = 8


def shorten(name: str, limit: int) -> str:
    """`name` itself if it has at most `limit` characters, else its beginning and a hash of all of it.

    The hash keeps two long names apart that begin alike, and depends on nothing but the name. Raises ValueError if
    `limit` leaves no room for a character, a hyphen and the hash.
    """
    if limit < _HASH_LENGTH + 2:
        raise ValueError(f"a limit of {limit} characters is too small: a shortened name has {_HASH_LENGTH + 2} or more")
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{name[: limit - _HASH_LENGTH - 1].rstrip('-.')}-{digest}"


def package_bucket_name(application: str, account_id: str, region: str) -> str:
    """The package bucket of a region.

    Account and region are in it because bucket names share one name space per partition (S3 User Guide, "Bucket naming
    rules"); a fixed rule because publishing must find the bucket while Pulumi's state is out of reach.
    """
    tail = f"-packages-{account_id}-{region}"
    return shorten(application, limits.BUCKET_NAME_MAX - len(tail)) + tail


def bucket_arn(bucket_name: str) -> str:
    """The ARN of a bucket in the commercial partition, the only one that `lockstep:region` accepts."""
    return f"arn:aws:s3:::{bucket_name}"


def records_path(application: str) -> str:
    """The path of SSM parameters below which an application's records are."""
    return f"/lockstep/{application}"


def site_domain(site: str, domain: str) -> str:
    """A site's own name, by which health checks and people reach that site and no other."""
    return f"{site}.{domain}"


def unhealthy_alarm_name(application: str, site: str) -> str:
    """The alarm, in a site's own region, on targets that stay unhealthy.

    A fixed rule, as for the next one, because a roll must find both without Pulumi's state.
    """
    return f"lockstep-{application}-unhealthy-{site}"


def errors_alarm_name(application: str, site: str) -> str:
    """The alarm, in a site's own region, on errors that targets answer with."""
    return f"lockstep-{application}-errors-{site}"


def drain_alarm_name(application: str, site: str) -> str:
    """The alarm that is a site's drain switch, which is in the region of the site's peer.

    A fixed rule because draining must find it while the site's region, and with it Pulumi's state, may be out of reach.
    """
    return f"lockstep-{application}-drain-{site}"
