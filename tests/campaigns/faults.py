"""Regions that are lost, in every way, under the real program: when traffic moves, and whether the model says so.

What is looked at is what the world sees, answers of the name server and of the sites. Seconds are AWS's.
"""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from lockstep import failover_model
from lockstep.failover_model import Fault, Prediction, Settings
from sandbox.dns.resolver import resolve
from tests.campaigns.site import Site

DOMAIN: Final = "orders.example.com"
SITES: Final = {"primary": "eu-west-1", "secondary": "eu-central-1"}
BOTH: Final = frozenset(SITES)
# Of the committed configuration; a case that waits for other times would show that it has changed.
INTERVAL: Final = 10
THRESHOLD: Final = 3
TTL: Final = 30
SPEED: Final = "6"
TOLERANCE: Final = 0.1
"""How far measured and predicted times may differ."""

# So many answers without a site of half the weight happen by chance once in 16 million looks; a case takes hundreds.
_ANSWERS: Final = 24
_LOOK_SECONDS: Final = 0.05
_WAYS: Final = {"vanish": Fault.VANISHES, "refuse": Fault.REFUSES}
# Times a site is lost, for a mean.
REPEATS: Final = 6
# Periods, of a region that comes and goes: in intervals, or in detection times.
_PERIODS: Final = ("0.5I", "1I", "0.5D", "1D", "2D", "5D")
BLIND: Final = (12, 13, 14, 16)
# Of 16 checkers: at 3 or more that see the site well, it is.
_STILL_HEALTHY: Final = 13

Result = dict[str, Any]


class NotSeenError(AssertionError):
    """What should have happened didn't."""


def prediction(how: str) -> Prediction:
    """What the model says of the loss of either site."""
    settings = Settings(interval=INTERVAL, threshold=THRESHOLD, ttl=TTL, fault=_WAYS[how], share=0.5)
    return failover_model.predict(settings)


def moved_mean(how: str) -> float:
    """When, on average, name servers stop to give the lost site's address."""
    model = prediction(how)
    return model.detection_mean + model.settings.push


@dataclass
class World:
    """The sandbox of `site`, from outside."""

    site: Site
    speed: float = float(SPEED)
    _name_server: tuple[str, int] = field(init=False)

    def __post_init__(self) -> None:
        where = json.loads(self.site("sandbox", "status", "--json").stdout)["addresses"]["dns"]
        host, _, port = where.rpartition(":")
        self._name_server = host, int(port)

    def answered(self) -> frozenset[str]:
        """The sites that the application's name leads to now."""
        found = (resolve(DOMAIN, self._name_server).names[1] for _ in range(_ANSWERS))
        return frozenset(name.partition(".")[0] for name in found)

    def until(self, wanted: Callable[[frozenset[str]], bool], *, within: float, since: float) -> float:
        """AWS's seconds from `since` (`time.time`) until the answers are as `wanted`.

        Raises NotSeenError if they aren't `within` so many.
        """
        while True:
            now = time.time()
            answers = self.answered()
            passed = (now - since) * self.speed
            if wanted(answers):
                return passed
            if passed > within:
                raise NotSeenError(f"{passed:.1f} s later the name still leads to {', '.join(sorted(answers))}")
            time.sleep(_LOOK_SECONDS)

    def settle(self) -> None:
        """Wait until both sites are answered, and go on being so for as long as it takes to notice a loss."""
        latest = prediction("vanish").return_max + prediction("vanish").settings.push
        self.until(lambda answers: answers == BOTH, within=2 * latest, since=time.time())

    def wait(self, seconds: float) -> None:
        """Let so many of AWS's seconds pass."""
        time.sleep(seconds / self.speed)

    def outage(self, region: str | None, how: str | None) -> float:
        """Lose a region, or heal it (all of them, without one); returns when that was."""
        told = self.site.control("outages", {"region": region, "how": how})
        return float(told[region]["since"]) if region is not None and how is not None else time.time()

    def aws(self, service: str, site: str = "primary") -> Any:
        """A client that no fault is about, as long as the region is there."""
        return self.site.client(service, "us-east-1" if service == "route53" else SITES[site])

    def status(self, *expect: int) -> Mapping[str, Any]:
        """What `lockstep status` says."""
        found: Mapping[str, Any] = json.loads(self.site("status", "--json", expect=expect).stdout)
        return found


