"""The certificate of a site: what its balancer proves its names with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import acm, route53

from lockstep.config import limits

# Seconds. ACM reads the record again for every renewal, and it never changes.
_VALIDATION_TTL: Final = 300


@dataclass(frozen=True, kw_only=True)
class CertificateArgs:
    """`domain` is the application's name, which every site answers to, `site_domain` the site's own; both in `zone`."""

    domain: str
    site_domain: str
    zone: str

    def __post_init__(self) -> None:
        if len(self.domain) > limits.CERTIFICATE_NAME_MAX:
            raise ValueError(
                f"{self.domain!r} has {len(self.domain)} characters, and ACM takes {limits.CERTIFICATE_NAME_MAX}"
            )


class Certificate(pulumi.ComponentResource):
    """A certificate in the site's own region, for the application's name and the site's own.

    Creates: a certificate of ACM's, a record for each name by which ACM sees that the zone is ours, and the wait until
    ACM has issued it.

    Every site has its own certificate: a balancer takes one of its own region only, and it has to be there before the
    peer is lost. ACM asks for the same record for a name in every region (ACM User Guide, "DNS validation": the record
    is unique to the account and the name), so that the sites share the application's. Whoever comes second overwrites
    it with the same value, and whoever goes first leaves it, for the other's certificate is renewed by it.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lockstep:certificate:Certificate", name, {"domain": args.domain}, opts)
        self._name = name
        zone = route53.get_zone_output(name=args.zone, private_zone=False, opts=pulumi.InvokeOptions(parent=self))
        certificate = acm.Certificate(
            f"{name}-certificate",
            domain_name=args.domain,
            subject_alternative_names=[args.site_domain],
            validation_method="DNS",
            tags={"Name": name},
            opts=pulumi.ResourceOptions(parent=self),
        )
        records = [
            self._record("shared", args.domain, zone.zone_id, certificate, shared=True),
            self._record("own", args.site_domain, zone.zone_id, certificate, shared=False),
        ]
        validation = acm.CertificateValidation(
            f"{name}-issued",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn for record in records],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = validation.certificate_arn
        self.register_outputs({"arn": self.arn})

    def _record(
        self, role: str, domain: str, zone_id: pulumi.Output[str], certificate: acm.Certificate, *, shared: bool
    ) -> route53.Record:
        wanted = certificate.domain_validation_options.apply(lambda options: _option(options, domain))
        return route53.Record(
            f"{self._name}-validation-{role}",
            zone_id=zone_id,
            name=wanted.apply(lambda option: str(option.resource_record_name)),
            type=wanted.apply(lambda option: str(option.resource_record_type)),
            records=[wanted.apply(lambda option: str(option.resource_record_value))],
            ttl=_VALIDATION_TTL,
            allow_overwrite=True,
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=shared),
        )


def _option(
    options: Sequence[acm.outputs.CertificateDomainValidationOption], domain: str
) -> acm.outputs.CertificateDomainValidationOption:
    """The one for `domain`: ACM gives them in no order."""
    for option in options:
        if option.domain_name == domain:
            return option
    raise pulumi.RunError(f"ACM asks for no record for {domain}, only for {[each.domain_name for each in options]}")
