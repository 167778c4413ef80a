"""Compression of large responses with gzip."""

from flask import Response, request
from isal import igzip

from project.web.etags import GZIP_SUFFIX

# Bytes. Smaller responses fit in one packet.
MIN_SIZE = 1024


def compress(response: Response, body: bytes) -> None:
    """Compress a response if it is large and the client accepts gzip.

    Args:
        body: that of the response.
    """
    if len(body) < MIN_SIZE:
        return
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] > 0:
        set_gzip_body(response, igzip.compress(body, mtime=0))


def set_gzip_body(response: Response, body: bytes) -> None:
    """Replace the body of a response by the same in gzip format."""
    response.set_data(body)
    response.headers["Content-Encoding"] = "gzip"
    # Two representations must not have the same strong tag.
    if etag := response.headers.get("ETag"):
        response.headers["ETag"] = f'{etag[:-1]}{GZIP_SUFFIX}"'
