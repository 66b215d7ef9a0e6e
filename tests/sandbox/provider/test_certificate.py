"""Certificates and the wait for their issue, through the engine and the real API."""

from typing import Any

import pytest

from sandbox.api.server import ApiServer
from sandbox.provider.engine import ProviderError
from sandbox.provider.resources import certificate as module
from tests.sandbox.provider.program import Program, Resource

CERTIFICATE = "aws:acm/certificate:Certificate"
VALIDATION = "aws:acm/certificateValidation:CertificateValidation"
RECORD = "aws:route53/record:Record"
NAMES = {"domainName": "orders.example.com", "subjectAlternativeNames": ["primary.orders.example.com"]}


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


@pytest.fixture
def certificate(program: Program) -> Resource:
    return program.up(CERTIFICATE, **NAMES, validationMethod="DNS", tags={"site": "primary"})


def records(program: Program, certificate: Resource) -> list[Resource]:
    """The records that the certificate asks for, in a zone of the program's."""
    zone = program.up("aws:route53/zone:Zone", "zone", name="example.com")
    return [
        program.up(
            RECORD,
            option["domainName"],
            zoneId=zone.id,
            name=option["resourceRecordName"],
            type=option["resourceRecordType"],
            records=[option["resourceRecordValue"]],
            ttl=300,
            allowOverwrite=True,
        )
        for option in certificate.state["domainValidationOptions"]
    ]


def test_it_says_which_record_each_name_needs_and_stays_as_declared(certificate: Resource) -> None:
    """The program couldn't write the records, or would replace the certificate with every update."""
    assert {option["domainName"] for option in certificate.state["domainValidationOptions"]} == {
        "orders.example.com",
        "primary.orders.example.com",
    }
    assert certificate.state["tags"] == {"site": "primary"}
    assert certificate.refresh() == frozenset()


@pytest.mark.parametrize(
    "change", [{"domainName": "other.example.com"}, {"subjectAlternativeNames": ["third.orders.example.com"]}]
)
def test_other_names_are_another_certificate(certificate: Resource, change: dict[str, Any]) -> None:
    """Without it the preview promises an update that AWS can't make."""
    assert certificate.plan(**change).replaces == set(change)


def test_tags_are_changed_in_place(certificate: Resource) -> None:
    """Without it commands that act on tagged things pass it over."""
    certificate.update(tags={"owner": "ops"})
    found = certificate.program.aws("acm").list_tags_for_certificate(CertificateArn=certificate.id)["Tags"]
    assert found == [{"Key": "owner", "Value": "ops"}]
    assert certificate.refresh() == frozenset()


def test_validation_waits_for_the_issue(program: Program, certificate: Resource) -> None:
    """A listener would be refused for a certificate that isn't issued yet."""
    written = records(program, certificate)
    validation = program.up(
        VALIDATION,
        certificateArn=certificate.id,
        validationRecordFqdns=[record.state["fqdn"] for record in written],
    )
    assert validation.state["certificateArn"] == certificate.id
    assert validation.refresh() == frozenset()
    assert certificate.refresh() == frozenset()


def test_validation_without_records_ends_with_the_state(
    program: Program, certificate: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would seem to be issued."""
    monkeypatch.setattr(module, "_ISSUE_TIMEOUT", 0.0)
    with pytest.raises(ProviderError, match="it is PENDING_VALIDATION"):
        program.up(VALIDATION, certificateArn=certificate.id)


def test_validation_names_the_record_that_a_program_forgets(program: Program, certificate: Resource) -> None:
    """It would wait for more than an hour."""
    with pytest.raises(ProviderError, match="validationRecordFqdns lacks _"):
        program.up(VALIDATION, certificateArn=certificate.id, validationRecordFqdns=["_a.example.com"])
