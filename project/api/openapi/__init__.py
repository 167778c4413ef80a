"""`GET /openapi.json`, the OpenAPI document, and `GET /docs`, Swagger UI for it."""

from functools import cache
from importlib.resources import files
from pathlib import Path

import orjson
from flask import Blueprint, Response, abort, current_app, send_file

from project.web.compression import compress

openapi_blueprint = Blueprint("openapi", __name__)

STATIC = Path(__file__).parent / "static"
SWAGGER_UI = Path(str(files("flask_swagger_ui"))) / "dist"
# The folder of each file that the page loads.
ASSETS = {
    "docs.js": STATIC,
    "swagger-ui.css": SWAGGER_UI,
    "swagger-ui-bundle.js": SWAGGER_UI,
    "favicon-32x32.png": SWAGGER_UI,
}
# The page loads files and sends requests only to this service. Framing is forbidden.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
}


@cache
def openapi_json(secured: bool) -> bytes:
    """Return the OpenAPI document as JSON.

    The modules that build it are imported on the first request.

    Args:
        secured: whether `/users` needs a token.
    """
    from project.api.openapi import document

    return orjson.dumps(document.build(secured), option=orjson.OPT_APPEND_NEWLINE)


@openapi_blueprint.get("/openapi.json")
def show_document() -> Response:
    """Return the OpenAPI document."""
    config = current_app.config
    body = openapi_json(secured=bool(config["API_TOKENS"] or config["OIDC_ISSUER"]))
    response = Response(body, headers=HEADERS, content_type="application/json")
    compress(response, body)
    return response


def send_with_headers(path: Path) -> Response:
    """Return a file with the headers of the page."""
    response = send_file(path)
    response.headers.update(HEADERS)
    return response


@openapi_blueprint.get("/docs")
def show_page() -> Response:
    """Return the page."""
    return send_with_headers(STATIC / "docs.html")


@openapi_blueprint.get("/docs/<name>", endpoint="static")
def show_asset(name: str) -> Response:
    """Return a file that the page loads."""
    if name not in ASSETS:
        abort(404)
    return send_with_headers(ASSETS[name] / name)
