"""Elastic Load Balancing: application load balancers, target groups and listeners.

Network and gateway load balancers aren't part of the sandbox: their types, protocols and properties are refused by
name.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from sandbox.provider.aws import Aws
from sandbox.provider.calls import (
    ID,
    Call,
    UnusableAnswerError,
    creating,
    deleting,
    joining,
    reading,
    search,
    tag_list,
    updating,
    wait_for,
)
from sandbox.provider.schema import (
    AutoName,
    Change,
    Kind,
    Property,
    ResourceType,
    State,
    Update,
    ValueCheck,
    block,
    block_set,
    blocks,
    boolean,
    integer,
    length,
    one_of,
    output,
    string,
    string_set,
)
from sandbox.provider.shapes import from_aws, to_aws
from sandbox.provider.values import Json, is_unknown

# Elastic Load Balancing API Reference, CreateLoadBalancer and CreateTargetGroup: `Name`.
NAME_LENGTH = 32
# terraform-provider-aws, aws_lb "Timeouts": seconds until a new or changed balancer must be active.
_ACTIVE_TIMEOUT = 600.0


def _check_name(value: Json) -> str | None:
    if len(value) > NAME_LENGTH:
        return f"expected at most {NAME_LENGTH} characters, got {len(value)}: {value!r}"
    if not re.fullmatch(r"[0-9A-Za-z-]+", value):
        return f"only alphanumeric characters and hyphens are allowed, got {value!r}"
    if value.startswith("-") or value.endswith("-"):
        return f"must not begin or end with a hyphen, got {value!r}"
    return None


def _check_balancer_name(value: Json) -> str | None:
    return f'must not begin with "internal-", got {value!r}' if value.startswith("internal-") else _check_name(value)


def _check_balancer_type(value: Json) -> str | None:
    return None if value == "application" else f"the sandbox has application load balancers only, got {value}"


def _write_tags(aws: Aws, id: str, state: State, add: dict[str, str], remove: list[str]) -> None:
    if remove:
        aws.call("elbv2", "remove_tags", ResourceArns=[id], TagKeys=remove)
    if add:
        aws.call("elbv2", "add_tags", ResourceArns=[id], Tags=tag_list(add))


_read_tags = reading(
    Call("elbv2", "describe_tags", {"ResourceArns": [ID]}), result="TagDescriptions[0]", outputs={}, tags="Tags"
)


def _unless_there(
    create: Callable[[Aws, State], str], operation: str, missing: str, what: str
) -> Callable[[Aws, State], str]:
    """`create`, refused if something of that name exists.

    AWS answers a second creation with the same settings with the resource that is there: two programs would own it.
    """

    def checked(aws: Aws, inputs: State) -> str:
        client = aws.client("elbv2")
        try:
            getattr(client, operation)(Names=[inputs["name"]])
        except getattr(client.exceptions, missing):
            return create(aws, inputs)
        raise UnusableAnswerError(f"ELBv2 {what} ({inputs['name']}) already exists")

    return checked


def _attribute_text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _attribute_value(prop: Property, text: str) -> Json:
    match prop.kind:
        case Kind.BOOLEAN:
            return text == "true"
        case Kind.INTEGER:
            return int(text)
        case _:
            return text


def _by_key(answer: Mapping[str, Json]) -> dict[str, str]:
    return {item["Key"]: item["Value"] for item in answer["Attributes"]}


def _pairs(attributes: Mapping[str, Json]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": _attribute_text(value)} for key, value in attributes.items() if value is not None]


# Load balancer

# Elastic Load Balancing API Reference, LoadBalancerAttribute: the attributes of application load balancers.
_BALANCER_ATTRIBUTES = {
    "clientKeepAlive": "client_keep_alive.seconds",
    "desyncMitigationMode": "routing.http.desync_mitigation_mode",
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
    "enableHttp2": "routing.http2.enabled",
    "enableTlsVersionAndCipherSuiteHeaders": "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
    "enableWafFailOpen": "waf.fail_open.enabled",
    "enableXffClientPort": "routing.http.xff_client_port.enabled",
    "enableZonalShift": "zonal_shift.config.enabled",
    "idleTimeout": "idle_timeout.timeout_seconds",
    "preserveHostHeader": "routing.http.preserve_host_header.enabled",
    "xffHeaderProcessingMode": "routing.http.xff_header_processing.mode",
}
_LOGS = {"accessLogs": "access_logs.s3", "connectionLogs": "connection_logs.s3"}

_log_fields = {"bucket": string(required=True), "enabled": boolean(default=False), "prefix": string()}


def _log_attributes(prefix: str, logs: State | None) -> dict[str, Json]:
    if not logs or not logs.get("enabled"):
        return {f"{prefix}.enabled": False}
    return {
        f"{prefix}.enabled": True,
        f"{prefix}.bucket": logs["bucket"],
        f"{prefix}.prefix": logs.get("prefix", ""),
    }


def _change_balancer_attributes(aws: Aws, change: Change) -> None:
    wanted = {key: change.new.get(name) for name, key in _BALANCER_ATTRIBUTES.items() if name in change.changed}
    for name, prefix in _LOGS.items():
        if name in change.changed:
            wanted |= _log_attributes(prefix, change.new.get(name))
    aws.call("elbv2", "modify_load_balancer_attributes", LoadBalancerArn=change.id, Attributes=_pairs(wanted))


def _read_logs(prefix: str, attributes: Mapping[str, str], prior: State | None) -> State | None:
    if attributes.get(f"{prefix}.enabled") != "true":
        # AWS keeps no bucket for logs that are off, so what the program says stays.
        return prior if prior and not prior.get("enabled") else None
    return {
        "enabled": True,
        "bucket": attributes.get(f"{prefix}.bucket"),
        "prefix": attributes.get(f"{prefix}.prefix") or None,
    }


def _read_balancer_attributes(aws: Aws, id: str, state: State) -> State:
    found = _by_key(aws.call("elbv2", "describe_load_balancer_attributes", LoadBalancerArn=id))
    current: State = {
        name: _attribute_value(LOAD_BALANCER.properties[name], found[key])
        for name, key in _BALANCER_ATTRIBUTES.items()
        if key in found
    }
    return current | {name: _read_logs(prefix, found, state.get(name)) for name, prefix in _LOGS.items()}


def _balancer_suffix(aws: Aws, id: str, state: State) -> State:
    return {"arnSuffix": id.partition(":loadbalancer/")[2]}


def _wait_until_active(aws: Aws, id: str, state: State) -> None:
    def observe() -> str:
        answer = aws.call("elbv2", "describe_load_balancers", LoadBalancerArns=[id])
        return str(search("LoadBalancers[0].State.Code", answer))

    wait_for(observe, "active", f"load balancer {state.get('name')} to be active", _ACTIVE_TIMEOUT)


def _scheme(inputs: State) -> str:
    return "internal" if inputs.get("internal") else "internet-facing"


LOAD_BALANCER = ResourceType(
    token="aws:lb/loadBalancer:LoadBalancer",
    properties={
        "name": string(replaces=True, check=_check_balancer_name, auto_name=AutoName(max_length=NAME_LENGTH)),
        "internal": boolean(computed=True, replaces=True),
        "loadBalancerType": string(default="application", replaces=True, check=_check_balancer_type),
        "ipAddressType": string(computed=True, check=one_of("ipv4", "dualstack", "dualstack-without-public-ipv4")),
        # pulumi-aws takes `subnetMappings` instead, which only network load balancers need.
        "subnets": string_set(required=True),
        "securityGroups": string_set(computed=True),
        # Ranges and modes: Elastic Load Balancing API Reference, LoadBalancerAttribute.
        "clientKeepAlive": integer(60, 604800, default=3600),
        "desyncMitigationMode": string(default="defensive", check=one_of("monitor", "defensive", "strictest")),
        "dropInvalidHeaderFields": boolean(default=False),
        "enableDeletionProtection": boolean(default=False),
        "enableHttp2": boolean(default=True),
        "enableTlsVersionAndCipherSuiteHeaders": boolean(default=False),
        "enableWafFailOpen": boolean(default=False),
        "enableXffClientPort": boolean(default=False),
        "enableZonalShift": boolean(default=False),
        "idleTimeout": integer(1, 4000, default=60),
        "preserveHostHeader": boolean(default=False),
        "xffHeaderProcessingMode": string(default="append", check=one_of("append", "preserve", "remove")),
        "accessLogs": block(_log_fields),
        "connectionLogs": block(_log_fields),
        "arn": output(),
        "arnSuffix": output(),
        "dnsName": output(),
        "vpcId": output(),
        "zoneId": output(),
    },
    create=_unless_there(
        creating(
            Call(
                "elbv2",
                "create_load_balancer",
                {
                    "Name": "name",
                    "Type": "loadBalancerType",
                    "Scheme": _scheme,
                    "IpAddressType": "ipAddressType",
                    "Subnets": "subnets",
                    "SecurityGroups": "securityGroups",
                },
            ),
            id="LoadBalancers[0].LoadBalancerArn",
            tags="Tags",
        ),
        "describe_load_balancers",
        "LoadBalancerNotFoundException",
        "application Load Balancer",
    ),
    ready=_wait_until_active,
    read=joining(
        reading(
            Call("elbv2", "describe_load_balancers", {"LoadBalancerArns": [ID]}),
            result="LoadBalancers[0]",
            outputs={
                "name": "LoadBalancerName",
                "internal": "Scheme == 'internal'",
                "loadBalancerType": "Type",
                "ipAddressType": "IpAddressType",
                "subnets": "AvailabilityZones[].SubnetId",
                "securityGroups": "SecurityGroups",
                "arn": "LoadBalancerArn",
                "dnsName": "DNSName",
                "vpcId": "VpcId",
                "zoneId": "CanonicalHostedZoneId",
            },
            missing=("LoadBalancerNotFound",),
        ),
        _balancer_suffix,
        _read_balancer_attributes,
        _read_tags,
    ),
    updates=(
        Update(
            properties=(*_BALANCER_ATTRIBUTES, *_LOGS),
            on_create=True,
            run=_change_balancer_attributes,
        ),
        Update(
            properties=("securityGroups",),
            run=updating(
                Call("elbv2", "set_security_groups", {"LoadBalancerArn": ID, "SecurityGroups": "securityGroups"})
            ),
        ),
        Update(
            properties=("subnets",),
            run=updating(Call("elbv2", "set_subnets", {"LoadBalancerArn": ID, "Subnets": "subnets"})),
        ),
        Update(
            properties=("ipAddressType",),
            run=updating(
                Call("elbv2", "set_ip_address_type", {"LoadBalancerArn": ID, "IpAddressType": "ipAddressType"})
            ),
        ),
    ),
    delete=deleting(Call("elbv2", "delete_load_balancer", {"LoadBalancerArn": ID}), missing=("LoadBalancerNotFound",)),
    write_tags=_write_tags,
)


# Target group

# Elastic Load Balancing API Reference, TargetGroupAttribute: those of groups of instances and of addresses.
_GROUP_ATTRIBUTES = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "loadBalancingAlgorithmType": "load_balancing.algorithm.type",
    "loadBalancingAnomalyMitigation": "load_balancing.algorithm.anomaly_mitigation",
    "loadBalancingCrossZoneEnabled": "load_balancing.cross_zone.enabled",
    "slowStart": "slow_start.duration_seconds",
}
_HEALTH_ATTRIBUTES = {
    "dnsFailover": {
        "minimumHealthyTargetsCount": "target_group_health.dns_failover.minimum_healthy_targets.count",
        "minimumHealthyTargetsPercentage": "target_group_health.dns_failover.minimum_healthy_targets.percentage",
    },
    "unhealthyStateRouting": {
        "minimumHealthyTargetsCount": "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "minimumHealthyTargetsPercentage": (
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage"
        ),
    },
}


def _check_health_path(value: Json) -> str | None:
    if not value.startswith("/"):
        return f'must begin with "/", got {value!r}'
    return length(1, 1024)(value)


def _check_health_port(value: Json) -> str | None:
    if value == "traffic-port" or (value.isdigit() and 1 <= int(value) <= 65535):
        return None
    return f'expected "traffic-port" or a number from 1 to 65535, got {value!r}'


def _off_or(check: Callable[[int], bool], form: str) -> ValueCheck:
    """A check for "off" or a whole number in text."""

    def checked(value: Json) -> str | None:
        if value == "off" or (value.isdigit() and check(int(value))):
            return None
        return f'expected "off" or {form}, got {value!r}'

    return checked


_off_or_count = _off_or(lambda number: number >= 1, "a number from 1")
_off_or_percentage = _off_or(lambda number: 1 <= number <= 100, "a number from 1 to 100")


def _check_slow_start(value: Json) -> str | None:
    return None if value == 0 or 30 <= value <= 900 else f"expected 0 (off) or a number from 30 to 900, got {value}"


_HEALTH_CHECK = block(
    {
        "enabled": boolean(default=True),
        "healthyThreshold": integer(2, 10, default=3),
        "interval": integer(5, 300, default=30),
        "matcher": string(computed=True),
        "path": string(computed=True, check=_check_health_path),
        "port": string(default="traffic-port", check=_check_health_port),
        "protocol": string(default="HTTP", check=one_of("HTTP", "HTTPS")),
        "timeout": integer(2, 120, computed=True),
        "unhealthyThreshold": integer(2, 10, default=3),
    },
    computed=True,
)
_STICKINESS = block(
    {
        "type": string(required=True, check=one_of("lb_cookie", "app_cookie")),
        "enabled": boolean(default=True),
        "cookieDuration": integer(0, 604800, default=86400),
        "cookieName": string(),
    },
    computed=True,
)
_TARGET_GROUP_HEALTH = block(
    {
        "dnsFailover": block(
            {
                "minimumHealthyTargetsCount": string(default="off", check=_off_or_count),
                "minimumHealthyTargetsPercentage": string(default="off", check=_off_or_percentage),
            },
            computed=True,
        ),
        "unhealthyStateRouting": block(
            {
                "minimumHealthyTargetsCount": integer(1, None, default=1),
                "minimumHealthyTargetsPercentage": string(default="off", check=_off_or_percentage),
            },
            computed=True,
        ),
    },
    computed=True,
)


def _matcher(inputs: State) -> Json:
    matcher = (inputs.get("healthCheck") or {}).get("matcher")
    key = "GrpcCode" if inputs.get("protocolVersion") == "GRPC" else "HttpCode"
    return {key: matcher} if matcher else None


_HEALTH_CHECK_PARAMETERS = {
    "HealthCheckEnabled": "healthCheck.enabled",
    "HealthCheckIntervalSeconds": "healthCheck.interval",
    "HealthCheckPath": "healthCheck.path",
    "HealthCheckPort": "healthCheck.port",
    "HealthCheckProtocol": "healthCheck.protocol",
    "HealthCheckTimeoutSeconds": "healthCheck.timeout",
    "HealthyThresholdCount": "healthCheck.healthyThreshold",
    "UnhealthyThresholdCount": "healthCheck.unhealthyThreshold",
    "Matcher": _matcher,
}


def _stickiness_attributes(stickiness: State | None) -> dict[str, Json]:
    if not stickiness:
        return {"stickiness.enabled": False}
    cookie = stickiness["type"]
    return {
        "stickiness.enabled": stickiness["enabled"],
        "stickiness.type": cookie,
        f"stickiness.{cookie}.duration_seconds": stickiness["cookieDuration"],
        "stickiness.app_cookie.cookie_name": stickiness.get("cookieName") if cookie == "app_cookie" else None,
    }


def _health_attributes(health: State | None) -> dict[str, Json]:
    return {
        key: (health or {}).get(part, {}).get(field)
        for part, fields in _HEALTH_ATTRIBUTES.items()
        for field, key in fields.items()
    }


def _change_group_attributes(aws: Aws, change: Change) -> None:
    wanted = {key: change.new.get(name) for name, key in _GROUP_ATTRIBUTES.items() if name in change.changed}
    if "stickiness" in change.changed:
        wanted |= _stickiness_attributes(change.new.get("stickiness"))
    if "targetGroupHealth" in change.changed:
        wanted |= _health_attributes(change.new.get("targetGroupHealth"))
    aws.call("elbv2", "modify_target_group_attributes", TargetGroupArn=change.id, Attributes=_pairs(wanted))


def _read_stickiness(found: Mapping[str, str]) -> State | None:
    cookie = found.get("stickiness.type")
    if cookie is None:
        return None
    duration = found.get(f"stickiness.{cookie}.duration_seconds")
    return {
        "type": cookie,
        "enabled": found.get("stickiness.enabled") == "true",
        "cookieDuration": int(duration) if duration else _STICKINESS.fields["cookieDuration"].default,
        "cookieName": found.get("stickiness.app_cookie.cookie_name") or None,
    }


def _read_group_health(found: Mapping[str, str]) -> State:
    return {
        part: {
            field: _attribute_value(_TARGET_GROUP_HEALTH.fields[part].fields[field], found[key])
            for field, key in fields.items()
            if key in found
        }
        for part, fields in _HEALTH_ATTRIBUTES.items()
    }


def _read_group_attributes(aws: Aws, id: str, state: State) -> State:
    found = _by_key(aws.call("elbv2", "describe_target_group_attributes", TargetGroupArn=id))
    current: State = {
        name: _attribute_value(TARGET_GROUP.properties[name], found[key])
        for name, key in _GROUP_ATTRIBUTES.items()
        if key in found
    }
    return current | {"stickiness": _read_stickiness(found), "targetGroupHealth": _read_group_health(found)}


def _group_suffix(aws: Aws, id: str, state: State) -> State:
    return {"arnSuffix": id.rpartition(":")[2]}


def _check_timeout(inputs: State) -> Iterable[tuple[str, str]]:
    # terraform-provider-aws checks this while it plans; AWS refuses it too.
    check = inputs.get("healthCheck")
    if not isinstance(check, dict):
        return
    timeout, interval = check.get("timeout"), check.get("interval")
    if isinstance(timeout, int) and isinstance(interval, int) and timeout >= interval:
        yield "healthCheck.timeout", f"must be smaller than the interval of {interval} s, got {timeout}"


TARGET_GROUP = ResourceType(
    token="aws:lb/targetGroup:TargetGroup",
    properties={
        "name": string(replaces=True, check=_check_name, auto_name=AutoName(max_length=NAME_LENGTH)),
        "port": integer(1, 65535, required=True, replaces=True),
        "protocol": string(required=True, replaces=True, check=one_of("HTTP", "HTTPS")),
        "protocolVersion": string(computed=True, replaces=True, check=one_of("HTTP1", "HTTP2", "GRPC")),
        "vpcId": string(required=True, replaces=True),
        "targetType": string(default="instance", replaces=True, check=one_of("instance", "ip")),
        "ipAddressType": string(computed=True, replaces=True, check=one_of("ipv4", "ipv6")),
        "healthCheck": _HEALTH_CHECK,
        "deregistrationDelay": integer(0, 3600, default=300),
        "slowStart": Property(kind=Kind.INTEGER, default=0, check=_check_slow_start),
        "loadBalancingAlgorithmType": string(
            computed=True, check=one_of("round_robin", "least_outstanding_requests", "weighted_random")
        ),
        "loadBalancingAnomalyMitigation": string(computed=True, check=one_of("on", "off")),
        "loadBalancingCrossZoneEnabled": string(
            computed=True, check=one_of("true", "false", "use_load_balancer_configuration")
        ),
        "stickiness": _STICKINESS,
        "targetGroupHealth": _TARGET_GROUP_HEALTH,
        "arn": output(),
        "arnSuffix": output(),
        "loadBalancerArns": output(Kind.SET, element=string()),
    },
    create=_unless_there(
        creating(
            Call(
                "elbv2",
                "create_target_group",
                {
                    "Name": "name",
                    "Port": "port",
                    "Protocol": "protocol",
                    "ProtocolVersion": "protocolVersion",
                    "VpcId": "vpcId",
                    "TargetType": "targetType",
                    "IpAddressType": "ipAddressType",
                    **_HEALTH_CHECK_PARAMETERS,
                },
            ),
            id="TargetGroups[0].TargetGroupArn",
            tags="Tags",
        ),
        "describe_target_groups",
        "TargetGroupNotFoundException",
        "Target Group",
    ),
    read=joining(
        reading(
            Call("elbv2", "describe_target_groups", {"TargetGroupArns": [ID]}),
            result="TargetGroups[0]",
            outputs={
                "name": "TargetGroupName",
                "port": "Port",
                "protocol": "Protocol",
                "protocolVersion": "ProtocolVersion",
                "vpcId": "VpcId",
                "targetType": "TargetType",
                "ipAddressType": "IpAddressType",
                "healthCheck": "{enabled: HealthCheckEnabled, healthyThreshold: HealthyThresholdCount, "
                "interval: HealthCheckIntervalSeconds, matcher: Matcher.HttpCode || Matcher.GrpcCode, "
                "path: HealthCheckPath, port: HealthCheckPort, protocol: HealthCheckProtocol, "
                "timeout: HealthCheckTimeoutSeconds, unhealthyThreshold: UnhealthyThresholdCount}",
                "arn": "TargetGroupArn",
                "loadBalancerArns": "LoadBalancerArns",
            },
            missing=("TargetGroupNotFound",),
        ),
        _group_suffix,
        _read_group_attributes,
        _read_tags,
    ),
    updates=(
        Update(
            properties=("healthCheck",),
            run=updating(Call("elbv2", "modify_target_group", {"TargetGroupArn": ID, **_HEALTH_CHECK_PARAMETERS})),
        ),
        Update(
            properties=(*_GROUP_ATTRIBUTES, "stickiness", "targetGroupHealth"),
            on_create=True,
            run=_change_group_attributes,
        ),
    ),
    delete=deleting(Call("elbv2", "delete_target_group", {"TargetGroupArn": ID}), missing=("TargetGroupNotFound",)),
    write_tags=_write_tags,
    validate=_check_timeout,
)


# Listener

_ACTION_NAMES = {
    "arn": "TargetGroupArn",
    "duration": "DurationSeconds",
    "fixedResponse": "FixedResponseConfig",
    "forward": "ForwardConfig",
    "redirect": "RedirectConfig",
    "stickiness": "TargetGroupStickinessConfig",
}
# Action type, and the properties of an action that configure it.
_ACTION_CONFIGURATION = {
    "forward": ("targetGroupArn", "forward"),
    "redirect": ("redirect",),
    "fixed-response": ("fixedResponse",),
}


def _check_status_code(value: Json) -> str | None:
    return None if re.fullmatch(r"[245]\d\d", value) else f"expected 2xx, 4xx or 5xx, got {value!r}"


_TARGETS = block_set({"arn": string(required=True), "weight": integer(0, 999, default=1)}, required=True)
_ACTIONS = blocks(
    {
        "type": string(required=True, check=one_of(*_ACTION_CONFIGURATION)),
        "order": integer(1, 50000, computed=True),
        # AWS answers with both forms when an action forwards to one target group, whichever the program chose.
        "targetGroupArn": string(computed=True),
        "forward": block(
            {
                "targetGroups": _TARGETS,
                "stickiness": block(
                    {"duration": integer(1, 604800, required=True), "enabled": boolean(default=False)}, computed=True
                ),
            },
            computed=True,
        ),
        "redirect": block(
            {
                "statusCode": string(required=True, check=one_of("HTTP_301", "HTTP_302")),
                "host": string(default="#{host}", check=length(1, 128)),
                "path": string(default="/#{path}", check=length(1, 128)),
                "port": string(default="#{port}"),
                "protocol": string(default="#{protocol}", check=one_of("#{protocol}", "HTTP", "HTTPS")),
                "query": string(default="#{query}", check=length(0, 128)),
            }
        ),
        "fixedResponse": block(
            {
                "contentType": string(
                    required=True,
                    check=one_of("text/plain", "text/css", "text/html", "application/javascript", "application/json"),
                ),
                "messageBody": string(check=length(0, 1024)),
                "statusCode": string(computed=True, check=_check_status_code),
            }
        ),
    },
    required=True,
)


def _check_actions(inputs: State) -> Iterable[tuple[str, str]]:
    actions = inputs.get("defaultActions")
    for index, action in enumerate(actions if isinstance(actions, list) else ()):
        if is_unknown(action) or is_unknown(action["type"]):
            continue
        fitting = _ACTION_CONFIGURATION[action["type"]]
        path = f"defaultActions[{index}]"
        if not any(name in action for name in fitting):
            yield path, f"an action of type {action['type']!r} needs {' or '.join(fitting)}"
        for name in (name for names in _ACTION_CONFIGURATION.values() for name in names):
            if name in action and name not in fitting:
                yield f"{path}.{name}", f"can't be set on an action of type {action['type']!r}"


def _default_actions(inputs: State) -> Json:
    actions = to_aws(_ACTIONS, inputs["defaultActions"], _ACTION_NAMES)
    return [{"Order": index, **action} for index, action in enumerate(actions, start=1)]


def _certificates(inputs: State) -> Json:
    arn = inputs.get("certificateArn")
    return [{"CertificateArn": arn}] if arn else None


def _ssl_policy(inputs: State) -> Json:
    # The policy that AWS chose stays in the state when a listener leaves HTTPS, and AWS refuses it on HTTP.
    return inputs.get("sslPolicy") if inputs.get("protocol") == "HTTPS" else None


_LISTENER_PARAMETERS = {
    "Port": "port",
    # terraform-provider-aws: HTTP when an application load balancer's listener names no protocol.
    "Protocol": lambda inputs: inputs.get("protocol") or "HTTP",
    "SslPolicy": _ssl_policy,
    "Certificates": _certificates,
    "DefaultActions": _default_actions,
}


def _read_actions(aws: Aws, id: str, state: State) -> State:
    actions = sorted(state["defaultActions"] or (), key=lambda action: action.get("Order") or 0)
    return {"defaultActions": from_aws(_ACTIONS, actions, _ACTION_NAMES)}


LISTENER = ResourceType(
    token="aws:lb/listener:Listener",
    properties={
        "loadBalancerArn": string(required=True, replaces=True),
        "port": integer(1, 65535),
        "protocol": string(computed=True, check=one_of("HTTP", "HTTPS")),
        "sslPolicy": string(computed=True),
        "certificateArn": string(),
        "defaultActions": _ACTIONS,
        "arn": output(),
    },
    create=creating(
        Call("elbv2", "create_listener", {"LoadBalancerArn": "loadBalancerArn", **_LISTENER_PARAMETERS}),
        id="Listeners[0].ListenerArn",
        tags="Tags",
    ),
    read=joining(
        reading(
            Call("elbv2", "describe_listeners", {"ListenerArns": [ID]}),
            result="Listeners[0]",
            outputs={
                "loadBalancerArn": "LoadBalancerArn",
                "port": "Port",
                "protocol": "Protocol",
                "sslPolicy": "SslPolicy",
                "certificateArn": "Certificates[0].CertificateArn",
                "defaultActions": "DefaultActions",
                "arn": "ListenerArn",
            },
            missing=("ListenerNotFound", "LoadBalancerNotFound"),
        ),
        _read_actions,
        _read_tags,
    ),
    updates=(
        Update(
            properties=("port", "protocol", "sslPolicy", "certificateArn", "defaultActions"),
            run=updating(Call("elbv2", "modify_listener", {"ListenerArn": ID, **_LISTENER_PARAMETERS})),
        ),
    ),
    delete=deleting(Call("elbv2", "delete_listener", {"ListenerArn": ID}), missing=("ListenerNotFound",)),
    write_tags=_write_tags,
    validate=_check_actions,
)
