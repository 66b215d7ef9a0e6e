"""How long a failure takes to reach the name servers, at AWS's speed and six times faster."""

import json
import statistics
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sandbox.api.server import ApiServer
from tests.sandbox.api import live
from tests.sandbox.checkers.test_process import Site, running
from tests.sandbox.checkout import eventually

# With one check the phases of its checkers decide; the mean of so many varies by 1.5 %.
CHECKS = 16
ADDRESS = "127.70.0.9"


def states(api: ApiServer) -> dict[str, dict[str, Any]]:
    with urllib.request.urlopen(f"{api.endpoint_url}/_sandbox/checkers", timeout=10) as answer:
        return dict(json.load(answer)["checks"])


def declare(api: ApiServer, site: Site) -> None:
    """A name, and checks of it that differ by their path."""
    route53 = live.client(api, "route53")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="x")["HostedZone"]["Id"]
    name = {"Name": "site.example.com", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": ADDRESS}]}
    route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": name}]}
    )
    for number in range(CHECKS):
        config = {
            "Type": "HTTP",
            "FullyQualifiedDomainName": "site.example.com",
            "Port": site.port,
            "ResourcePath": f"/{number}",
            "RequestInterval": 10,
            "FailureThreshold": 1,
        }
        route53.create_health_check(CallerReference=f"check-{number}", HealthCheckConfig=config)


def noticed_after(speed: float, folder: Path) -> float:
    """AWS's seconds from a site's failure until name servers know, the mean of all checks."""
    site = Site(ADDRESS)
    threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True).start()
    try:
        with live.serving(folder, speed) as api, running("sandbox.dns", "--endpoint", api.endpoint_url) as port:
            options = ("--endpoint", api.endpoint_url, "--dns", f"127.0.0.1:{port}")
            with running("sandbox.checkers", *options):
                declare(api, site)
                # Every checker of every check has asked: phases are what they stay.
                eventually(lambda: len(site.asked) >= 16 * CHECKS, "every checker's first probe")
                site.status = 503
                failed, known = time.monotonic(), dict[str, float]()
                while len(known) < CHECKS:
                    now = time.monotonic()
                    known |= {id_: now for id_, each in states(api).items() if not each["told"] and id_ not in known}
                    time.sleep(0.02)
    finally:
        site.shutdown()
        site.server_close()
    return statistics.fmean(at - failed for at in known.values()) * speed


def test_at_speed_1_it_takes_as_long_as_at_speed_6(tmp_path: Path) -> None:
    """All that is measured elsewhere is measured faster."""
    slow, fast = (noticed_after(speed, tmp_path) for speed in (1.0, 6.0))
    assert fast == pytest.approx(slow, rel=0.1)
