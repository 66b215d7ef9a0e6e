"""The sandbox's own paths on the API's port, below `/_sandbox/`: what its other processes, tests and `break` ask for.

No AWS service has such a path, and no bucket such a name (S3 User Guide, "Bucket naming rules": no underscores).
"""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

PREFIX: Final = "/_sandbox/"

Answer = Callable[[Mapping[str, str], bytes], Mapping[str, Any]]

_routes: dict[str, Answer] = {}


def route(path: str, answer: Answer) -> None:
    """Have `answer(query, body)` give the JSON object for requests of `path`, whatever the method.

    It is called without the backend lock. A ValueError that it raises is the caller's mistake, HTTP 400.
    """
    _routes[path] = answer


def answer(environ: Mapping[str, Any]) -> tuple[str, bytes]:
    """Status line and JSON body for the request of `environ`."""
    path = environ["PATH_INFO"]
    if path not in _routes:
        return "404 Not Found", _error(f"the sandbox has no {path}; it has {', '.join(sorted(_routes))}")
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    try:
        return "200 OK", json.dumps(_routes[path](query, environ["wsgi.input"].read())).encode()
    except ValueError as error:
        return "400 Bad Request", _error(str(error))
    except Exception as error:
        traceback.print_exception(error, file=sys.stderr)
        return "500 Internal Server Error", _error(f"{type(error).__name__}: {error}")


def _error(text: str) -> bytes:
    return json.dumps({"error": text}).encode()
