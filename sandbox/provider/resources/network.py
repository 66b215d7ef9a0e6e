"""EC2's network: VPC, subnets, routes, endpoints, security groups."""

from sandbox.provider.calls import ID, Call, Constant, creating, deleting, joining, reading, updating, write_ec2_tags
from sandbox.provider.schema import ResourceType, Update, boolean, one_of, output, string


def _vpc_attribute(attribute: str, name: str) -> Update:
    """A VPC attribute: ModifyVpcAttribute takes one at a time, and CreateVpc none."""
    parameters = {"VpcId": ID, attribute: {"Value": name}}
    return Update(properties=(name,), on_create=True, run=updating(Call("ec2", "modify_vpc_attribute", parameters)))


VPC = ResourceType(
    token="aws:ec2/vpc:Vpc",
    properties={
        "cidrBlock": string(computed=True, replaces=True),
        "instanceTenancy": string(default="default", replaces=True, check=one_of("default", "dedicated")),
        "enableDnsSupport": boolean(default=True),
        "enableDnsHostnames": boolean(computed=True),
        "arn": output(),
        "ownerId": output(),
        "mainRouteTableId": output(),
        "defaultSecurityGroupId": output(),
        "defaultNetworkAclId": output(),
        "defaultRouteTableId": output(),
        "dhcpOptionsId": output(),
    },
    create=creating(
        Call("ec2", "create_vpc", {"CidrBlock": "cidrBlock", "InstanceTenancy": "instanceTenancy"}),
        id="Vpc.VpcId",
        ec2_tags="vpc",
    ),
    read=joining(
        reading(
            Call("ec2", "describe_vpcs", {"VpcIds": [ID]}),
            result="Vpcs[0]",
            outputs={
                "cidrBlock": "CidrBlock",
                "instanceTenancy": "InstanceTenancy",
                "ownerId": "OwnerId",
                "dhcpOptionsId": "DhcpOptionsId",
            },
            missing=("InvalidVpcID.NotFound",),
            tags="Tags",
        ),
        lambda aws, id, state: {"arn": f"arn:aws:ec2:{aws.region}:{aws.ACCOUNT_ID}:vpc/{id}"},
        reading(
            Call("ec2", "describe_vpc_attribute", {"VpcId": ID, "Attribute": Constant("enableDnsSupport")}),
            result="@",
            outputs={"enableDnsSupport": "EnableDnsSupport.Value"},
        ),
        reading(
            Call("ec2", "describe_vpc_attribute", {"VpcId": ID, "Attribute": Constant("enableDnsHostnames")}),
            result="@",
            outputs={"enableDnsHostnames": "EnableDnsHostnames.Value"},
        ),
        reading(
            Call(
                "ec2",
                "describe_route_tables",
                {
                    "Filters": [
                        {"Name": Constant("vpc-id"), "Values": [ID]},
                        {"Name": Constant("association.main"), "Values": [Constant("true")]},
                    ]
                },
            ),
            result="RouteTables[0]",
            outputs={"mainRouteTableId": "RouteTableId", "defaultRouteTableId": "RouteTableId"},
        ),
        reading(
            Call(
                "ec2",
                "describe_security_groups",
                {
                    "Filters": [
                        {"Name": Constant("vpc-id"), "Values": [ID]},
                        {"Name": Constant("group-name"), "Values": [Constant("default")]},
                    ]
                },
            ),
            result="SecurityGroups[0]",
            outputs={"defaultSecurityGroupId": "GroupId"},
        ),
    ),
    updates=(
        _vpc_attribute("EnableDnsSupport", "enableDnsSupport"),
        _vpc_attribute("EnableDnsHostnames", "enableDnsHostnames"),
    ),
    delete=deleting(Call("ec2", "delete_vpc", {"VpcId": ID}), missing=("InvalidVpcID.NotFound",)),
    write_tags=write_ec2_tags,
)
