"""Application load balancers, listeners and target groups as strict as AWS.

Only application load balancers: the sandbox's balancers speak HTTP. Target health is moto's until machines run.
"""

import random
import re
from typing import Any, NoReturn

from moto.acm.exceptions import CertificateNotFound
from moto.acm.models import acm_backends
from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import ELBv2Backend, FakeTargetGroup
from moto.elbv2.responses import ELBV2Response
from moto.elbv2.ssl_policies import SSL_POLICIES

from sandbox.api.change import Change, wrap

# AWS General Reference, "Elastic Load Balancing endpoints and quotas": hosted zone of application load balancers. Alias
# records name it, so a wrong one is a record that AWS refuses.
HOSTED_ZONES = {
    "af-south-1": "Z268VQBMOI5EKX",
    "ap-east-1": "Z3DQVH9N71FHZ0",
    "ap-northeast-1": "Z14GRHDCWA56QT",
    "ap-northeast-2": "ZWKZPGTI48KDX",
    "ap-northeast-3": "Z5LXEXXYW11ES",
    "ap-south-1": "ZP97RAFLXTNZK",
    "ap-south-2": "Z0173938T07WNTVAEPZN",
    "ap-southeast-1": "Z1LMS91P8CMLE5",
    "ap-southeast-2": "Z1GM3OXH4ZPM65",
    "ap-southeast-3": "Z08888821HLRG5A9ZRTER",
    "ap-southeast-4": "Z09517862IB2WZLPXG76F",
    "ap-southeast-5": "Z06010284QMVVW7WO5J",
    "ap-southeast-7": "Z0390008CMBRTHFGWBCB",
    "ca-central-1": "ZQSVJUPU6J1EY",
    "ca-west-1": "Z06473681N0SF6OS049SD",
    "eu-central-1": "Z215JYRZR1TBD5",
    "eu-central-2": "Z06391101F2ZOEP8P5EB3",
    "eu-north-1": "Z23TAZ6LKFMNIO",
    "eu-south-1": "Z3ULH7SSC9OV64",
    "eu-south-2": "Z0956581394HF5D5LXGAP",
    "eu-west-1": "Z32O12XQLNTSW2",
    "eu-west-2": "ZHURV8PSTC4K8",
    "eu-west-3": "Z3Q77PNBQS71R4",
    "il-central-1": "Z09170902867EHPV2DABU",
    "me-central-1": "Z08230872XQRWHG2XF6I",
    "me-south-1": "ZS929ML54UICD",
    "sa-east-1": "Z2P70J7HTTTPLU",
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
}

# Elastic Load Balancing API Reference, CreateLoadBalancer.
NAME_MAX = 32
# User Guide for Application Load Balancers, "Subnets for your load balancer": two zones, /27 and 8 free addresses each.
ZONES_MIN = 2
FREE_ADDRESSES_MIN = 8
SCHEMES = ("internet-facing", "internal")

BOOLEAN = ("true", "false")
# Elastic Load Balancing API Reference, LoadBalancerAttribute: allowed values, or (low, high), or None for any text.
LOAD_BALANCER_ATTRIBUTES: dict[str, tuple[str, ...] | tuple[int, int] | None] = {
    "access_logs.s3.bucket": None,
    "access_logs.s3.enabled": BOOLEAN,
    "access_logs.s3.prefix": None,
    "client_keep_alive.seconds": (60, 604800),
    "connection_logs.s3.bucket": None,
    "connection_logs.s3.enabled": BOOLEAN,
    "connection_logs.s3.prefix": None,
    "deletion_protection.enabled": BOOLEAN,
    "health_check_logs.s3.bucket": None,
    "health_check_logs.s3.enabled": BOOLEAN,
    "health_check_logs.s3.prefix": None,
    "idle_timeout.timeout_seconds": (1, 4000),
    "ipv6.deny_all_igw_traffic": BOOLEAN,
    # Always on for application load balancers.
    "load_balancing.cross_zone.enabled": ("true",),
    "routing.http.desync_mitigation_mode": ("monitor", "defensive", "strictest"),
    "routing.http.drop_invalid_header_fields.enabled": BOOLEAN,
    "routing.http.preserve_host_header.enabled": BOOLEAN,
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": BOOLEAN,
    "routing.http.xff_client_port.enabled": BOOLEAN,
    "routing.http.xff_header_processing.mode": ("append", "preserve", "remove"),
    "routing.http2.enabled": BOOLEAN,
    "waf.fail_open.enabled": BOOLEAN,
    "zonal_shift.config.enabled": BOOLEAN,
}
LOAD_BALANCER_DEFAULTS = {
    "access_logs.s3.bucket": "",
    "access_logs.s3.enabled": "false",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "health_check_logs.s3.bucket": "",
    "health_check_logs.s3.enabled": "false",
    "health_check_logs.s3.prefix": "",
    "idle_timeout.timeout_seconds": "60",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}

