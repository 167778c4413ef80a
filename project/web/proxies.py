"""The objects behind Flask's proxies.

Each access to an attribute through a proxy takes about a microsecond. Functions that
run for every request and use several attributes get the object first.
"""

from typing import cast

from flask import Request, g, request
from flask.ctx import _AppCtxGlobals


def current_request() -> Request:
    """Return the request."""
    current = request._get_current_object()  # type: ignore[attr-defined]
    return cast(Request, current)


def current_globals() -> _AppCtxGlobals:
    """Return the namespace `g`."""
    return cast(_AppCtxGlobals, g._get_current_object())
