"""The host names under which the service answers (`TRUSTED_HOSTS`)."""

import re
from collections.abc import Collection
from functools import partial

from flask import Flask, request

from project.web.error_codes import ErrorCode
from project.web.errors import ApiError
from project.web.proxies import current_request

# Load balancers and orchestrators probe these URLs under an IP address. Their responses
# contain no data and no links.
PROBE_PATHS = {"/ping", "/health"}

PORT = re.compile(r":[0-9]+$")


class InvalidHost(ApiError):
    """The `Host` header is missing, repeated or malformed."""

    code = ErrorCode.INVALID_HOST
    message = "The Host header is not valid: send one, with the name of the service."


class UntrustedHost(ApiError):
    """The host name of the request is not one of TRUSTED_HOSTS."""

    code = ErrorCode.UNTRUSTED_HOST
    message = (
        "The service does not answer under this host name: use another one, or add it"
        " to TRUSTED_HOSTS."
    )


def init_app(app: Flask) -> None:
    """Require a host name, and one of TRUSTED_HOSTS if the configuration has any."""
    app.before_request(check_host_header)
    trusted = app.config["TRUSTED_HOSTS"] or app.config["DEFAULT_HOSTS"]
    # Flask's check, which reads the same setting, would also refuse the probes. It does
    # not accept capital letters and IPv6 addresses.
    app.config["TRUSTED_HOSTS"] = None
    if trusted:
        app.before_request(partial(check_host, trusted))


def check_host_header() -> None:
    """Check that the request has a valid host name. Only HTTP/1.0 requires none.

    Raises:
        InvalidHost: it has none.
    """
    current = current_request()
    environ = current.environ
    if "HTTP_HOST" not in environ and environ["SERVER_PROTOCOL"] == "HTTP/1.1":
        raise InvalidHost()
    # Werkzeug returns an empty text for a malformed host.
    if not current.host:
        raise InvalidHost()


def check_host(trusted: Collection[str]) -> None:
    """Check the `Host` header, or `X-Forwarded-Host` behind a trusted proxy.

    Raises:
        UntrustedHost: it is missing, malformed or not accepted.
    """
    if request.path not in PROBE_PATHS and not is_trusted(request.host, trusted):
        raise UntrustedHost()


def is_trusted(host: str, trusted: Collection[str]) -> bool:
    """Return whether a host, which may have a port, is one of the accepted names.

    Args:
        host: empty if the header is missing or malformed.
        trusted: see `config.parse_hosts`.
    """
    name = PORT.sub("", host.lower())
    return any(
        name == item or (item[0] == "." and f".{name}".endswith(item))
        for item in trusted
    )