# Elastic Load Balancing API Reference, TargetGroupAttribute, those of instance and ip targets of an HTTP group.
TARGET_GROUP_ATTRIBUTES: dict[str, tuple[str, ...] | tuple[int, int] | None] = {
    "deregistration_delay.timeout_seconds": (0, 3600),
    "load_balancing.algorithm.anomaly_mitigation": ("on", "off"),
    "load_balancing.algorithm.type": ("round_robin", "least_outstanding_requests", "weighted_random"),
    "load_balancing.cross_zone.enabled": ("true", "false", "use_load_balancer_configuration"),
    "slow_start.duration_seconds": (0, 900),
    "stickiness.app_cookie.cookie_name": None,
    "stickiness.app_cookie.duration_seconds": (1, 604800),
    "stickiness.enabled": BOOLEAN,
    "stickiness.lb_cookie.duration_seconds": (1, 604800),
    "stickiness.type": ("lb_cookie", "app_cookie"),
    "target_group_health.dns_failover.minimum_healthy_targets.count": None,
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": None,
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": None,
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": None,
}
TARGET_GROUP_DEFAULTS = {
    "deregistration_delay.timeout_seconds": "300",
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "slow_start.duration_seconds": "0",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.enabled": "false",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.type": "lb_cookie",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}

# Elastic Load Balancing API Reference, CreateTargetGroup: limits of a health check; interval and timeout in seconds.
INTERVAL = (5, 300)
TIMEOUT = (2, 120)
THRESHOLD = (2, 10)
PATH_MAX = 1024
# "The codes to use when checking for a healthy target": 200 to 499 for application load balancers.
CODES = (200, 499)
MATCHER = re.compile(r"\d{3}(?:-\d{3})?(?:,\d{3}(?:-\d{3})?)*")
HTTP = ("HTTP", "HTTPS")


def _refuse(code: str, message: str) -> NoReturn:
    raise ELBClientError(code, message)


def _unsupported(what: str) -> NoReturn:
    _refuse("NotImplemented", f"the sandbox doesn't support {what}")


# --- load balancers -------------------------------------------------------------------------------------------


def _check_name(kind: str, name: str) -> None:
    if not name:
        _refuse("ValidationError", f"{kind} name cannot be blank")
    if len(name) > NAME_MAX:
        _refuse("ValidationError", f"{kind} name '{name}' cannot be longer than '{NAME_MAX}' characters")
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        _refuse(
            "ValidationError",
            f"{kind} name '{name}' can only contain characters that are alphanumeric characters and hyphens(-)",
        )
    if name.startswith("-") or name.endswith("-"):
        _refuse("ValidationError", f"{kind} name '{name}' cannot begin or end with '-'")


