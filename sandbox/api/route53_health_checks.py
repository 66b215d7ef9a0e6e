"""Health checks, by AWS's rules.

Sources: API reference, CreateHealthCheck, HealthCheckConfig, UpdateHealthCheck and DeleteHealthCheck; Developer Guide,
"Values that you specify when you create or update health checks". Texts that begin with "Invalid parameter :" are AWS's
where public bug reports quote them (fields that a type must not or must have); the others follow their form.
"""

import copy
import ipaddress
from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.moto_api._internal import mock_random
from moto.route53 import urls
from moto.route53.models import HealthCheck, Route53Backend
from moto.route53.responses import Route53

from sandbox.api import health_checkers, metric_checks
from sandbox.api.change import Change, replace, wrap
from sandbox.api.route53_error import InvalidInputError, Route53Error, check_length, check_range, not_in_enumeration

HTTP_TYPES = ("HTTP", "HTTP_STR_MATCH", "HTTPS", "HTTPS_STR_MATCH")
ENDPOINT_TYPES = health_checkers.ENDPOINT_TYPES
TYPES = (*ENDPOINT_TYPES, "CALCULATED", "CLOUDWATCH_METRIC", "RECOVERY_CONTROL")
# Seconds between two probes of one checker.
INTERVALS = (10, 30)
MAX_CHILDREN = 256
# API reference, HealthCheckConfig: Regions.
REGIONS = (
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "sa-east-1",
)
MIN_REGIONS = 3
INSUFFICIENT_DATA = ("Healthy", "Unhealthy", "LastKnownStatus")
RESETTABLE = ("FullyQualifiedDomainName", "Regions", "ResourcePath", "ChildHealthChecks")
MAX_ITEMS = 100

_LAST_FAILURE = "get_health_check_last_failure_reason"

_ENDPOINT_FIELDS = (
    "IPAddress",
    "Port",
    "ResourcePath",
    "FullyQualifiedDomainName",
    "SearchString",
    "RequestInterval",
    "FailureThreshold",
    "MeasureLatency",
    "EnableSNI",
    "Regions",
)
_CALCULATED_FIELDS = ("HealthThreshold", "ChildHealthChecks")
_METRIC_FIELDS = ("AlarmIdentifier", "InsufficientDataHealthStatus")
_COMMON_FIELDS = ("Type", "Inverted", "Disabled")
_UPDATABLE = (
    "IPAddress",
    "Port",
    "ResourcePath",
    "FullyQualifiedDomainName",
    "SearchString",
    "FailureThreshold",
    "Inverted",
    "Disabled",
    "HealthThreshold",
    "ChildHealthChecks",
    "EnableSNI",
    "Regions",
    "AlarmIdentifier",
    "InsufficientDataHealthStatus",
)

# What AWS calls each field in its messages ("an metric region" is its spelling).
_SPOKEN = {
    "IPAddress": "an IP address",
    "Port": "a port",
    "ResourcePath": "a resource path",
    "FullyQualifiedDomainName": "a fully qualified domain name",
    "SearchString": "a search string",
    "RequestInterval": "a request interval",
    "FailureThreshold": "a failure threshold",
    "MeasureLatency": "latency measurement",
    "EnableSNI": "SNI",
    "Regions": "regions",
    "HealthThreshold": "a health threshold",
    "ChildHealthChecks": "child health checks",
    "AlarmIdentifier": "an metric region",
    "InsufficientDataHealthStatus": "an insufficient data health state",
    "RoutingControlArn": "a routing control ARN",
}


class StrictHealthCheck(HealthCheck):
    """A health check that keeps its settings as AWS returns them, in `config`, and those it was created with."""

    def __init__(self, id_: str, caller_reference: str, requested: dict[str, Any]) -> None:
        super().__init__(id_, caller_reference, {"type": requested["Type"]})
        self.requested = requested
        self.config = _with_defaults(requested)
        self.followed: metric_checks.Followed | None = None

    @property
    def health_check_config(self) -> dict[str, Any]:
        """The settings, defaults filled in, fields that the type doesn't have left out."""
        return self.config

    @property
    def cloud_watch_alarm_configuration(self) -> Mapping[str, Any] | None:
        """What Route 53 has copied of the alarm that it follows, if it follows one."""
        return None if self.followed is None else self.followed.configuration


