"""`GET /`: where the parts of the service are."""

from flask import Blueprint, Response, current_app, render_template, request
from flask_restful import Resource

from project.web.responses import HEADERS, Api, json_response

root_blueprint = Blueprint(
    "root",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/files",
)
api = Api(root_blueprint)

# The page loads its style sheet and nothing else. Framing is forbidden.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)


class Root(Resource):
    """Links for people, as a page, and for programs, as JSON."""

    def get(self) -> Response:
        """Show the links as HTML if the client prefers it to JSON."""
        links = {"users": "/users", "docs": "/docs", "openapi": "/openapi.json"}
        if "admin" in current_app.blueprints:
            links["admin"] = "/admin/"
        types = ["application/json", "text/html"]
        if request.accept_mimetypes.best_match(types) == "text/html":
            response = Response(render_template("root.html", links=links))
            response.headers.update(HEADERS)
            response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        else:
            response = json_response(data=links)
        response.vary.add("Accept")
        return response


api.add_resource(Root, "/")