def _check_subnets(backend: Any, subnet_ids: list[str], scheme: str) -> list[Any]:
    known = {subnet.id: subnet for subnet in backend.ec2_backend.describe_subnets()}
    for subnet_id in subnet_ids:
        if subnet_id not in known:
            _refuse("SubnetNotFound", f"The subnet ID '{subnet_id}' does not exist")
    subnets = [known[subnet_id] for subnet_id in subnet_ids]
    zones = [subnet.availability_zone for subnet in subnets]
    if len(set(zones)) < len(zones):
        _refuse(
            "InvalidConfigurationRequest",
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        )
    if len(zones) < ZONES_MIN:
        _refuse("ValidationError", "At least two subnets in two different Availability Zones must be specified")
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        _refuse("InvalidConfigurationRequest", "All subnets must belong to the same VPC")
    for subnet in subnets:
        if subnet.available_ip_address_count < FREE_ADDRESSES_MIN:
            _refuse(
                "InvalidSubnet",
                f"Not enough IP space available in {subnet.id}. ELB requires at least {FREE_ADDRESSES_MIN} free IP "
                "addresses in each subnet.",
            )
    vpc_id = subnets[0].vpc_id
    gateways = backend.ec2_backend.internet_gateways.values()
    if scheme == "internet-facing" and not any(gateway.vpc and gateway.vpc.id == vpc_id for gateway in gateways):
        _refuse("InvalidSubnet", f"VPC {vpc_id} has no internet gateway")
    return subnets


def _check_groups(backend: Any, groups: list[str], vpc_id: str) -> list[str]:
    """The groups of a balancer in `vpc_id`: those given, if all are the VPC's own, else its default one."""
    for group_id in groups:
        group = backend.ec2_backend.get_security_group_from_id(group_id)
        if group is None or group.vpc_id != vpc_id:
            _refuse("InvalidConfigurationRequest", "One or more security groups are invalid")
    return groups or [backend.ec2_backend.get_default_security_group(vpc_id).id]


def _same_settings(balancer: Any, settings: dict[str, Any]) -> bool:
    return bool(
        set(balancer.security_groups) == set(settings["security_groups"])
        and {subnet.id for subnet in balancer.subnets} == set(settings["subnet_ids"])
        and balancer.scheme == settings["scheme"]
        and balancer.ip_address_type == settings["ip_address_type"]
    )


def _dns_name(name: str, scheme: str, region: str) -> str:
    # User Guide for Application Load Balancers: name-id.region.elb.amazonaws.com, internal- before it if internal.
    prefix = "internal-" if scheme == "internal" else ""
    return f"{prefix}{name}-{random.randint(10**8, 2 * 10**9)}.{region}.elb.amazonaws.com".lower()


def _create_load_balancer(
    original: Any,
    backend: Any,
    name: str,
    security_groups: list[str],
    subnet_ids: list[str],
    subnet_mappings: list[dict[str, str]] | None = None,
    scheme: str | None = None,
    loadbalancer_type: str | None = None,
    ip_address_type: str = "ipv4",
    tags: list[dict[str, str]] | None = None,
) -> Any:
    if loadbalancer_type not in (None, "application"):
        _unsupported(f"load balancers of type {loadbalancer_type}")
    _check_name("The load balancer", name)
    if name.startswith("internal-"):
        _refuse("ValidationError", f"The load balancer name '{name}' cannot begin with 'internal-'")
    scheme = scheme or "internet-facing"
    if scheme not in SCHEMES:
        _refuse("InvalidScheme", f"Load balancer scheme '{scheme}' must be one of {', '.join(SCHEMES)}")
    if backend.region_name not in HOSTED_ZONES:
        _unsupported(f"load balancers in {backend.region_name}")
    if any(set(mapping) - {"SubnetId"} for mapping in subnet_mappings or []):
        _unsupported("subnet mappings with addresses of their own")
    wanted = [*subnet_ids, *(mapping["SubnetId"] for mapping in subnet_mappings or [])]
    subnets = _check_subnets(backend, wanted, scheme)
    groups = _check_groups(backend, security_groups, subnets[0].vpc_id)
    settings = {
        "security_groups": groups,
        "subnet_ids": wanted,
        "scheme": scheme,
        "ip_address_type": ip_address_type,
    }
    for existing in backend.load_balancers.values():
        if existing.name == name:
            if _same_settings(existing, settings):
                return existing
            _refuse(
                "DuplicateLoadBalancerName",
                f"A load balancer with the same name '{name}' exists, but with different settings",
            )
    balancer = original(backend, name, loadbalancer_type="application", tags=tags, **settings)
    balancer.dns_name = _dns_name(name, scheme, backend.region_name)
    balancer.canonical_hosted_zone_id = HOSTED_ZONES[backend.region_name]
    balancer.attrs = dict(LOAD_BALANCER_DEFAULTS)
    return balancer


