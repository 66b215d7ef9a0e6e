"""Route 53's errors, with AWS's codes; the HTTP status of each code is in botocore's model of the service."""

from collections.abc import Sequence

from moto.route53.exceptions import Route53ClientError


class Route53Error(Route53ClientError):
    """An error of the Route 53 API: `code` as in AWS's API reference, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


class InvalidInputError(Route53Error):
    """The request as such can't be: a value out of range, a field too many or missing."""

    def __init__(self, message: str) -> None:
        super().__init__("InvalidInput", message)


class InvalidChangeBatchError(Route53Error):
    """The zone can't take these changes. AWS answers with every problem of the batch, as a list in brackets."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("InvalidChangeBatch", f"[{', '.join(messages)}]")
        self.messages = list(messages)


def not_in_enumeration(value: object, allowed: Sequence[str]) -> InvalidInputError:
    """What Route 53's XML validation says of a value that isn't one of a closed set."""
    return InvalidInputError(
        f"Invalid XML ; cvc-enumeration-valid: Value '{value}' is not facet-valid with respect to enumeration "
        f"'[{', '.join(allowed)}]'. It must be a value from the enumeration."
    )


def check_range(value: int | None, low: int, high: int, shape: str) -> None:
    """Raise what Route 53's XML validation says of a number outside `low` to `high`; `shape` is its schema's type."""
    if value is None:
        return
    if value < low:
        raise InvalidInputError(
            f"Invalid XML ; cvc-minInclusive-valid: Value '{value}' is not facet-valid with respect to "
            f"minInclusive '{low}' for type '{shape}'."
        )
    if value > high:
        raise InvalidInputError(
            f"Invalid XML ; cvc-maxInclusive-valid: Value '{value}' is not facet-valid with respect to "
            f"maxInclusive '{high}' for type '{shape}'."
        )


def check_length(value: str | None, low: int, high: int, shape: str) -> None:
    """Raise what Route 53's XML validation says of a text shorter than `low` or longer than `high` characters."""
    if value is None:
        return
    if len(value) < low:
        raise InvalidInputError(
            f"Invalid XML ; cvc-minLength-valid: Value '{value}' with length = '{len(value)}' is not facet-valid with "
            f"respect to minLength '{low}' for type '{shape}'."
        )
    if len(value) > high:
        raise InvalidInputError(
            f"Invalid XML ; cvc-maxLength-valid: Value '{value}' with length = '{len(value)}' is not facet-valid with "
            f"respect to maxLength '{high}' for type '{shape}'."
        )
