"""The one shape of every JSON answer: JSend's status, message and data."""

import orjson
from flask import Flask, Response
from flask.sessions import SecureCookieSessionInterface
from flask_restful import Api as RestfulApi
from werkzeug.wsgi import get_host

# JSON is nothing else, whatever a browser takes it for; and it is about people: a
# shared cache keeps none of it, and a private one asks each time whether it holds.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}


class CookieSessions(SecureCookieSessionInterface):
    """Flask's sessions, which cost nothing where the client has no cookie.

    Theirs prepare to verify a signature even then: a sixth of what Flask does for a
    request of the API, which has no session.
    """

    def open_session(self, app, request):
        """Return the session of the request's cookie, or an empty one."""
        if app.secret_key and "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        return super().open_session(app, request)


class JsonFlask(Flask):
    """A Flask application whose answers to OPTIONS have the one shape, too."""

    session_interface = CookieSessions()

    def ensure_sync(self, func):
        """Return a view or hook as it is: none is `async`, and to ask costs time."""
        return func

    def create_url_adapter(self, request):
        """Return what finds the view of a request's URL.

        Theirs looks at the host three times, and for web sockets: a twentieth of what
        Flask does for a request.
        """
        if request is None:
            return super().create_url_adapter(request)
        environ = request.environ
        # WSGI hands bytes on as Latin-1, and leaves out what is empty.
        path = environ.get("PATH_INFO", "").encode("latin1")
        request.host = get_host(environ, self.config["TRUSTED_HOSTS"])
        return self.url_map.bind(
            request.host,
            script_name=environ.get("SCRIPT_NAME", ""),
            url_scheme=environ["wsgi.url_scheme"],
            default_method=environ["REQUEST_METHOD"],
            path_info=path.decode(errors="replace"),
            query_args=environ.get("QUERY_STRING"),
        )

    def make_default_options_response(self):
        """Return the methods of the requested URL, in `Allow`."""
        allowed = super().make_default_options_response().headers["Allow"]
        return answer(headers={"Allow": allowed})


class JsonResponse(Response):
    """A response that is complete when it is made."""

    def get_wsgi_headers(self, environ):
        """Return the headers to send.

        Theirs copy them, to add what ours have from the start: a twentieth of what a
        request costs. Only an answer that has no body loses some.
        """
        if self.status_code == 304:
            return super().get_wsgi_headers(environ)
        return self.headers


class Api(RestfulApi):
    """A Flask-RESTful Api that leaves errors to the application's one handler."""

    def error_router(self, original_handler, e):
        """Pass the error on instead of answering it in Flask-RESTful's own shape."""
        return original_handler(e)


def answer(status=200, message=None, headers=None, **members):
    """Return a JSON answer in the JSend shape.

    Args:
        status: the HTTP status code; it decides the `status` member.
        message: what to tell the client, if anything.
        headers: headers to add, as a mapping.
        members: further members, such as `data` and `errors`.
    """
    word = "success" if status < 400 else "fail" if status < 500 else "error"
    body = {"status": word}
    if message is not None:
        body["message"] = message
    body.update(members)
    return JsonResponse(
        orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE),
        status,
        HEADERS if headers is None else HEADERS | headers,
        content_type="application/json",
    )
