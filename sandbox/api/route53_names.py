"""Domain names as Route 53 takes and returns them.

Source of the rules: Route 53 Developer Guide, "DNS domain name format".
"""

import string

# Wire format of RFC 1035: each label with its length in front, and the root's zero.
MAX_NAME = 255
MAX_LABEL = 63

# What Route 53 returns as it is; any other byte it returns as a backslash and three octal digits.
_PLAIN = frozenset((string.ascii_lowercase + string.digits + "-_").encode())

Labels = tuple[bytes, ...]


class InvalidNameError(ValueError):
    """Not a domain name; the text is Route 53's."""

    def __init__(self, problem: str, explanation: str, value: str) -> None:
        super().__init__(f"FATAL problem: {problem} ({explanation}) encountered with '{value}'")


def parse(name: str) -> Labels:
    """The labels of a name, lower-cased, escapes resolved; a trailing dot makes no difference.

    Raises InvalidNameError for empty or long labels, a long name, and characters that must be escaped and aren't.
    """
    labels: list[bytes] = []
    label = bytearray()
    position = 0
    text = name.removesuffix(".")
    while position < len(text):
        if text[position] == ".":
            labels.append(bytes(label))
            label.clear()
            position += 1
        else:
            byte, position = _byte(text, position)
            label.append(byte)
    labels.append(bytes(label))
    _check_lengths(name, labels)
    return tuple(part.lower() for part in labels)


def canonical(name: str) -> str:
    """The name as Route 53 returns it: lower case, others in octal, a dot at the end. Raises InvalidNameError."""
    return "".join(f"{_escaped(label)}." for label in parse(name))


def sort_key(labels: Labels) -> bytes:
    """What Route 53 sorts record sets by: the labels in reverse, each with a dot after it (`com.example.www.`)."""
    return b"".join(label + b"." for label in reversed(labels))


def is_within(name: Labels, zone: Labels) -> bool:
    """Whether a name is a zone's apex or lies under it."""
    return name[-len(zone) :] == zone


def _byte(text: str, position: int) -> tuple[int, int]:
    """The byte at a position, and the position behind it."""
    if text[position] == "\\":
        digits = text[position + 1 : position + 4]
        if len(digits) == 3 and all(digit in string.octdigits for digit in digits) and int(digits, 8) < 256:
            return int(digits, 8), position + 4
    elif " " < text[position] < "\x7f":
        return ord(text[position]), position + 1
    raise InvalidNameError("UnsupportedCharacter", "Value contains unsupported characters", text[position])


def _check_lengths(name: str, labels: list[bytes]) -> None:
    for label in labels:
        if not label:
            raise InvalidNameError("DomainLabelEmpty", "Domain label is empty", name)
        if len(label) > MAX_LABEL:
            raise InvalidNameError("DomainLabelTooLong", "Domain label is too long", _escaped(label))
    if sum(len(label) + 1 for label in labels) + 1 > MAX_NAME:
        raise InvalidNameError("DomainNameTooLong", "Domain name is too long", name)


def _escaped(label: bytes) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in label)
