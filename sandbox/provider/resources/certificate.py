"""Certificate Manager: certificates that ACM issues, and the wait until it has.

Imported certificates and those of a private authority aren't part of the sandbox: their properties are refused by name.
"""

import re
import uuid
from collections.abc import Iterable

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
    wait_for,
)
from sandbox.provider.schema import Kind, ResourceType, State, block, one_of, output, string, string_set
from sandbox.provider.values import Json, contains_unknown

# terraform-provider-aws: seconds that AcmCertificate waits for its records, and AcmCertificateValidation for the issue.
_RECORDS_TIMEOUT = 300.0
_ISSUE_TIMEOUT = 4_500.0
_PENDING, _ISSUED = "PENDING_VALIDATION", "ISSUED"


def _check_name(value: Json) -> str | None:
    # terraform-provider-aws, aws_acm_certificate: "domain_name" and "subject_alternative_names".
    if len(value) > 253:
        return f"expected at most 253 characters, got {len(value)}: {value!r}"
    return f"cannot end with a period, got {value!r}" if value.endswith(".") else None


def _names(inputs: State) -> Json:
    return [name for name in inputs.get("subjectAlternativeNames") or () if name != inputs["domainName"]] or None


_OPTION = {
    "domainName": string(),
    "resourceRecordName": string(),
    "resourceRecordType": string(),
    "resourceRecordValue": string(),
}


def _read_options(aws: Aws, id: str, state: State) -> State:
    """The records that ACM asks for. It takes a while to know them."""

    def describe() -> Json:
        return search("Certificate", aws.call("acm", "describe_certificate", CertificateArn=id))

    def observe() -> str:
        options = describe().get("DomainValidationOptions") or ()
        return "there" if options and all("ResourceRecord" in option for option in options) else "missing"

    wait_for(observe, "there", f"the records of certificate {id}", _RECORDS_TIMEOUT)
    return {
        "domainValidationOptions": [
            {
                "domainName": option["DomainName"],
                "resourceRecordName": option["ResourceRecord"]["Name"],
                "resourceRecordType": option["ResourceRecord"]["Type"],
                "resourceRecordValue": option["ResourceRecord"]["Value"],
            }
            for option in describe()["DomainValidationOptions"]
        ]
    }


def _read_names(aws: Aws, id: str, state: State) -> State:
    """AWS lists the domain name among the alternative ones; terraform-provider-aws sees no difference in that."""
    return {"subjectAlternativeNames": [name for name in state["names"] if name != state["domainName"]]}


def _write_tags(aws: Aws, id: str, state: State, add: dict[str, str], remove: list[str]) -> None:
    if remove:
        tags = [{"Key": key} for key in remove]
        aws.call("acm", "remove_tags_from_certificate", CertificateArn=id, Tags=tags)
    if add:
        aws.call("acm", "add_tags_to_certificate", CertificateArn=id, Tags=tag_list(add))


CERTIFICATE = ResourceType(
    token="aws:acm/certificate:Certificate",
    properties={
        # pulumi-aws takes `certificateBody` with `privateKey`, or `certificateAuthorityArn`, for other kinds.
        "domainName": string(required=True, replaces=True, check=_check_name),
        "subjectAlternativeNames": string_set(computed=True, replaces=True),
        "validationMethod": string(required=True, replaces=True, check=one_of("DNS", "EMAIL")),
        "keyAlgorithm": string(computed=True, replaces=True),
        "arn": output(),
        "domainValidationOptions": output(Kind.SET, element=block(_OPTION)),
        "status": output(volatile=True),
        "type": output(),
    },
    create=creating(
        Call(
            "acm",
            "request_certificate",
            {
                "DomainName": "domainName",
                "SubjectAlternativeNames": _names,
                "ValidationMethod": "validationMethod",
                "KeyAlgorithm": "keyAlgorithm",
                # As pulumi-aws: a request that is sent again finds what the first one made.
                "IdempotencyToken": lambda _: uuid.uuid4().hex,
            },
        ),
        id="CertificateArn",
        tags="Tags",
    ),
    read=joining(
        reading(
            Call("acm", "describe_certificate", {"CertificateArn": ID}),
            result="Certificate",
            outputs={
                "arn": "CertificateArn",
                "domainName": "DomainName",
                "names": "SubjectAlternativeNames",
                "validationMethod": "DomainValidationOptions[0].ValidationMethod",
                "keyAlgorithm": "KeyAlgorithm",
                "status": "Status",
                "type": "Type",
            },
            missing=("ResourceNotFoundException",),
        ),
        _read_names,
        _read_options,
        reading(Call("acm", "list_tags_for_certificate", {"CertificateArn": ID}), result="@", outputs={}, tags="Tags"),
    ),
    delete=deleting(Call("acm", "delete_certificate", {"CertificateArn": ID}), missing=("ResourceNotFoundException",)),
    write_tags=_write_tags,
)


# Certificate validation


def _certificate(aws: Aws, arn: str) -> Json:
    return search("Certificate", aws.call("acm", "describe_certificate", CertificateArn=arn))


def _plain(name: str) -> str:
    return name.removesuffix(".").lower()


def _await_issue(aws: Aws, inputs: State) -> str:
    """terraform-provider-aws, aws_acm_certificate_validation: the id is the time of the issue."""
    arn = inputs["certificateArn"]
    certificate = _certificate(aws, arn)
    if certificate["Type"] != "AMAZON_ISSUED":
        raise UnusableAnswerError(f"ACM Certificate ({arn}) has type {certificate['Type']}, and needs no validation")
    given = {_plain(name) for name in inputs.get("validationRecordFqdns") or ()}
    if given:
        asked = {_plain(each["ResourceRecord"]["Name"]) for each in certificate["DomainValidationOptions"]}
        if missing := sorted(asked - given):
            raise UnusableAnswerError(f"validationRecordFqdns lacks {', '.join(missing)} of ACM Certificate ({arn})")
    wait_for(
        lambda: str(_certificate(aws, arn)["Status"]),
        _ISSUED,
        f"certificate {arn} to be issued",
        _ISSUE_TIMEOUT,
    )
    return _issued_at(_certificate(aws, arn))


def _issued_at(certificate: Json) -> str:
    return str(certificate["IssuedAt"].strftime("%Y-%m-%d %H:%M:%S +0000 UTC"))


def _read_validation(aws: Aws, id: str, state: State) -> State | None:
    client = aws.client("acm")
    try:
        certificate = _certificate(aws, state["certificateArn"])
    except client.exceptions.ResourceNotFoundException:
        return None
    if certificate["Status"] != _ISSUED:
        return None
    return {"certificateArn": certificate["CertificateArn"]}


def _check_validation(inputs: State) -> Iterable[tuple[str, str]]:
    arn = inputs.get("certificateArn")
    if isinstance(arn, str) and not contains_unknown(arn) and not re.match(r"arn:[^:]+:acm:", arn):
        yield "certificateArn", f"expected the ARN of a certificate of ACM's, got {arn!r}"


VALIDATION = ResourceType(
    token="aws:acm/certificateValidation:CertificateValidation",
    properties={
        "certificateArn": string(required=True, replaces=True),
        "validationRecordFqdns": string_set(replaces=True),
    },
    create=_await_issue,
    read=_read_validation,
    # Nothing of its own exists in AWS.
    delete=lambda aws, id, state: None,
    validate=_check_validation,
)