def create(backend: Route53Backend, caller_reference: str, config: dict[str, Any]) -> HealthCheck:
    """Create a health check, or return the one that the same request made before.

    Raises InvalidInputError, or Route53Error `HealthCheckAlreadyExists` if the caller reference stands for another
    check, or for one that is deleted.
    """
    check_length(caller_reference, 1, 64, "HealthCheckNonce")
    requested = _plain(config)
    earlier = _by_caller_reference(backend).get(caller_reference)
    if earlier is not None:
        if earlier.id in backend.health_checks and earlier.requested == requested:
            return earlier
        raise Route53Error(
            "HealthCheckAlreadyExists",
            "A different health check has already been created with the specified caller reference.",
        )
    _validate(backend, requested)
    followed = metric_checks.follow(backend.account_id, requested) if requested["Type"] == metric_checks.TYPE else None
    # moto's class lacks methods for CloudFormation that its base declares abstract; nothing here calls those.
    check = StrictHealthCheck(str(mock_random.uuid4()), caller_reference, requested)  # type: ignore[abstract]
    check.followed = followed
    backend.health_checks[check.id] = check
    _by_caller_reference(backend)[caller_reference] = check
    return check


def update(backend: Route53Backend, check_id: str, version: int | None, given: dict[str, Any]) -> HealthCheck:
    """Change the settings that are given, and count the version up.

    Raises Route53Error `NoSuchHealthCheck` or `HealthCheckVersionMismatch`, or InvalidInputError.
    """
    check = get(backend, check_id)
    if version is not None and version != check.health_check_version:
        raise Route53Error(
            "HealthCheckVersionMismatch",
            f"The health check {check_id} is at version {check.health_check_version}; the request is for {version}",
        )
    changes = {field: given[field] for field in _UPDATABLE if given.get(field) is not None}
    if "IPAddress" in changes and "IPAddress" not in check.config:
        raise _invalid("An IP address can't be added to an existing health check.")
    config = copy.deepcopy(check.config) | _plain(changes)
    for element in given.get("ResetElements") or ():
        if element not in RESETTABLE:
            raise not_in_enumeration(element, RESETTABLE)
        config.pop(element, None)
    _validate(backend, config)
    if "AlarmIdentifier" in changes:
        check.followed = metric_checks.follow(backend.account_id, config)
    check.config = _with_defaults(config)
    check.health_check_version += 1
    return check


def get(backend: Route53Backend, check_id: str) -> StrictHealthCheck:
    """The health check with an id. Raises Route53Error `NoSuchHealthCheck`."""
    check = backend.health_checks.get(check_id)
    if check is None:
        raise Route53Error("NoSuchHealthCheck", f"A health check with id {check_id} does not exist.")
    assert isinstance(check, StrictHealthCheck)
    return check


def delete(backend: Route53Backend, check_id: str) -> None:
    """Delete a health check, in use or not. Raises Route53Error `NoSuchHealthCheck`."""
    get(backend, check_id)
    del backend.health_checks[check_id]


def _by_caller_reference(backend: Route53Backend) -> dict[str, StrictHealthCheck]:
    """Every check that was ever made, by its caller reference; a reset of the backend forgets them with the rest."""
    found: dict[str, StrictHealthCheck] = backend.__dict__.setdefault("lockstep_health_check_references", {})
    return found


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that say something: absent ones, and empty lists and texts, out."""
    return {field: copy.deepcopy(value) for field, value in config.items() if value not in (None, "", [])}


def _with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """The settings as AWS returns them. Defaults: API reference, HealthCheckConfig."""
    type_ = config["Type"]
    filled = {"Inverted": False, "Disabled": False, **config}
    if type_ == "CALCULATED":
        fields: tuple[str, ...] = _CALCULATED_FIELDS
        filled.setdefault("ChildHealthChecks", [])
    elif type_ == "CLOUDWATCH_METRIC":
        fields = _METRIC_FIELDS
        filled.setdefault("InsufficientDataHealthStatus", "LastKnownStatus")
    else:
        fields = _ENDPOINT_FIELDS
        secure = type_.startswith("HTTPS")
        defaults = {"RequestInterval": 30, "FailureThreshold": 3, "MeasureLatency": False, "EnableSNI": secure}
        filled = {"Port": 443 if secure else 80} | defaults | filled
    return {field: filled[field] for field in (*_COMMON_FIELDS, *fields) if field in filled}


def _validate(backend: Route53Backend, config: dict[str, Any]) -> None:
    type_ = config["Type"]
    if type_ not in TYPES:
        raise not_in_enumeration(type_, TYPES)
    if type_ == "RECOVERY_CONTROL":
        raise NotImplementedError("health checks of type RECOVERY_CONTROL")
    _validate_ranges(config)
    if type_ == "CALCULATED":
        _validate_calculated(backend, config)
    elif type_ == "CLOUDWATCH_METRIC":
        _validate_metric(config)
    else:
        _validate_endpoint(config)


def _validate_ranges(config: dict[str, Any]) -> None:
    """What Route 53's schema says of single fields."""
    check_range(config.get("Port"), 1, 65535, "Port")
    check_range(config.get("FailureThreshold"), 1, 10, "FailureThreshold")
    check_range(config.get("RequestInterval"), INTERVALS[0], INTERVALS[1], "RequestInterval")
    check_range(config.get("HealthThreshold"), 0, MAX_CHILDREN, "HealthThreshold")
    check_length(config.get("ResourcePath"), 0, 255, "ResourcePath")
    check_length(config.get("FullyQualifiedDomainName"), 0, 255, "FullyQualifiedDomainName")
    check_length(config.get("SearchString"), 0, 255, "SearchString")
    for region in config.get("Regions", ()):
        if region not in REGIONS:
            raise not_in_enumeration(region, REGIONS)
    if config.get("InsufficientDataHealthStatus", INSUFFICIENT_DATA[0]) not in INSUFFICIENT_DATA:
        raise not_in_enumeration(config["InsufficientDataHealthStatus"], INSUFFICIENT_DATA)