def cases() -> dict[str, list[str]]:
    """Every case, by kind."""
    return {
        "lost": [f"lost {how} {number}" for how in _WAYS for number in range(1, REPEATS + 1)],
        "flapping": [f"flapping {how} {period}" for how in _WAYS for period in _PERIODS],
        "blind": [f"blind {count}" for count in BLIND],
        "other": [f"other {name}" for name in _OTHERS],
    }


def run(world: World, case: str) -> Result:
    """Try one case; returns `ok` with what was measured. Raises NotSeenError."""
    kind, *words = case.split()
    try:
        world.settle()
        return {"result": "ok", **_KINDS[kind](world, *words)}
    finally:
        world.outage(None, None)
        world.site.control("checkers", {"blind": 0})


def lost(world: World, how: str, number: str) -> Result:
    """A site is lost, and comes back: each time within what the model says is possible."""
    site = list(SITES)[int(number) % len(SITES)]
    return _lose(world, site, how)


def _lose(world: World, site: str, how: str) -> Result:
    model = prediction(how)
    push = model.settings.push
    earliest = model.detection_max - INTERVAL + push
    latest = (model.detection_max + push) * (1 + TOLERANCE)
    since = world.outage(SITES[site], how)
    moved = world.until(lambda answers: site not in answers, within=latest, since=since)
    if moved < earliest * (1 - TOLERANCE):
        raise NotSeenError(f"traffic has left {site} after {moved:.1f} s already; {earliest:.1f} s is the least")
    healed = world.outage(SITES[site], None)
    returning = (model.return_max + push) * (1 + TOLERANCE)
    back = world.until(lambda answers: answers == BOTH, within=returning, since=healed)
    return {"moved": round(moved, 1), "back": round(back, 1)}


def flapping(world: World, how: str, period: str) -> Result:
    """A region that comes and goes moves traffic at most once in the time that it takes to notice a loss."""
    detection = prediction(how).detection_mean
    seconds = float(period[:-1]) * {"I": INTERVAL, "D": detection}[period[-1]]
    watched = max(6 * detection, 2.5 * seconds)
    ended = threading.Event()
    moves, before, since = 0, BOTH, time.time()
    with ThreadPoolExecutor(1) as pool:
        flapper = pool.submit(_flap, world, how, seconds, ended)
        try:
            while (time.time() - since) * world.speed < watched and not flapper.done():
                answers = world.answered()
                moves += answers != before
                before = answers
                time.sleep(_LOOK_SECONDS)
        finally:
            ended.set()
    flapped = flapper.result()
    # Lost for twice as long as it takes to notice, it has to be noticed.
    if seconds >= 4 * detection and not moves:
        raise NotSeenError(f"traffic has never moved in {watched:.0f} s, of which half were without the region")
    if moves > watched / detection + 1:
        raise NotSeenError(
            f"traffic has moved {moves} times in {watched:.0f} s; a loss is noticed in {detection:.0f} s"
        )
    return {"moves": moves, "flapped": flapped, "watched": round(watched, 1)}


def _flap(world: World, how: str, period: float, ended: threading.Event) -> int:
    """Until `ended`; how often the region was lost or healed."""
    flapped = 0
    while not ended.is_set():
        world.outage(SITES["primary"], None if flapped % 2 else how)
        flapped += 1
        ended.wait(period / 2 / world.speed)
    return flapped


def blind(world: World, count: str) -> Result:
    """Up to 13 of 16 checkers that see nothing move no traffic; one more does (the 18 % rule)."""
    model = prediction("vanish")
    world.site.control("checkers", {"blind": {_endpoint_check(world, "primary"): int(count)}})
    latest = (model.detection_max + model.settings.push) * (1 + TOLERANCE)
    if int(count) > _STILL_HEALTHY:
        moved = world.until(lambda answers: "primary" not in answers, within=latest, since=time.time())
        return {"moved": round(moved, 1)}
    world.wait(latest)
    if world.answered() != BOTH:
        raise NotSeenError(f"{count} of 16 checkers have moved traffic")
    return {}


