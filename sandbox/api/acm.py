"""Certificates of ACM's: asked for, issued once the zone has the records that ACM asks for, and kept while in use.

Sources: ACM API Reference, RequestCertificate, CertificateDetail, DeleteCertificate; User Guide, "DNS validation",
"Setting up DNS validation". A certificate is signed by the sandbox's own authority, so that balancers can use it.
"""

import hashlib
import re
from typing import Any, Final, NoReturn

from moto.acm.exceptions import CertificateNotFound
from moto.acm.models import AWSCertificateManagerBackend, CertBundle, datetime_to_epoch
from moto.acm.responses import AWSCertificateManagerResponse
from moto.core.exceptions import AWSError
from moto.core.utils import utcnow
from moto.elbv2.models import elbv2_backends
from moto.route53.models import route53_backends

from sandbox.api import acm_authority, backends
from sandbox.api.change import Change, wrap

# RequestCertificate: the common name of RFC 5280, and what a name of a certificate may be.
COMMON_NAME_MAX: Final = 64
NAME_MAX: Final = 253
_NAME: Final = re.compile(r"(\*\.)?(((?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9])\.)+((?!-)[A-Za-z0-9-]{1,62}[A-Za-z0-9])")
PENDING: Final = "PENDING_VALIDATION"
ISSUED: Final = "ISSUED"
# What is asked for and would be ignored.
_UNSUPPORTED: Final = ("CertificateAuthorityArn", "DomainValidationOptions", "ManagedBy")


def _refuse(code: str, message: str) -> NoReturn:
    raise AWSError(message, exception_type=code)


def _unsupported(what: str) -> NoReturn:
    _refuse("NotImplemented", f"the sandbox doesn't support {what}")


def challenge(account: str, name: str) -> tuple[str, str]:
    """Name and value of the record that proves `name`: the same in every region, and for a name and its wildcard."""
    base = name.removeprefix("*.").lower()
    digests = [hashlib.md5(f"{each} {account} {base}".encode(), usedforsecurity=False).hexdigest() for each in "nv"]
    return f"_{digests[0]}.{base}.", f"_{digests[1]}.{digests[1][:10]}.acm-validations.aws."


def _is_proved(account: str, name: str) -> bool:
    """Whether a public zone answers with the record. Parents of another account's zones aren't looked at."""
    record, value = challenge(account, name)
    zones = [
        zone
        for backend in backends.every(route53_backends)
        for zone in backend.zones.values()
        if not zone.private_zone and record.endswith(f".{zone.name.lower()}")
    ]
    # The zone whose name is the longest is the one that the parents delegate to.
    responsible = max(zones, key=lambda zone: len(zone.name), default=None)
    if responsible is None:
        return False
    return any(
        each.name.lower() == record and each.type == "CNAME" and list(each.records or ()) == [value]
        for each in responsible.rrsets
    )


def _check_request(original: Any, responses: Any) -> Any:
    names = [responses._get_param("DomainName"), *(responses._get_param("SubjectAlternativeNames") or ())]
    for name in names:
        if not name or len(name) > NAME_MAX or not _NAME.fullmatch(name):
            _refuse("ValidationException", f"The domain name {name!r} isn't a fully qualified domain name.")
    if len(names[0]) > COMMON_NAME_MAX:
        _refuse(
            "ValidationException",
            f"The first domain name can be at most {COMMON_NAME_MAX} characters long, and {names[0]!r} has "
            f"{len(names[0])}",
        )
    for parameter in _UNSUPPORTED:
        if responses._get_param(parameter):
            _unsupported(f"certificates with {parameter}")
    method = responses._get_param("ValidationMethod") or "EMAIL"
    if method != "DNS":
        _unsupported(f"certificates with ValidationMethod {method}: use DNS")
    algorithm = responses._get_param("KeyAlgorithm") or "RSA_2048"
    if algorithm != "RSA_2048":
        _unsupported(f"certificates with KeyAlgorithm {algorithm}")
    if (responses._get_param("Options") or {}).get("Export") == "ENABLED":
        _unsupported("certificates that can be exported")
    return original(responses)


