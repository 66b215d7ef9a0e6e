"""Whether the value of a resource record is one that its type allows.

Source of the rules: Route 53 Developer Guide, "Supported DNS record types". The texts for A, AAAA and TXT are AWS's;
where no text of AWS's is known, the form is the same and the words say what is wrong.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence

from sandbox.api import route53_names

# API reference, ResourceRecord: Value. Characters.
MAX_VALUE = 4000
# Developer Guide, "TXT record type": longest single string. Characters.
MAX_STRING = 255

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*')
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def problems(type_: str, values: Sequence[str]) -> list[str]:
    """What is wrong with the values of one record set, in Route 53's words; empty if nothing is.

    Raises NotImplementedError for a type whose values the sandbox can't judge.
    """
    check = _CHECKS.get(type_)
    if check is None:
        raise NotImplementedError(f"resource record sets of type {type_}")
    found = [f"Invalid Resource Record: '{problem}'" for value in values if (problem := _problem(check, value))]
    found += [f"Duplicate Resource Record: '{value}'" for value in sorted({v for v in values if values.count(v) > 1})]
    return found


def _problem(check: Callable[[str], str], value: str) -> str:
    if len(value) > MAX_VALUE:
        return _fatal("ValueTooLong", f"Value is longer than {MAX_VALUE} characters", value)
    return check(value)


def _fatal(problem: str, explanation: str, value: str) -> str:
    return f"FATAL problem: {problem} ({explanation}) encountered with '{value}'"


def _ipv4(value: str) -> str:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return _fatal("ARRDATAIllegalIPv4Address", "Value is not a valid IPv4 address", value)
    return ""


def _ipv6(value: str) -> str:
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return _fatal("AAAARRDATAIllegalIPv6Address", "Value is not a valid IPv6 address", value)
    return ""


def _name(value: str) -> str:
    try:
        route53_names.parse(value)
    except route53_names.InvalidNameError as error:
        return str(error)
    return ""


def _text(value: str) -> str:
    if not _STRINGS.fullmatch(value):
        return _fatal("InvalidCharacterString", "Value should be enclosed in quotation marks", value)
    if any(len(text) > MAX_STRING for text in _STRING.findall(value)):
        return _fatal("CharacterStringTooLong", f"String is longer than {MAX_STRING} characters", value)
    return ""


def _fields(count: int, type_: str) -> Callable[[str], str]:
    """A check of `count` unsigned 16-bit numbers followed by a domain name (MX, SRV)."""

    def check(value: str) -> str:
        *numbers, name = value.split() or [""]
        if len(numbers) != count or not all(number.isdecimal() and int(number) < 65536 for number in numbers):
            return _fatal(f"{type_}RRDATAIllegal", f"Value needs {count} numbers up to 65535 and a name", value)
        return _name(name)

    return check


def _caa(value: str) -> str:
    if not re.fullmatch(r'(\d{1,3}) [a-z0-9]+ "(?:[^"\\]|\\.)*"', value) or int(value.split()[0]) > 255:
        return _fatal("CAARRDATAIllegal", "Value needs flags up to 255, a tag and a quoted value", value)
    return ""


def _soa(value: str) -> str:
    *names_, serial, refresh, retry, expire, minimum = value.split() if len(value.split()) == 7 else [""] * 7
    if not all(number.isdecimal() for number in (serial, refresh, retry, expire, minimum)):
        return _fatal("SOARRDATAIllegal", "Value needs two names and five numbers", value)
    return next((problem for name in names_ if (problem := _name(name))), "")


_CHECKS: dict[str, Callable[[str], str]] = {
    "A": _ipv4,
    "AAAA": _ipv6,
    "CAA": _caa,
    "CNAME": _name,
    "MX": _fields(1, "MX"),
    "NS": _name,
    "PTR": _name,
    "SOA": _soa,
    "SPF": _text,
    "SRV": _fields(3, "SRV"),
    "TXT": _text,
}
