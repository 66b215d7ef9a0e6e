"""How a machine reaches S3: by AWS's names for buckets, through its VPC's gateway endpoint, or not at all."""

import http.client
import re
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urljoin, urlsplit

from sandbox.machine.errors import BootError

VPCE_HEADER: Final = "X-Lockstep-Source-Vpce"
# dnf.conf(5): "retries" 10, "timeout" 30. A boot that is going to fail should do so while somebody waits.
ATTEMPTS: Final = 4
TIMEOUT_SECONDS: Final = 10.0
# S3 User Guide, "Virtual hosting of buckets": both styles, with the region in the name.
_VIRTUAL: Final = re.compile(r"(?P<bucket>[a-z0-9.-]+)\.s3\.(?P<region>[a-z0-9-]+)\.amazonaws\.com")
_PATH_STYLE: Final = re.compile(r"s3\.(?P<region>[a-z0-9-]+)\.amazonaws\.com")


@dataclass(frozen=True, kw_only=True)
class S3Endpoint:
    """The way to S3: the API's `url`, and the gateway endpoint's id, None where there is none; `why` says then."""

    region: str
    url: str
    vpce: str | None
    why: str = ""

    def fetch(self, url: str) -> bytes:
        """What is at `url`, without credentials. Raises BootError, in dnf's manner."""
        host, path = self._place(url)
        if self.vpce is None:
            raise BootError(f"{url}: Connection timed out: {self.why}")
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.2 * 2**attempt)
            try:
                status, body = self._get(host, path)
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
                continue
            if status == 200:
                return body
            reason = f"Status code: {status}"
            if status < 500:
                break
        raise BootError(f"Failed to download {url}: {reason}")

    def _get(self, host: str, path: str) -> tuple[int, bytes]:
        target = urlsplit(self.url)
        connection = http.client.HTTPConnection(target.netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", path, headers={VPCE_HEADER: self.vpce or "", "User-Agent": "libdnf (sandbox)"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _place(self, url: str) -> tuple[str, str]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https":
            raise BootError(
                f"{url}: a machine of the sandbox fetches over https, not {parts.scheme or 'without a scheme'}"
            )
        key = quote(unquote(parts.path.lstrip("/")), safe="/~")
        if virtual := _VIRTUAL.fullmatch(host):
            region, path = virtual["region"], f"/{virtual['bucket']}/{key}"
        elif style := _PATH_STYLE.fullmatch(host):
            region, path = style["region"], f"/{key}"
        else:
            raise BootError(f"{url}: Connection timed out: {host} isn't S3, and a private subnet reaches nothing else")
        if region != self.region:
            raise BootError(
                f"{url}: Connection timed out: a gateway endpoint leads to S3 of its own region, {self.region}, only"
            )
        return host, path


def join(base: str, href: str) -> str:
    """`href` of a repository's metadata as a URL; dots in it are resolved as curl does."""
    return urljoin(base if base.endswith("/") else f"{base}/", href)