def _request(
    _original: Any,
    backend: AWSCertificateManagerBackend,
    domain_name: str,
    idempotency_token: str | None,
    subject_alt_names: list[str] | None,
    tags: list[dict[str, str]] | None,
    *_: Any,
) -> str:
    if idempotency_token is not None:
        known = backend._get_arn_from_idempotency_token(idempotency_token)
        if known in backend._certificates:
            return str(known)
    names = list(dict.fromkeys([domain_name, *(subject_alt_names or ())]))
    issued = acm_authority.issue(names)
    bundle: Any = CertBundle(
        backend.account_id,
        issued.certificate,
        issued.key,
        region=backend.region_name,
        cert_type="AMAZON_ISSUED",
        cert_status=PENDING,
    )
    bundle.chain, bundle.lockstep_account = issued.chain, backend.account_id
    if idempotency_token is not None:
        backend._set_idempotency_token_arn(idempotency_token, bundle.arn)
    backend._certificates[bundle.arn] = bundle
    bundle.tags.add(tags or [])
    return str(bundle.arn)


def _check(original: Any, bundle: Any) -> None:
    """ACM looks at the records by itself, within minutes; here whenever somebody asks."""
    account = bundle.__dict__.get("lockstep_account")
    if account is None:
        original(bundle)
    elif bundle.status == PENDING and all(_is_proved(account, name) for name in bundle.sans):
        bundle.status, bundle.lockstep_issued = ISSUED, utcnow()


def users(arn: str) -> list[str]:
    """The ARNs of the balancers that use a certificate."""
    return sorted(
        {
            balancer.arn
            for backend in backends.every(elbv2_backends)
            for balancer in backend.load_balancers.values()
            for listener in balancer.listeners.values()
            if arn in (listener.certificates or ())
        }
    )


def _describe(original: Any, bundle: Any) -> dict[str, Any]:
    described: dict[str, Any] = original(bundle)
    certificate = described["Certificate"]
    certificate["InUseBy"] = users(bundle.arn)
    account = bundle.__dict__.get("lockstep_account")
    if account is None:
        return described
    issued = bundle.status == ISSUED
    certificate["DomainValidationOptions"] = [_option(account, name, issued=issued) for name in bundle.sans]
    certificate["RenewalEligibility"] = "ELIGIBLE" if issued and certificate["InUseBy"] else "INELIGIBLE"
    if issued:
        certificate["IssuedAt"] = datetime_to_epoch(bundle.lockstep_issued)
    else:
        for name in ("IssuedAt", "NotAfter", "NotBefore", "Serial", "Issuer"):
            certificate.pop(name, None)
    return described


def _option(account: str, name: str, *, issued: bool) -> dict[str, Any]:
    record, value = challenge(account, name)
    return {
        "DomainName": name,
        "ValidationDomain": name,
        "ValidationStatus": "SUCCESS" if issued else PENDING,
        "ValidationMethod": "DNS",
        "ResourceRecord": {"Name": record, "Type": "CNAME", "Value": value},
    }


def _get(original: Any, responses: Any) -> Any:
    backend, arn = responses.acm_backend, responses._get_param("CertificateArn")
    if arn in backend._certificates and backend.get_certificate(arn).status == PENDING:
        _refuse("RequestInProgressException", f"Certificate {arn} is not yet issued.")
    return original(responses)


def _delete(original: Any, backend: AWSCertificateManagerBackend, arn: str) -> None:
    if arn not in backend._certificates:
        raise CertificateNotFound(arn=arn, account_id=backend.account_id)
    if users(arn):
        _refuse("ResourceInUseException", f"Certificate {arn} in account {backend.account_id} is in use.")
    original(backend, arn)


def _apply_requests() -> None:
    wrap(AWSCertificateManagerResponse, "request_certificate", _check_request)
    wrap(AWSCertificateManagerBackend, "request_certificate", _request)


def _apply_validation() -> None:
    wrap(CertBundle, "check", _check)
    wrap(CertBundle, "describe", _describe)
    wrap(AWSCertificateManagerResponse, "get_certificate", _get)


CHANGES: tuple[Change, ...] = (
    Change(
        name="acm-requests",
        why=(
            "moto takes any name and every option, and signs each certificate with its own key, so that nobody can "
            "trust any. Here one authority signs all of them; what isn't built is refused by name (ACM API Reference, "
            "RequestCertificate)."
        ),
        apply=_apply_requests,
    ),
    Change(
        name="acm-validation",
        why=(
            "moto issues a certificate after a minute, and asks for a record that is the same for all names. AWS "
            "issues it when the zone has each name's own record, which is unique to account and name (ACM User Guide, "
            "'DNS validation')."
        ),
        apply=_apply_validation,
    ),
    Change(
        name="acm-in-use",
        why=(
            "moto deletes a certificate that a listener uses. AWS: ACM API Reference, DeleteCertificate "
            "(ResourceInUseException), CertificateDetail (InUseBy)."
        ),
        apply=lambda: wrap(AWSCertificateManagerBackend, "delete_certificate", _delete),
    ),
)