def _validate_endpoint(config: dict[str, Any]) -> None:
    type_ = config["Type"]
    _must_not_have("Basic", config, (*_METRIC_FIELDS, *_CALCULATED_FIELDS, "RoutingControlArn"))
    if not config.get("IPAddress") and not config.get("FullyQualifiedDomainName"):
        raise _invalid("Basic health checks must have an IP address or a fully qualified domain name specified.")
    if config.get("IPAddress"):
        _validate_address(config["IPAddress"])
    if config.get("RequestInterval", INTERVALS[0]) not in INTERVALS:
        raise _invalid(f"Request interval must be {INTERVALS[0]} or {INTERVALS[1]}, not {config['RequestInterval']}.")
    if type_ == "TCP":
        _must_not_have("TCP", config, ("ResourcePath", "SearchString"))
        if "Port" not in config:
            raise _invalid("TCP health checks must have a port specified.")
    if not config.get("ResourcePath", "/").startswith("/"):
        raise _invalid(f"Resource path must begin with '/': '{config['ResourcePath']}'.")
    if type_.endswith("STR_MATCH"):
        if "SearchString" not in config:
            raise _invalid("String match health checks must have a search string specified.")
    elif type_ != "TCP":
        _must_not_have("HTTP and HTTPS", config, ("SearchString",))
    regions = config.get("Regions")
    if regions is not None and len(set(regions)) < MIN_REGIONS:
        raise _invalid(f"At least {MIN_REGIONS} different regions must be specified, not {sorted(set(regions))}.")


def _validate_address(address: str) -> None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise _invalid(f"'{address}' is not a valid IP address.") from None
    if not parsed.is_global or parsed.is_multicast:
        raise _invalid(f"IP address '{address}' is in a local, private, non-routable or multicast range.")


def _validate_calculated(backend: Route53Backend, config: dict[str, Any]) -> None:
    _must_not_have("Calculated", config, (*_ENDPOINT_FIELDS, *_METRIC_FIELDS, "RoutingControlArn"))
    if config.get("HealthThreshold") is None:
        raise _invalid("Calculated health checks must have a health threshold specified.")
    children = config.get("ChildHealthChecks", [])
    if len(children) > MAX_CHILDREN:
        raise _invalid(f"Calculated health checks must not have more than {MAX_CHILDREN} child health checks.")
    for child in children:
        if child not in backend.health_checks:
            raise _invalid(f"The child health check {child} does not exist.")
        if backend.health_checks[child].type_ == "CALCULATED":
            raise _invalid(f"A calculated health check can't monitor another calculated health check: {child}.")
    if len(set(children)) < len(children):
        raise _invalid("Child health checks must be different.")


def _validate_metric(config: dict[str, Any]) -> None:
    _must_not_have("CloudWatch metric", config, (*_ENDPOINT_FIELDS, *_CALCULATED_FIELDS, "RoutingControlArn"))
    alarm = config.get("AlarmIdentifier")
    if not alarm or not alarm.get("Name") or not alarm.get("Region"):
        raise _invalid("CloudWatch metric health checks must have an alarm name and an metric region specified.")
    check_length(alarm["Name"], 1, 256, "AlarmName")


def _must_not_have(kind: str, config: dict[str, Any], fields: tuple[str, ...]) -> None:
    # False asks for nothing: clients send `MeasureLatency: false` with any type.
    for field in fields:
        if config.get(field) is not None and config[field] is not False:
            raise _invalid(f"{kind} health checks must not have {_SPOKEN[field]} specified.")


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(f"Invalid parameter : {message}")


def _create_response(self: Route53) -> ActionResult:
    check = create(self.backend, self._get_param("CallerReference"), self._get_param("HealthCheckConfig"))
    location = f"https://route53.amazonaws.com/2013-04-01/healthcheck/{check.id}"
    return ActionResult({"HealthCheck": check, "Location": location})


