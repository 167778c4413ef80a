"""Requests to a server in another process."""

import json
import urllib.error
import urllib.request
from typing import Any, NamedTuple


class HttpResult(NamedTuple):
    status: int
    body: Any
    etag: str


def send(url: str, method: str = "GET", body: Any = None, **headers: str) -> HttpResult:
    """Send a request with a JSON body, and return the response whatever its status."""
    request = urllib.request.Request(
        url,
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json", **headers},
    )
    try:
        response = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        etag = response.headers["ETag"]
        return HttpResult(response.status, json.load(response), etag)