def both_red(world: World) -> Result:
    """When every record is unhealthy, all are served."""
    model = prediction("vanish")
    for region in SITES.values():
        world.outage(region, "vanish")
    world.wait((model.detection_max + model.settings.push) * (1 + TOLERANCE))
    told = [check["told"] for check in world.site.control("checkers")["checks"].values()]
    if any(told) or len(told) != len(SITES):
        raise NotSeenError(f"a lost region's check isn't red, or isn't there: {told}")
    if world.answered() != BOTH:
        raise NotSeenError(f"with every check red, the name leads to {', '.join(world.answered())}")
    world.status(7)
    return {}


def control_planes_gone(world: World) -> Result:
    """Traffic moves without anybody being able to change a record."""
    world.outage("us-east-1", "vanish")
    found = _lose(world, "primary", "vanish")
    said = " ".join(world.status(10)["problems"])
    if "us-east-1" not in said:
        raise NotSeenError(f"`lockstep status` doesn't say that Route 53 can't be asked: {said}")
    return found


def health_green_while_requests_fail(world: World) -> Result:
    """The checks look at one path; a site whose other requests fail keeps its traffic, and `status` says so."""
    elb = world.aws("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    failing = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
    made = elb.create_rule(
        ListenerArn=listener["ListenerArn"],
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/"]}],
        Actions=[failing],
    )
    try:
        model = prediction("refuse")
        world.wait((model.detection_max + model.settings.push) * (1 + TOLERANCE))
        if world.answered() != BOTH:
            raise NotSeenError("traffic has moved, though the path of the checks is well")
        said = " ".join(world.status(10)["problems"])
        if "503" not in said:
            raise NotSeenError(f"`lockstep status` doesn't show the gap: {said}")
    finally:
        elb.delete_rule(RuleArn=made["Rules"][0]["RuleArn"])
    world.status(0)
    return {}


def check_removed_by_hand(world: World) -> Result:
    """Its record counts as healthy for ever; `status` and `pulumi refresh` say so, and `pulumi up` repairs it."""
    route53 = world.aws("route53")
    check = next(each for each in _checks(world) if each["Type"] == "CALCULATED" and each["site"] == "primary")
    route53.delete_health_check(HealthCheckId=check["id"])
    said = " ".join(world.status(10)["problems"])
    if check["id"] not in said:
        raise NotSeenError(f"`lockstep status` doesn't name the check that is gone: {said}")
    refreshed = _pulumi(world, "refresh", "--preview-only", "--diff")
    if check["id"] not in refreshed and "1 to delete" not in refreshed:
        raise NotSeenError(f"`pulumi refresh` doesn't show that the check is gone:\n{refreshed}")
    _pulumi(world, "refresh", "--yes", "--skip-preview")
    _pulumi(world, "up", "--yes", "--skip-preview")
    world.status(0)
    return _lose(world, "primary", "refuse")


def _checks(world: World) -> list[dict[str, Any]]:
    """Every health check, with its id and the site that it is of."""
    found = []
    for check in world.aws("route53").list_health_checks()["HealthChecks"]:
        tags = world.aws("route53").list_tags_for_resource(ResourceType="healthcheck", ResourceId=check["Id"])
        name = {tag["Key"]: tag["Value"] for tag in tags["ResourceTagSet"]["Tags"]}["Name"]
        found.append({**check["HealthCheckConfig"], "id": check["Id"], "site": name.partition(".")[0]})
    return found


def _endpoint_check(world: World, site: str) -> str:
    return str(next(each["id"] for each in _checks(world) if each["Type"] == "HTTP" and each["site"] == site))


def _pulumi(world: World, *arguments: str) -> str:
    """What `pulumi ARGUMENTS` says of the global stack."""
    done = subprocess.run(
        ["pulumi", *arguments, "-s", "global", "--color", "never"],
        cwd=world.site.folder,
        env=world.site.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode:
        raise NotSeenError(f"pulumi {' '.join(arguments)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


_OTHERS: Final[dict[str, Callable[[World], Result]]] = {
    "both-red": both_red,
    "control-planes-gone": control_planes_gone,
    "health-green": health_green_while_requests_fail,
    "check-removed": check_removed_by_hand,
}
_KINDS: Final[dict[str, Callable[..., Result]]] = {
    "lost": lost,
    "flapping": flapping,
    "blind": blind,
    "other": lambda world, name: _OTHERS[name](world),
}
