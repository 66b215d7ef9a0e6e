"""Types of pulumi-aws that belong to no region.

From pulumi-aws 7.51.1: the resources without a `region` argument. A test compares this list with the installed package.
"""

from __future__ import annotations

from typing import Final

#: Modules of which every resource is global.
GLOBAL_MODULES: Final = frozenset(
    {
        "account",
        "bcmdata",
        "billing",
        "budgets",
        "cloudfront",
        "costexplorer",
        "costoptimizationhub",
        "cur",
        "globalaccelerator",
        "iam",
        "networkmanager",
        "notifications",
        "organizations",
        "pricingplanmanager",
        "rolesanywhere",
        "route53domains",
        "route53recoverycontrol",
        "route53recoveryreadiness",
        "shield",
        "uxc",
        "waf",
    }
)

#: Global resources of modules that have regional ones too.
GLOBAL_TYPES: Final = frozenset(
    {
        "aws:backup/globalSettings:GlobalSettings",
        "aws:bedrock/useCaseForModelAccess:UseCaseForModelAccess",
        "aws:chime/sdkvoiceGlobalSettings:SdkvoiceGlobalSettings",
        "aws:cloudtrail/organizationDelegatedAdminAccount:OrganizationDelegatedAdminAccount",
        "aws:directconnect/gateway:Gateway",
        "aws:ec2/vpcIpamOrganizationAdminAccount:VpcIpamOrganizationAdminAccount",
        "aws:fms/adminAccount:AdminAccount",
        "aws:ram/sharingWithOrganization:SharingWithOrganization",
        "aws:route53/cidrCollection:CidrCollection",
        "aws:route53/cidrLocation:CidrLocation",
        "aws:route53/delegationSet:DelegationSet",
        "aws:route53/healthCheck:HealthCheck",
        "aws:route53/hostedZoneDnsSec:HostedZoneDnsSec",
        "aws:route53/keySigningKey:KeySigningKey",
        "aws:route53/queryLog:QueryLog",
        "aws:route53/record:Record",
        "aws:route53/recordsExclusive:RecordsExclusive",
        "aws:route53/trafficPolicy:TrafficPolicy",
        "aws:route53/trafficPolicyInstance:TrafficPolicyInstance",
        "aws:route53/vpcAssociationAuthorization:VpcAssociationAuthorization",
        "aws:route53/zone:Zone",
        "aws:route53/zoneAssociation:ZoneAssociation",
        "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock",
        "aws:servicecatalog/organizationsAccess:OrganizationsAccess",
    }
)


def is_global(resource_type: str) -> bool:
    """Whether resources of the type have no region, whatever provider makes them."""
    module = resource_type.removeprefix("aws:").partition("/")[0]
    return module in GLOBAL_MODULES or resource_type in GLOBAL_TYPES
