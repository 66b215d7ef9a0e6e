"""What a change of moto's behaviour is, and how one is put in place."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between moto as published and the sandbox's API.

    `name` is kebab-case, service first (`route53-weight-range`). `why` says what moto does, what AWS does and where AWS
    says so. `apply` puts the change in place, once per process. A test marked `@pytest.mark.change(name)` proves it.
    """

    name: str
    why: str
    apply: Callable[[], None]


def wrap(owner: type, method: str, wrapper: Callable[..., Any]) -> None:
    """Replace `owner.method` by `wrapper(original, self, *args, **kwargs)`.

    Raises AttributeError if moto no longer has the method, so that a new moto version can't silently drop a change.
    """
    original = getattr(owner, method)

    @functools.wraps(original)
    def replacement(self: Any, *args: Any, **kwargs: Any) -> Any:
        return wrapper(original, self, *args, **kwargs)

    setattr(owner, method, replacement)


def replace(owner: type, method: str, replacement: Callable[..., Any]) -> None:
    """Put `replacement(self, ...)` in the place of `owner.method`.

    Raises AttributeError if moto no longer has the method, as `wrap` does.
    """
    original = getattr(owner, method)
    setattr(owner, method, functools.wraps(original)(replacement))
