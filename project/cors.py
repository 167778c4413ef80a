"""Pages of other origins: which of them may use the API from a browser."""

import re

# The API's URLs; the pages of the service are for its own origin alone.
RESOURCES = r"^/(ping|health|openapi\.json|users(/.*)?)$"
# As a browser sends it: a scheme, a host and perhaps a port. Flask-CORS would take the
# brackets of an IPv6 address for a pattern.
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d+)?")


def parse_origins(text):
    """Return the list of origins in a text, which commas or spaces separate.

    Raises:
        ValueError: one of them is not an origin.
    """
    origins = re.split(r"[\s,]+", text.strip(" \t\n,"))
    for origin in origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin} is not an origin: write it as https://example.com, without"
                " a path or a slash at its end"
            )
    return origins


def register_origins(app):
    """Answer the browsers' questions where the settings name origins.

    Args:
        app: the application; `CORS_ORIGINS` is what parse_origins returns.
    """
    if not app.config["CORS_ORIGINS"]:
        return
    # Most services need none of it, and its import costs time and memory.
    from flask_cors import CORS

    CORS(
        app,
        resources=RESOURCES,
        origins=app.config["CORS_ORIGINS"],
        allow_headers=["Authorization", "Content-Type", "If-Match", "If-None-Match"],
        # A script sees no other headers than a few harmless ones by itself.
        expose_headers=["ETag", "Link", "Location", "Retry-After", "X-Request-ID"],
        # How many seconds a browser may remember the answer.
        max_age=600,
    )