def _balancer(backend: Any, arn: str) -> Any:
    if arn not in backend.load_balancers:
        _refuse("LoadBalancerNotFound", f"Load balancer '{arn}' not found")
    return backend.load_balancers[arn]


def _describe_load_balancers(original: Any, backend: Any, arns: Any, names: Any) -> Any:
    known_names = {balancer.name for balancer in backend.load_balancers.values()}
    missing = [arn for arn in arns or [] if arn not in backend.load_balancers]
    missing += [name for name in names or [] if name not in known_names]
    if missing:
        _refuse("LoadBalancerNotFound", f"Load balancers '[{', '.join(missing)}]' not found")
    return original(backend, arns, names)


def _delete_load_balancer(original: Any, backend: Any, arn: str) -> None:
    balancer = backend.load_balancers.get(arn)
    if balancer and balancer.attrs["deletion_protection.enabled"] == "true":
        _refuse(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )
    original(backend, arn)
    for group in backend.target_groups.values():
        group.load_balancer_arns = [used for used in group.load_balancer_arns if used != arn]


def _check_attributes(
    kind: str, attributes: dict[str, str], rules: dict[str, tuple[str, ...] | tuple[int, int] | None]
) -> None:
    for key, value in attributes.items():
        if key not in rules:
            _refuse("ValidationError", f"{kind} attribute key '{key}' is not recognized")
        rule = rules[key]
        if rule is None:
            continue
        if isinstance(rule[0], int):
            low, high = rule
            if not value.isdigit() or not int(low) <= int(value) <= int(high):
                _refuse("ValidationError", f"'{key}' value '{value}' must be between '{low}-{high}' inclusive")
        elif value not in rule:
            _refuse("ValidationError", f"'{key}' value '{value}' must be one of [{', '.join(map(str, rule))}]")


def _modify_load_balancer_attributes(_original: Any, backend: Any, arn: str, attrs: dict[str, str]) -> dict[str, str]:
    balancer = _balancer(backend, arn)
    _check_attributes("Load balancer", attrs, LOAD_BALANCER_ATTRIBUTES)
    changed = {**balancer.attrs, **attrs}
    for log in ("access_logs", "connection_logs", "health_check_logs"):
        if changed[f"{log}.s3.enabled"] == "true" and not changed[f"{log}.s3.bucket"]:
            _refuse("InvalidConfigurationRequest", f"{log}.s3.bucket must be set when {log}.s3.enabled is true")
    balancer.attrs = changed
    return changed


def _set_security_groups(original: Any, backend: Any, arn: str, sec_groups: list[str]) -> None:
    balancer = _balancer(backend, arn)
    _check_groups(backend, sec_groups, balancer.vpc_id)
    original(backend, arn, sec_groups)


def _set_subnets(original: Any, backend: Any, arn: str, subnets: list[str], mappings: list[dict[str, Any]]) -> Any:
    balancer = _balancer(backend, arn)
    wanted = [*subnets, *(mapping["SubnetId"] for mapping in mappings)]
    chosen = _check_subnets(backend, wanted, balancer.scheme)
    if chosen[0].vpc_id != balancer.vpc_id:
        _refuse(
            "InvalidConfigurationRequest", f"The subnets are not in the VPC '{balancer.vpc_id}' of the load balancer"
        )
    return original(backend, arn, subnets, mappings)


# --- listeners ------------------------------------------------------------------------------------------------


def _check_port(port: Any, parameter: str = "port") -> None:
    if port is not None and not 1 <= int(port) <= 65535:
        bound = "greater than or equal to 1" if int(port) < 1 else "less than or equal to 65535"
        _refuse(
            "ValidationError",
            f"1 validation error detected: Value '{port}' at '{parameter}' failed to satisfy constraint: Member must "
            f"have value {bound}",
        )


