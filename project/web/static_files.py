"""Static files: a hash of the content in the URL, long caching, compression."""

import gzip
import mimetypes
from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask, Response, current_app, request, send_file
from werkzeug.exceptions import NotFound
from werkzeug.security import safe_join

from project.web.compression import set_gzip_body

# The parameter of the URL that contains the hash. Flask-Admin has a version there.
HASH_PARAMETER = "v"
# With the current hash in the URL, the content never changes.
IMMUTABLE = "public, max-age=31536000, immutable"
# Otherwise caches must ask whether it has changed.
REVALIDATE = "no-cache"
# Types of files that gzip makes smaller.
COMPRESSIBLE = ("text/", "application/json", "application/javascript", "image/svg+xml")
# Of files that are loaded; more than all pages together need.
MAX_FILES = 256


class StaticFile(NamedTuple):
    """A file.

    Attributes:
        mimetype: guessed from the name.
        digest: a hash of the content.
        compressed: the content in gzip format, if its type is COMPRESSIBLE.
    """

    mimetype: str | None
    digest: str
    compressed: bytes | None


@lru_cache(MAX_FILES)
def load(path: Path, modified: int) -> StaticFile:
    """Hash and compress a file when it is first used.

    Args:
        modified: when it was changed, so that changes are noticed in development.
    """
    content = path.read_bytes()
    digest = sha256(content).hexdigest()[:16]
    mimetype, _ = mimetypes.guess_type(path)
    if mimetype is None or not mimetype.startswith(COMPRESSIBLE):
        return StaticFile(mimetype, digest, None)
    return StaticFile(mimetype, digest, gzip.compress(content, mtime=0))


def find_in_folder(folder: str, filename: str) -> Path | None:
    """Return the path of a file in a folder, or None if there is none."""
    path = safe_join(folder, filename)
    return Path(path) if path and Path(path).is_file() else None


class StaticView:
    """The view of an endpoint that serves files.

    Args:
        find: returns the path of a file with a name, if there is one.
    """

    def __init__(self, find: Callable[[str], Path | None]) -> None:
        self.find = find

    def __call__(self, filename: str) -> Response:
        """Send a file, compressed if the client accepts gzip.

        Raises:
            NotFound: it does not exist.
        """
        path = self.find(filename)
        if path is None:
            raise NotFound()
        file = load(path, path.stat().st_mtime_ns)
        if file.compressed is not None and request.accept_encodings["gzip"] > 0:
            response = Response(mimetype=file.mimetype)
            response.set_etag(file.digest)
            set_gzip_body(response, file.compressed)
        else:
            response = send_file(path, etag=file.digest, conditional=False)
        response.headers["X-Content-Type-Options"] = "nosniff"
        is_current = request.args.get(HASH_PARAMETER) == file.digest
        response.headers["Cache-Control"] = IMMUTABLE if is_current else REVALIDATE
        if file.compressed is not None:
            response.vary.add("Accept-Encoding")
        response.make_conditional(request)
        return response


def init_app(app: Flask) -> None:
    """Serve the static files of all blueprints. They must be registered before."""
    for name, blueprint in app.blueprints.items():
        if blueprint.static_folder is not None:
            find = partial(find_in_folder, blueprint.static_folder)
            app.view_functions[f"{name}.static"] = StaticView(find)
    app.url_defaults(add_hash)


def add_hash(endpoint: str, values: dict[str, Any]) -> None:
    """Add the hash of a static file to its URL; called by `url_for`."""
    view = current_app.view_functions.get(endpoint)
    if isinstance(view, StaticView) and (path := view.find(values["filename"])):
        values[HASH_PARAMETER] = load(path, path.stat().st_mtime_ns).digest
