"""The functions (data sources) that the sandbox's provider answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sandbox.provider.aws import Aws
from sandbox.provider.schema import Property, State


@dataclass(frozen=True, kw_only=True)
class Invoke:
    """One function: its arguments and what answers it."""

    token: str
    run: Callable[[Aws, State], State]
    arguments: Mapping[str, Property] = field(default_factory=dict)
    regional: bool = True


INVOKES: Mapping[str, Invoke] = {}