def _check_certificate(backend: Any, arn: str) -> None:
    if ":acm:" not in arn:
        if not backend._certificate_exists(certificate_arn=arn):
            _refuse("CertificateNotFound", f"Certificate '{arn}' not found")
        return
    try:
        certificate = acm_backends[backend.account_id][backend.region_name].describe_certificate(arn)
    except CertificateNotFound:
        _refuse("CertificateNotFound", f"Certificate '{arn}' not found")
    if certificate.status != "ISSUED":
        _refuse(
            "UnsupportedCertificate",
            f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported "
            "key size.",
        )


def _check_security(backend: Any, protocol: str, certificates: list[str], policy: str | None) -> None:
    if protocol == "HTTPS" and not certificates:
        _refuse("ValidationError", "A certificate must be specified for HTTPS listeners")
    if protocol == "HTTP" and certificates:
        _refuse("InvalidConfigurationRequest", "Certificates are not supported for HTTP listeners")
    for certificate in certificates:
        _check_certificate(backend, certificate)
    if policy and policy not in SSL_POLICIES:
        _refuse("SSLPolicyNotFound", f"SSL policy '{policy}' not found")


def _check_forwards(backend: Any, balancer: Any, actions: list[dict[str, Any]]) -> None:
    for action in actions:
        for arn in backend._get_target_group_arns_from(action):
            group = backend.target_groups.get(arn)
            if group is None:
                _refuse("TargetGroupNotFound", f"Target group '{arn}' not found")
            if group.vpc_id != balancer.vpc_id:
                _refuse(
                    "InvalidConfigurationRequest",
                    f"The target group '{arn}' and the load balancer '{balancer.arn}' are not in the same VPC",
                )
            if any(used != balancer.arn for used in group.load_balancer_arns):
                _refuse(
                    "TargetGroupAssociationLimit",
                    f"The following target groups cannot be associated with more than one load balancer: {arn}",
                )


def _check_free_port(balancer: Any, port: Any, but: str | None = None) -> None:
    for listener in balancer.listeners.values():
        if listener.arn != but and str(listener.port) == str(port):
            _refuse(
                "DuplicateListener",
                f"A listener already exists on this port for this load balancer '{balancer.arn}'",
            )


def _create_listener(original: Any, responses: Any) -> Any:
    backend, certificates = responses.elbv2_backend, responses._get_param("Certificates", [])
    balancer = _balancer(backend, responses._get_param("LoadBalancerArn"))
    protocol, port = responses._get_param("Protocol"), responses._get_param("Port")
    _check_port(port)
    _check_free_port(balancer, port)
    arns = [certificate["CertificateArn"] for certificate in certificates]
    _check_security(backend, protocol, arns, responses._get_param("SslPolicy"))
    _check_forwards(backend, balancer, responses._get_param("DefaultActions", []))
    result = original(responses)
    if protocol == "HTTP":
        # moto gives every listener a TLS policy.
        for listener in balancer.listeners.values():
            if str(listener.port) == str(port):
                listener.ssl_policy = None
    return result


def _listener(backend: Any, arn: str) -> tuple[Any, Any]:
    for balancer in backend.load_balancers.values():
        if arn in balancer.listeners:
            return balancer, balancer.listeners[arn]
    _refuse("ListenerNotFound", f"One or more listeners not found: '{arn}'")


def _modify_listener(original: Any, responses: Any) -> Any:
    backend = responses.elbv2_backend
    balancer, listener = _listener(backend, responses._get_param("ListenerArn"))
    port, protocol = responses._get_param("Port"), responses._get_param("Protocol") or listener.protocol
    _check_port(port)
    if port is not None:
        _check_free_port(balancer, port, but=listener.arn)
    given = [certificate["CertificateArn"] for certificate in responses._get_param("Certificates", [])]
    kept = listener.certificates if listener.protocol == protocol == "HTTPS" else []
    _check_security(backend, protocol, given or kept, responses._get_param("SslPolicy"))
    actions = responses._get_param("DefaultActions", [])
    _check_forwards(backend, balancer, actions)
    result = original(responses)
    for action in actions:
        for arn in backend._get_target_group_arns_from(action):
            group = backend.target_groups[arn]
            if balancer.arn not in group.load_balancer_arns:
                group.load_balancer_arns.append(balancer.arn)
    return result


