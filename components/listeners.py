"""Where a site's balancer takes requests: HTTP, or HTTPS with HTTP redirected to it."""

from typing import Final

import pulumi
from pulumi_aws import lb

HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
# TLS 1.3, and 1.2 with forward secrecy: what FSBP's control ELB.17 takes, and browsers of the last ten years speak
# (User Guide for Application Load Balancers, "Security policies").
_TLS_POLICY: Final = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def listener_port(*, https: bool) -> int:
    """The port where requests are answered, not redirected: what health checks ask."""
    return HTTPS_PORT if https else HTTP_PORT


def declare_listeners(
    name: str,
    balancer: lb.LoadBalancer,
    targets: lb.TargetGroup,
    certificate_arn: pulumi.Input[str] | None,
    opts: pulumi.ResourceOptions,
) -> list[lb.Listener]:
    """The listeners of `balancer`: one that forwards to `targets`, and with a certificate one that redirects to it."""
    if certificate_arn is None:
        return [_http(name, balancer, _forward(targets), opts)]
    secure = lb.Listener(
        f"{name}-https",
        load_balancer_arn=balancer.arn,
        protocol="HTTPS",
        port=HTTPS_PORT,
        ssl_policy=_TLS_POLICY,
        certificate_arn=certificate_arn,
        default_actions=[_forward(targets)],
        opts=opts,
    )
    # Redirects begin once there is somebody at the other port.
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[secure]))
    redirect: lb.ListenerDefaultActionArgsDict = {
        "type": "redirect",
        "redirect": {"protocol": "HTTPS", "port": str(HTTPS_PORT), "status_code": "HTTP_301"},
    }
    return [_http(name, balancer, redirect, after), secure]


def _http(
    name: str, balancer: lb.LoadBalancer, action: lb.ListenerDefaultActionArgsDict, opts: pulumi.ResourceOptions
) -> lb.Listener:
    return lb.Listener(
        f"{name}-http",
        load_balancer_arn=balancer.arn,
        protocol="HTTP",
        port=HTTP_PORT,
        default_actions=[action],
        opts=opts,
    )


def _forward(targets: lb.TargetGroup) -> lb.ListenerDefaultActionArgsDict:
    return {"type": "forward", "target_group_arn": targets.arn}