def _update_response(self: Route53) -> ActionResult:
    given = {field: self._get_param(field) for field in (*_UPDATABLE, "ResetElements")}
    version = self._get_int_param("HealthCheckVersion")
    return ActionResult({"HealthCheck": update(self.backend, self._get_param("HealthCheckId"), version, given)})


def _list_response(self: Route53) -> ActionResult:
    marker, max_items = self._get_param("Marker"), min(int(self._get_param("MaxItems") or MAX_ITEMS), MAX_ITEMS)
    checks = sorted(self.backend.health_checks.values(), key=lambda check: str(check.id))
    if marker:
        get(self.backend, marker)
        checks = [check for check in checks if check.id >= marker]
    following = checks[max_items] if len(checks) > max_items else None
    return ActionResult(
        {
            "HealthChecks": checks[:max_items],
            "Marker": marker or "",
            "IsTruncated": following is not None,
            "NextMarker": following and following.id,
            "MaxItems": str(max_items),
        }
    )


def _status_response(self: Route53) -> ActionResult:
    check_id = _observed(self, "GetHealthCheckStatus", "the status of")
    return ActionResult({"HealthCheckObservations": health_checkers.statuses(check_id)})


def _last_failure_response(self: Route53) -> ActionResult:
    check_id = _observed(self, "GetHealthCheckLastFailureReason", "the last failure reason for")
    return ActionResult({"HealthCheckObservations": health_checkers.last_failures(check_id)})


def _observed(responses: Route53, operation: str, what: str) -> str:
    """The id of the check that a request is about, one that checkers look at.

    Raises Route53Error `NoSuchHealthCheck`, InvalidInputError or NotImplementedError.
    """
    check_id = str(responses._get_param("HealthCheckId"))
    type_ = get(responses.backend, check_id).config["Type"]
    if type_ == "CALCULATED":
        raise _invalid(f"{operation} can't be used to get {what} a calculated health check: {check_id}.")
    if type_ not in ENDPOINT_TYPES:
        raise NotImplementedError(f"{what} a health check of type {type_}: AWS doesn't document what it answers")
    return check_id


def _backend_delete(_: Any, self: Route53Backend, health_check_id: str) -> None:
    delete(self, health_check_id)


def _add_status() -> None:
    replace(Route53, "get_health_check_status", _status_response)
    # moto has neither the operation nor its path.
    setattr(Route53, _LAST_FAILURE, _last_failure_response)
    path = r"{0}/(?P<api_version>[\d_-]+)/healthcheck/(?P<health_check_id>[^/]+)/lastfailurereason$"
    urls.url_paths[path] = Route53.dispatch


def _replace_create_and_update() -> None:
    replace(Route53, "create_health_check", _create_response)
    replace(Route53, "update_health_check", _update_response)


CHANGES = (
    Change(
        name="route53-health-check-settings",
        why="moto takes any settings, loses AlarmIdentifier and InsufficientDataHealthStatus, never counts "
        "HealthCheckVersion and makes a new check for a repeated caller reference. AWS refuses settings that are out "
        "of range or belong to another type, counts versions, and knows caller references, those of deleted checks "
        "included (API reference, HealthCheckConfig, CreateHealthCheck, UpdateHealthCheck). Type, RequestInterval and "
        "MeasureLatency can't be updated: UpdateHealthCheck has no such fields. The settings of the alarm that a "
        "CLOUDWATCH_METRIC check names are copied, so that it has to exist (Developer Guide, 'Updating health checks "
        "when you change CloudWatch alarm settings').",
        apply=_replace_create_and_update,
    ),
    Change(
        name="route53-health-check-deletion",
        why="moto says nothing when the check doesn't exist; AWS says NoSuchHealthCheck. A check that records use can "
        "be deleted: AWS doesn't prevent it, HealthCheckInUse is 'not in use', and the records keep its id (API "
        "reference, DeleteHealthCheck and HealthCheckInUse). The same holds here for a child of a calculated check, "
        "about which the reference says nothing.",
        apply=lambda: wrap(Route53Backend, "delete_health_check", _backend_delete),
    ),
    Change(
        name="route53-health-check-listing",
        why="moto leaves out Marker, IsTruncated and MaxItems, which are required members of the answer, and doesn't "
        "page (API reference, ListHealthChecks).",
        apply=lambda: replace(Route53, "list_health_checks", _list_response),
    ),
    Change(
        name="route53-health-check-status",
        why="moto says 'Success: HTTP Status Code: 200' of every check, from one checker, whatever the endpoint does. "
        "AWS shows what each checker has found, and refuses calculated checks (API reference, GetHealthCheckStatus and "
        "GetHealthCheckLastFailureReason); so does the sandbox. What AWS answers for CLOUDWATCH_METRIC checks isn't "
        "documented: not supported here.",
        apply=_add_status,
    ),
)