# --- target groups --------------------------------------------------------------------------------------------


def _check_between(what: str, value: Any, limits: tuple[int, int]) -> None:
    low, high = limits
    if value is not None and not low <= int(value) <= high:
        _refuse("ValidationError", f"{what} '{value}' must be between '{low}' and '{high}' inclusive")


def _check_matcher(codes: str | None) -> None:
    if codes is None:
        return
    low, high = CODES
    numbers = [int(code) for code in re.findall(r"\d+", codes)]
    if not MATCHER.fullmatch(codes) or not all(low <= number <= high for number in numbers):
        _refuse("ValidationError", f"Health check matcher HTTP code '{codes}' must be within '{low}-{high}' inclusive")


def _check_health_check(
    *,
    interval: Any,
    timeout: Any,
    healthy: Any,
    unhealthy: Any,
    path: str | None,
    port: Any,
    codes: str | None,
    protocol: str | None,
) -> None:
    _check_between("Health check interval", interval, INTERVAL)
    _check_between("Health check timeout", timeout, TIMEOUT)
    _check_between("Healthy threshold count", healthy, THRESHOLD)
    _check_between("Unhealthy threshold count", unhealthy, THRESHOLD)
    if protocol is not None and protocol not in HTTP:
        _refuse("InvalidConfigurationRequest", f"Health check protocol '{protocol}' must be one of {', '.join(HTTP)}")
    if port not in (None, "traffic-port"):
        if not str(port).isdigit():
            _refuse(
                "ValidationError", f"Health check port '{port}' must be between '1-65535' inclusive or 'traffic-port'"
            )
        _check_port(port, "healthCheckPort")
    if path is not None and not path.startswith("/"):
        _refuse("ValidationError", f"Health check path '{path}' must begin with a '/' character")
    if path is not None and len(path) > PATH_MAX:
        _refuse("ValidationError", f"Health check path cannot be longer than '{PATH_MAX}' characters")
    _check_matcher(codes)
    if interval is not None and timeout is not None and int(timeout) >= int(interval):
        _refuse("ValidationError", f"Health check timeout '{timeout}' must be smaller than the interval '{interval}'")


def _check_group(backend: Any, name: str, settings: dict[str, Any]) -> None:
    _check_name("Target group", name)
    if settings.get("target_type") not in ("instance", "ip"):
        _unsupported(f"target groups of type {settings.get('target_type')}")
    if settings.get("protocol") not in HTTP:
        _unsupported(f"target groups with protocol {settings.get('protocol')}")
    _check_port(settings.get("port"))
    if settings.get("vpc_id") not in backend.ec2_backend.vpcs:
        _refuse("ValidationError", f"The VPC ID '{settings.get('vpc_id')}' is not found")
    # What a request leaves out is the default of an HTTP group: 30 s and 5 s.
    _check_health_check(
        interval=settings.get("healthcheck_interval_seconds") or 30,
        timeout=settings.get("healthcheck_timeout_seconds") or 5,
        healthy=settings.get("healthy_threshold_count"),
        unhealthy=settings.get("unhealthy_threshold_count"),
        path=settings.get("healthcheck_path"),
        port=settings.get("healthcheck_port"),
        codes=(settings.get("matcher") or {}).get("HttpCode"),
        protocol=settings.get("healthcheck_protocol"),
    )


# What CreateTargetGroup gives moto, and where moto's target group keeps it.
GROUP_SETTINGS = {
    "protocol": "protocol",
    "port": "port",
    "vpc_id": "vpc_id",
    "target_type": "target_type",
    "healthcheck_protocol": "health_check_protocol",
    "healthcheck_port": "health_check_port",
    "healthcheck_path": "health_check_path",
    "healthcheck_interval_seconds": "health_check_interval_seconds",
    "healthcheck_timeout_seconds": "health_check_timeout_seconds",
    "healthy_threshold_count": "healthy_threshold_count",
    "unhealthy_threshold_count": "unhealthy_threshold_count",
    "matcher": "matcher",
}


