"""`GET /openapi.json`, the API's document, and `GET /docs`, the page to try it on."""

from functools import cache
from importlib.resources import files
from pathlib import Path

import orjson
from flask import Blueprint, Response, abort, current_app, send_file

openapi_blueprint = Blueprint("openapi", __name__)

OWN = Path(__file__).parent / "static"
SWAGGER_UI = Path(str(files("flask_swagger_ui"))) / "dist"
ASSETS = {
    "docs.js": OWN,
    "swagger-ui.css": SWAGGER_UI,
    "swagger-ui-bundle.js": SWAGGER_UI,
    "favicon-32x32.png": SWAGGER_UI,
}
# The page loads its own files and asks this service, nothing else; nobody frames it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
}


@cache
def published(secured):
    """Return the document as JSON.

    It is built when it is first asked for; its parts are imported then, too.

    Args:
        secured: whether the users are behind a token.
    """
    from project.api.openapi import document

    return orjson.dumps(document.build(secured), option=orjson.OPT_APPEND_NEWLINE)


@openapi_blueprint.get("/openapi.json")
def show_document():
    """Answer the OpenAPI document."""
    body = published(bool(current_app.config["API_TOKENS"]))
    return Response(body, headers=HEADERS, content_type="application/json")


def send(path):
    """Answer a file, with the headers of a page."""
    answer = send_file(path)
    answer.headers.update(HEADERS)
    return answer


@openapi_blueprint.get("/docs")
def show_page():
    """Answer the page that shows the document."""
    return send(OWN / "docs.html")


@openapi_blueprint.get("/docs/<name>", endpoint="static")
def show_asset(name):
    """Answer one of the page's files."""
    if name not in ASSETS:
        abort(404)
    return send(ASSETS[name] / name)
