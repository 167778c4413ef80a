"""CORS for the API (`CORS_ORIGINS`)."""

import re

from flask import Flask, Response, request

# The URLs of the API. The admin site and /docs only serve their own origin.
RESOURCES = r"^/(ping|health|openapi\.json|users(/.*)?)?$"
PREFLIGHT_MAX_AGE = 600  # seconds

IS_RESOURCE = re.compile(RESOURCES)


def init_app(app: Flask) -> None:
    """Send CORS headers if the configuration names origins."""
    if not app.config["CORS_ORIGINS"]:
        return
    # Imported here because the import costs time and memory.
    from flask_cors import CORS

    CORS(
        app,
        resources=RESOURCES,
        origins=app.config["CORS_ORIGINS"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "If-Match",
            "If-None-Match",
            "Read-Consistency",
        ],
        expose_headers=["ETag", "Link", "Location", "Retry-After", "X-Request-ID"],
        max_age=PREFLIGHT_MAX_AGE,
        vary_header=False,
    )
    app.after_request(vary_by_origin)


def vary_by_origin(response: Response) -> Response:
    """Tell caches that the headers depend on the origin, even if there is none.

    Flask-CORS does that for some responses only.
    """
    if IS_RESOURCE.match(request.path):
        response.vary.add("Origin")
    return response
