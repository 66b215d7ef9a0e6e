"""Certificates: asked for, proved by the zone, issued, in use."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509

from sandbox.api import acm_authority

NAMES = ["orders.example.com", "primary.orders.example.com"]


@pytest.fixture
def acm(aws: Any) -> Any:
    return aws("acm")


def ask(acm: Any, *names: str, **more: Any) -> str:
    """The ARN of a certificate that was asked for."""
    first, *others = names or NAMES
    given = {"SubjectAlternativeNames": others} if others else {}
    return str(
        acm.request_certificate(**{"DomainName": first, "ValidationMethod": "DNS", **given, **more})["CertificateArn"]
    )


def described(acm: Any, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    return found


def records_of(acm: Any, arn: str) -> dict[str, dict[str, str]]:
    """The records that ACM asks for, by name."""
    return {each["DomainName"]: each["ResourceRecord"] for each in described(acm, arn)["DomainValidationOptions"]}


def write(aws: Any, zone: str, *records: dict[str, str], **changes: str) -> None:
    route53 = aws("route53")
    made = [
        {
            "Action": "UPSERT",
            "ResourceRecordSet": {
                "Name": each["Name"],
                "Type": each["Type"],
                "TTL": 300,
                "ResourceRecords": [{"Value": changes.get("value", each["Value"])}],
            },
        }
        for each in records
    ]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": made})


@pytest.fixture
def zone(aws: Any) -> str:
    made = aws("route53").create_hosted_zone(Name="example.com", CallerReference="1")
    return str(made["HostedZone"]["Id"])


@pytest.mark.change("acm-validation")
def test_a_certificate_is_issued_when_the_zone_has_every_record(aws: Any, acm: Any, zone: str) -> None:
    """A program without the records would come up here, and wait for three days on AWS."""
    arn = ask(acm)
    assert described(acm, arn)["Status"] == "PENDING_VALIDATION"
    with pytest.raises(ClientError, match="RequestInProgressException"):
        acm.get_certificate(CertificateArn=arn)
    records = records_of(acm, arn)
    assert set(records) == set(NAMES)
    write(aws, zone, records[NAMES[0]])
    assert described(acm, arn)["Status"] == "PENDING_VALIDATION"
    write(aws, zone, records[NAMES[1]], value="something-else.example.com.")
    assert described(acm, arn)["Status"] == "PENDING_VALIDATION"
    write(aws, zone, records[NAMES[1]])
    found = described(acm, arn)
    assert found["Status"] == "ISSUED"
    assert {each["ValidationStatus"] for each in found["DomainValidationOptions"]} == {"SUCCESS"}


@pytest.mark.change("acm-validation")
def test_the_record_of_a_name_is_the_same_in_every_region_and_no_other_names(aws: Any, acm: Any) -> None:
    """Two sites that share a record on AWS would each overwrite the other's here."""
    here, there = records_of(acm, ask(acm)), records_of(aws("acm", "eu-central-1"), ask(aws("acm", "eu-central-1")))
    assert here == there
    assert here[NAMES[0]]["Name"] != here[NAMES[1]]["Name"]
    assert here[NAMES[0]]["Value"] != here[NAMES[1]]["Value"]


@pytest.mark.change("acm-requests")
def test_an_issued_certificate_is_signed_by_the_authority_for_its_names(aws: Any, acm: Any, zone: str) -> None:
    """No client could trust a balancer with it."""
    arn = ask(acm)
    write(aws, zone, *records_of(acm, arn).values())
    answer = acm.get_certificate(CertificateArn=arn)
    certificate = x509.load_pem_x509_certificate(answer["Certificate"].encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(acm_authority.pem()))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES
    assert answer["CertificateChain"].encode() == acm_authority.pem()


@pytest.mark.change("acm-requests")
@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"DomainName": f"{'a' * 60}.example.com"}, "at most 64"),
        ({"DomainName": "orders"}, "fully qualified"),
        ({"DomainName": "-a.example.com"}, "fully qualified"),
        ({"SubjectAlternativeNames": ["a..b"]}, "fully qualified"),
        ({"ValidationMethod": "EMAIL"}, "doesn't support certificates with ValidationMethod EMAIL"),
        ({"KeyAlgorithm": "EC_prime256v1"}, "doesn't support certificates with KeyAlgorithm"),
        ({"Options": {"Export": "ENABLED"}}, "doesn't support certificates that can be exported"),
    ],
)
def test_what_acm_refuses_is_refused_and_what_is_not_built_is_named(
    acm: Any, request_: dict[str, Any], words: str
) -> None:
    """It would fail on AWS, or be taken for tried out."""
    with pytest.raises(ClientError, match=words):
        ask(acm, **request_)


@pytest.mark.change("acm-in-use")
def test_a_certificate_in_use_is_not_deleted(aws: Any, acm: Any, zone: str) -> None:
    """A site would lose what its balancer proves its name with, here only."""
    arn = ask(acm)
    write(aws, zone, *records_of(acm, arn).values())
    ec2, elb = aws("ec2"), aws("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{at}.0/24", AvailabilityZone=f"eu-west-1{letter}")["Subnet"][
            "SubnetId"
        ]
        for at, letter in enumerate("ab")
    ]
    balancer = elb.create_load_balancer(Name="site", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    listener = elb.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTPS",
        Port=443,
        SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        Certificates=[{"CertificateArn": arn}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )["Listeners"][0]["ListenerArn"]
    assert described(acm, arn)["InUseBy"] == [balancer]
    with pytest.raises(ClientError, match="ResourceInUseException"):
        acm.delete_certificate(CertificateArn=arn)
    elb.delete_listener(ListenerArn=listener)
    acm.delete_certificate(CertificateArn=arn)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        described(acm, arn)
