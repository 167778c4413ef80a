"""The request id and the access log."""

import logging
import re
import time
from functools import cache
from random import getrandbits

from flask import Flask, Request, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from project.web.proxies import current_globals, current_request

REQUEST_ID_HEADER = "X-Request-ID"
# A request id from a client is used only if it matches.
VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# The converter in `<converter:name>`.
CONVERTER = re.compile(r"<[^<>:]+:")

access_log = logging.getLogger("project.access")


def init_app(app: Flask) -> None:
    """Assign an id to each request, and log it with the client's address."""
    if trusted := app.config["TRUSTED_PROXIES"]:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=trusted, x_proto=trusted, x_host=trusted
        )
    app.before_request(assign_request_id)
    app.after_request(log_request)


def assign_request_id() -> None:
    """Take the request id from the client, or create one."""
    given = request.environ.get("HTTP_X_REQUEST_ID", "")
    values = current_globals()
    # The id is not a secret. `random` needs no system call, and Python seeds it again
    # after a fork.
    values.request_id = (
        given if VALID_REQUEST_ID.fullmatch(given) else f"{getrandbits(128):032x}"
    )
    values.started = time.perf_counter()


def log_request(response: Response) -> Response:
    """Add the request id to the response, and write the access log.

    The log contains the route instead of the path and the query, which may contain
    personal data.
    """
    values = current_globals()
    response.headers.add(REQUEST_ID_HEADER, values.request_id)
    if access_log.isEnabledFor(logging.INFO):
        current = current_request()
        fields = {
            "method": current.method,
            "route": route_label(current),
            "status": response.status_code,
            "milliseconds": round((time.perf_counter() - values.started) * 1000, 2),
            "client": current.remote_addr,
        }
        access_log.info(
            "%(method)s %(route)s %(status)s %(milliseconds)s ms %(client)s",
            fields,
            extra=fields,
        )
    return response


def route_label(current: Request) -> str:
    """Return the URL rule of a request, such as `/users/<user_id>`."""
    return format_rule(current.url_rule.rule) if current.url_rule else "unmatched"


@cache
def format_rule(rule: str) -> str:
    """Remove the names of the converters from a URL rule."""
    return CONVERTER.sub("<", rule)