def _create_target_group(original: Any, backend: Any, name: str, **settings: Any) -> Any:
    _check_group(backend, name, settings)
    for existing in backend.target_groups.values():
        if existing.name == name:
            if all(
                str(getattr(existing, attribute)) == str(settings[key])
                for key, attribute in GROUP_SETTINGS.items()
                if settings.get(key) is not None
            ):
                return existing
            _refuse(
                "DuplicateTargetGroupName",
                f"A target group with the same name '{name}' exists, but with different settings",
            )
    group = original(backend, name, **settings)
    group.attributes = dict(TARGET_GROUP_DEFAULTS)
    return group


def _modify_target_group(original: Any, backend: Any, arn: str, *args: Any, **kwargs: Any) -> Any:
    names = ("proto", "port", "path", "interval", "timeout", "healthy", "unhealthy", "codes")
    given = dict(zip(names, args, strict=False))
    group = backend.target_groups.get(arn)
    if group is None:
        _refuse("TargetGroupNotFound", f"One or more target groups not found: '{arn}'")
    interval, timeout = given.get("interval"), given.get("timeout")
    _check_health_check(
        interval=group.health_check_interval_seconds if interval is None else interval,
        timeout=group.health_check_timeout_seconds if timeout is None else timeout,
        healthy=given.get("healthy"),
        unhealthy=given.get("unhealthy"),
        path=given.get("path"),
        port=given.get("port"),
        codes=given.get("codes"),
        protocol=given.get("proto"),
    )
    return original(backend, arn, *args, **kwargs)


def _modify_target_group_attributes(_original: Any, backend: Any, target_group_arn: str, attributes: Any) -> None:
    group = backend.target_groups.get(target_group_arn)
    if group is None:
        _refuse("TargetGroupNotFound", f"One or more target groups not found: '{target_group_arn}'")
    _check_attributes("Target group", attributes, TARGET_GROUP_ATTRIBUTES)
    slow_start = attributes.get("slow_start.duration_seconds", "0")
    if 0 < int(slow_start) < 30:
        _refuse(
            "ValidationError", f"'slow_start.duration_seconds' value '{slow_start}' must be 0 or '30-900' inclusive"
        )
    changed = {**group.attributes, **attributes}
    if changed["stickiness.type"] == "app_cookie" and not changed["stickiness.app_cookie.cookie_name"]:
        _refuse(
            "InvalidConfigurationRequest",
            "You must set an application cookie name to enable stickiness of type 'app_cookie'",
        )
    group.attributes = changed


def _register(original: Any, group: Any, targets: list[dict[str, Any]]) -> None:
    if group.target_type == "instance":
        _check_instances(group, [target["Id"] for target in targets])
    for target in targets:
        _check_port(target.get("Port"), "targets.member.port")
    original(group, targets)


def _check_instances(group: Any, instance_ids: list[str]) -> None:
    for instance_id in instance_ids:
        if not re.fullmatch(r"i-[0-9a-f]{8,17}", instance_id):
            _refuse("ValidationError", f"Instance ID '{instance_id}' is not valid")
    instances = {instance_id: group.ec2_backend.get_instance_by_id(instance_id) for instance_id in instance_ids}
    missing = [f"'{identifier}'" for identifier, instance in instances.items() if instance is None]
    if missing:
        _refuse("InvalidTarget", f"The following instances do not exist: {', '.join(missing)}")
    idle = [f"'{identifier}'" for identifier, instance in instances.items() if instance.state != "running"]
    if idle:
        _refuse(
            "InvalidTarget",
            f"The following targets are not in a running state and cannot be registered: {', '.join(idle)}",
        )
    foreign = [f"'{identifier}'" for identifier, instance in instances.items() if instance.vpc_id != group.vpc_id]
    if foreign:
        _refuse(
            "InvalidTarget",
            f"The following targets are not in the target group VPC '{group.vpc_id}': {', '.join(foreign)}",
        )


