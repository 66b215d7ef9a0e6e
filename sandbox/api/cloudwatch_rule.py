"""The rule of a composite alarm: read and evaluated, pure.

CloudWatch User Guide, "Create a composite alarm"; API reference, PutCompositeAlarm, AlarmRule. AWS doesn't say which of
AND and OR binds more tightly; here it is AND, as everywhere else.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from sandbox.api.cloudwatch_error import invalid, unsupported
from sandbox.api.cloudwatch_evaluation import STATES

CHILDREN_MAX: Final = 100
ELEMENTS_MAX: Final = 500

StateOf = Callable[[str], str]
"""The state of an alarm, by the name or ARN that the rule has."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<function>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*
            (?:"(?P<double>[^"]+)"|'(?P<single>[^']+)'|(?P<bare>[^\s()"']+))\s*\)
        |(?P<word>AND|OR|NOT|TRUE|FALSE|AT_LEAST)\b
        |(?P<bracket>[()])
    )""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Rule:
    """A rule that was read. `children` are the alarms that it names, each once, as it names them."""

    text: str
    children: tuple[str, ...]
    holds: Callable[[StateOf], bool]
    """Whether it is true for alarms in the states that are given."""


def read(text: str) -> Rule:
    """The rule that `text` gives. Raises CloudWatchException, or NotImplementedError for AT_LEAST."""
    tokens = list(_tokens(text))
    elements = sum(token[0] in ("state", "TRUE", "FALSE", "(") for token in tokens)
    children = tuple(dict.fromkeys(name for kind, _, name in tokens if kind == "state"))
    if elements > ELEMENTS_MAX:
        invalid(f"AlarmRule must not have more than {ELEMENTS_MAX} elements, and has {elements}")
    if len(children) > CHILDREN_MAX:
        invalid(f"AlarmRule must not have more than {CHILDREN_MAX} child alarms, and has {len(children)}")
    reader = _Reader(tokens)
    holds = reader.either()
    if reader.rest:
        _malformed(f"{_spoken(reader.rest[0])} isn't expected there")
    return Rule(text, children, holds)


Token = tuple[str, str, str]
"""Kind, state, alarm; state and alarm are empty but for kind `state`."""


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            _malformed(f"nothing of the grammar begins at {text[position:].strip()[:40]!r}")
        position = found.end()
        if found["function"]:
            yield "state", found["function"].upper(), found["double"] or found["single"] or found["bare"]
        elif (found["word"] or "").upper() == "AT_LEAST":
            unsupported("AT_LEAST in AlarmRule")
        else:
            yield (found["word"] or found["bracket"]).upper(), "", ""


class _Reader:
    """A recursive descent over tokens: OR of ANDs of NOTs."""

    def __init__(self, tokens: list[Token]) -> None:
        self.rest = tokens

    def either(self) -> Callable[[StateOf], bool]:
        parts = [self._both()]
        while self._takes("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda states: any(part(states) for part in parts)

    def _both(self) -> Callable[[StateOf], bool]:
        parts = [self._single()]
        while self._takes("AND"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else lambda states: all(part(states) for part in parts)

    def _single(self) -> Callable[[StateOf], bool]:
        if self._takes("NOT"):
            inner = self._single()
            return lambda states: not inner(states)
        if self._takes("("):
            inner = self.either()
            if not self._takes(")"):
                _malformed("a bracket isn't closed")
            return inner
        if not self.rest:
            _malformed("an operand is missing at its end")
        kind, state, name = self.rest.pop(0)
        if kind in ("TRUE", "FALSE"):
            return lambda states: kind == "TRUE"
        if kind != "state":
            _malformed(f"{kind} isn't expected there")
        assert state in STATES
        return lambda states: states(name) == state

    def _takes(self, kind: str) -> bool:
        if self.rest and self.rest[0][0] == kind:
            self.rest.pop(0)
            return True
        return False


def _spoken(token: Token) -> str:
    kind, state, name = token
    return f"{state}({name})" if kind == "state" else kind


def _malformed(why: str) -> NoReturn:
    invalid(f"AlarmRule must be a valid rule expression: {why}")
