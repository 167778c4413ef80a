"""CORS for the API (`CORS_ORIGINS`)."""

from flask import Flask

# The URLs of the API. The admin site and /docs only serve their own origin.
RESOURCES = r"^/(ping|health|openapi\.json|users(/.*)?)$"
PREFLIGHT_MAX_AGE = 600  # seconds


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
        allow_headers=["Authorization", "Content-Type", "If-Match", "If-None-Match"],
        expose_headers=["ETag", "Link", "Location", "Retry-After", "X-Request-ID"],
        max_age=PREFLIGHT_MAX_AGE,
    )
