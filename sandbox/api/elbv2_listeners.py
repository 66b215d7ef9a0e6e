"""Listeners as strict as AWS: ports, certificates, and the target groups that they forward to."""

from typing import Any

from moto.acm.exceptions import CertificateNotFound
from moto.acm.models import acm_backends
from moto.elbv2.responses import ELBV2Response
from moto.elbv2.ssl_policies import SSL_POLICIES

from sandbox.api.change import Change, wrap
from sandbox.api.elbv2_actions import check_actions
from sandbox.api.elbv2_error import check_port, refuse
from sandbox.api.elbv2_load_balancers import balancer_with


def _check_certificate(backend: Any, arn: str) -> None:
    if ":acm:" not in arn:
        if not backend._certificate_exists(certificate_arn=arn):
            refuse("CertificateNotFound", f"Certificate '{arn}' not found")
        return
    try:
        certificate = acm_backends[backend.account_id][backend.region_name].describe_certificate(arn)
    except CertificateNotFound:
        refuse("CertificateNotFound", f"Certificate '{arn}' not found")
    if certificate.status != "ISSUED":
        refuse(
            "UnsupportedCertificate",
            f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported "
            "key size.",
        )


def _check_security(backend: Any, protocol: str, certificates: list[str], policy: str | None) -> None:
    if protocol == "HTTPS" and not certificates:
        refuse("ValidationError", "A certificate must be specified for HTTPS listeners")
    if protocol == "HTTP" and certificates:
        refuse("InvalidConfigurationRequest", "Certificates are not supported for HTTP listeners")
    for certificate in certificates:
        _check_certificate(backend, certificate)
    if policy and policy not in SSL_POLICIES:
        refuse("SSLPolicyNotFound", f"SSL policy '{policy}' not found")


def _check_free_port(balancer: Any, port: Any, but: str | None = None) -> None:
    for listener in balancer.listeners.values():
        if listener.arn != but and str(listener.port) == str(port):
            refuse(
                "DuplicateListener",
                f"A listener already exists on this port for this load balancer '{balancer.arn}'",
            )


def _create_listener(original: Any, responses: Any) -> Any:
    backend, certificates = responses.elbv2_backend, responses._get_param("Certificates", [])
    balancer = balancer_with(backend, responses._get_param("LoadBalancerArn"))
    protocol, port = responses._get_param("Protocol"), responses._get_param("Port")
    check_port(port)
    _check_free_port(balancer, port)
    arns = [certificate["CertificateArn"] for certificate in certificates]
    _check_security(backend, protocol, arns, responses._get_param("SslPolicy"))
    check_actions(backend, balancer, protocol, responses._get_param("DefaultActions", []))
    result = original(responses)
    if protocol == "HTTP":
        # moto gives every listener a TLS policy.
        for listener in balancer.listeners.values():
            if str(listener.port) == str(port):
                listener.ssl_policy = None
    return result


def listener_with(backend: Any, arn: str) -> tuple[Any, Any]:
    """The listener of an ARN, after its load balancer; or AWS's refusal."""
    owners = {each: balancer for balancer in backend.load_balancers.values() for each in balancer.listeners}
    if arn not in owners:
        refuse("ListenerNotFound", f"One or more listeners not found: '{arn}'")
    return owners[arn], owners[arn].listeners[arn]


def _modify_listener(original: Any, responses: Any) -> Any:
    backend = responses.elbv2_backend
    balancer, listener = listener_with(backend, responses._get_param("ListenerArn"))
    port, protocol = responses._get_param("Port"), responses._get_param("Protocol") or listener.protocol
    check_port(port)
    # moto has AWS's rule for new listeners only.
    backend._validate_port_and_protocol(balancer.type, port or listener.port, protocol)
    if port is not None:
        _check_free_port(balancer, port, but=listener.arn)
    given = [certificate["CertificateArn"] for certificate in responses._get_param("Certificates", [])]
    kept = listener.certificates if listener.protocol == protocol == "HTTPS" else []
    _check_security(backend, protocol, given or kept, responses._get_param("SslPolicy"))
    actions = responses._get_param("DefaultActions", [])
    check_actions(backend, balancer, protocol, actions)
    return original(responses)


def _apply() -> None:
    wrap(ELBV2Response, "create_listener", _create_listener)
    wrap(ELBV2Response, "modify_listener", _modify_listener)


CHANGES: tuple[Change, ...] = (
    Change(
        name="elbv2-listeners",
        why=(
            "moto takes a second listener on a port, certificates that don't exist or aren't issued, HTTPS without "
            "one, changes to a protocol that the load balancer doesn't have, and a target group of another VPC or "
            "balancer. AWS: Elastic Load Balancing API Reference, CreateListener, ModifyListener (DuplicateListener, "
            "CertificateNotFound, UnsupportedCertificate, TargetGroupAssociationLimit)."
        ),
        apply=_apply,
    ),
)