def _deregister(original: Any, group: Any, targets: list[dict[str, Any]]) -> None:
    # API Reference, DeregisterTargets: "If the specified target does not exist, the action returns successfully."
    original(group, [target for target in targets if target["Id"] in group.targets])


def _describe_tags(original: Any, backend: Any, resource_arns: list[str]) -> Any:
    for arn in resource_arns:
        backend._get_resource_by_arn(arn)
    return original(backend, resource_arns)


def _apply_load_balancers() -> None:
    wrap(ELBv2Backend, "create_load_balancer", _create_load_balancer)
    wrap(ELBv2Backend, "describe_load_balancers", _describe_load_balancers)
    wrap(ELBv2Backend, "set_security_groups", _set_security_groups)
    wrap(ELBv2Backend, "set_subnets", _set_subnets)


def _apply_listeners() -> None:
    wrap(ELBV2Response, "create_listener", _create_listener)
    wrap(ELBV2Response, "modify_listener", _modify_listener)


def _apply_target_groups() -> None:
    wrap(ELBv2Backend, "create_target_group", _create_target_group)
    wrap(ELBv2Backend, "modify_target_group", _modify_target_group)
    wrap(ELBv2Backend, "modify_target_group_attributes", _modify_target_group_attributes)


def _apply_targets() -> None:
    wrap(FakeTargetGroup, "register", _register)
    wrap(FakeTargetGroup, "deregister", _deregister)


CHANGES: tuple[Change, ...] = (
    Change(
        name="elbv2-load-balancers",
        why=(
            "moto makes two balancers of one name, in one subnet, with any name, scheme or security group, gives every "
            "region the hosted zone Z2P70J7EXAMPLE and the same DNS name to the same name. AWS: Elastic Load Balancing "
            "API Reference, CreateLoadBalancer, SetSubnets, SetSecurityGroups; hosted zones: AWS General Reference."
        ),
        apply=_apply_load_balancers,
    ),
    Change(
        name="elbv2-deletion-protection",
        why=(
            "moto deletes protected balancers. AWS answers OperationNotPermitted until deletion_protection.enabled is "
            "false (Elastic Load Balancing API Reference, DeleteLoadBalancer)."
        ),
        apply=lambda: wrap(ELBv2Backend, "delete_load_balancer", _delete_load_balancer),
    ),
    Change(
        name="elbv2-load-balancer-attributes",
        why=(
            "moto checks the keys of attributes only and lists few of the defaults. AWS checks values and gives every "
            "attribute (Elastic Load Balancing API Reference, LoadBalancerAttribute)."
        ),
        apply=lambda: wrap(ELBv2Backend, "modify_load_balancer_attributes", _modify_load_balancer_attributes),
    ),
    Change(
        name="elbv2-listeners",
        why=(
            "moto takes a second listener on a port, certificates that don't exist or aren't issued, HTTPS without "
            "one, and a target group of another VPC or balancer. AWS: Elastic Load Balancing API Reference, "
            "CreateListener, ModifyListener (DuplicateListener, CertificateNotFound, UnsupportedCertificate, "
            "TargetGroupAssociationLimit)."
        ),
        apply=_apply_listeners,
    ),
    Change(
        name="elbv2-target-groups",
        why=(
            "moto takes any interval, timeout, threshold, path and matcher, and refuses to create again what exists "
            "with the same settings. AWS: Elastic Load Balancing API Reference, CreateTargetGroup, "
            "ModifyTargetGroup, TargetGroupAttribute."
        ),
        apply=_apply_target_groups,
    ),
    Change(
        name="elbv2-tags",
        why=(
            "moto answers with no tags for what doesn't exist. AWS answers …NotFound (Elastic Load Balancing API "
            "Reference, DescribeTags)."
        ),
        apply=lambda: wrap(ELBv2Backend, "describe_tags", _describe_tags),
    ),
    Change(
        name="elbv2-targets",
        why=(
            "moto registers instances that don't exist or are in another VPC, and refuses to deregister what isn't "
            "registered. AWS: Elastic Load Balancing API Reference, RegisterTargets (InvalidTarget), DeregisterTargets."
        ),
        apply=_apply_targets,
    ),
)
