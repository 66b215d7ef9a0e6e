"""The certificate of a site."""

from typing import Any

import pytest

from components.certificate import Certificate, CertificateArgs
from tests.components.recording import ZONE_ID, Recording, run

RECORD = "aws:route53/record:Record"


def certificate(**options: Any) -> Recording:
    """The certificate declared."""
    given = {"domain": "orders.example.com", "site_domain": "primary.orders.example.com", "zone": "example.com"}

    def program() -> None:
        Certificate("orders-primary", CertificateArgs(**given | options))

    return run(program)


def test_a_site_proves_the_applications_name_and_its_own() -> None:
    """Users would be warned of a foreign site at one of the two."""
    inputs = certificate().one("aws:acm/certificate:Certificate").inputs
    assert inputs["domainName"] == "orders.example.com"
    assert inputs["subjectAlternativeNames"] == ["primary.orders.example.com"]
    assert inputs["validationMethod"] == "DNS"


def test_every_name_has_the_record_that_acm_asks_for_it() -> None:
    """ACM gives its records in no order: the wrong one would validate nothing, and no error would say why."""
    records = {record.name: record.inputs for record in certificate().of(RECORD)}
    assert {name: record["name"] for name, record in records.items()} == {
        "orders-primary-validation-shared": "_challenge.orders.example.com.",
        "orders-primary-validation-own": "_challenge.primary.orders.example.com.",
    }
    for record in records.values():
        assert record["records"] == [
            f"_answer-to-{record['name'].removeprefix('_challenge.')[:-1]}.acm-validations.aws."
        ]
        assert (record["type"], record["zoneId"]) == ("CNAME", ZONE_ID)


def test_the_shared_record_outlives_a_site_and_meets_the_others() -> None:
    """The second site couldn't come up, or the first to go would end the renewal of the other's certificate."""
    records = {record.name.rpartition("-")[2]: record for record in certificate().of(RECORD)}
    assert all(record.inputs["allowOverwrite"] is True for record in records.values())
    assert {role: record.retain_on_delete for role, record in records.items()} == {"shared": True, "own": False}


def test_nobody_gets_the_certificate_before_it_is_issued() -> None:
    """A balancer takes no certificate that isn't issued."""
    recording = certificate()
    validation = recording.one("aws:acm/certificateValidation:CertificateValidation")
    assert set(validation.inputs["validationRecordFqdns"]) == {record.inputs["name"] for record in recording.of(RECORD)}
    component = recording.one("lockstep:certificate:Certificate")
    assert recording.outputs[component.urn] == {"arn": "arn:orders-primary-certificate"}


def test_a_name_that_no_certificate_begins_with_is_refused() -> None:
    """ACM refuses it half way through an update."""
    with pytest.raises(ValueError, match="ACM takes 64"):
        certificate(domain=f"{'a' * 63}.example.com")
