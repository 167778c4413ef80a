"""`GET /openapi.json`, the OpenAPI document, and `GET /docs`, Swagger UI for it."""

from functools import cache
from importlib.resources import files
from pathlib import Path

import orjson
from flask import Blueprint, Response, current_app, redirect, render_template, request
from werkzeug.wrappers import Response as WerkzeugResponse

from project import __version__
from project.web.compression import compress
from project.web.static_files import StaticView

openapi_blueprint = Blueprint("openapi", __name__, template_folder="templates")

STATIC = Path(__file__).parent / "static"
SWAGGER_UI = Path(str(files("flask_swagger_ui"))) / "dist"
# The files that the page loads.
ASSETS = {
    "docs.css": STATIC / "docs.css",
    "docs.js": STATIC / "docs.js",
    "swagger-ui.css": SWAGGER_UI / "swagger-ui.css",
    "swagger-ui-bundle.js": SWAGGER_UI / "swagger-ui-bundle.js",
    "favicon-32x32.png": SWAGGER_UI / "favicon-32x32.png",
}
# The page loads files and sends requests only to this service. Framing is forbidden.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
}


@openapi_blueprint.after_request
def add_headers(response: Response) -> Response:
    """Add the security headers, and let caches ask whether the page has changed."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


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
    response = Response(body, content_type="application/json")
    compress(response, body)
    return response


@openapi_blueprint.get("/docs")
def show_page() -> Response:
    """Return the page."""
    body = render_template("docs.html", version=__version__).encode()
    response = Response(body, content_type="text/html; charset=utf-8")
    response.add_etag()
    compress(response, body)
    response.make_conditional(request)
    return response


@openapi_blueprint.get("/docs/")
def redirect_to_page() -> WerkzeugResponse:
    """Redirect to the page, whose URL has no slash at the end."""
    return redirect("/docs", 308)


openapi_blueprint.add_url_rule(
    "/docs/<filename>", "static", StaticView(ASSETS.get), methods=["GET"]
)
