"""Entity tags of HTTP (RFC 9110, section 8.8.3).

Werkzeug's parser also accepts tags without quotes, so that a client would not notice
that the header is malformed.
"""

import re

# The tag without quotes is the second group.
ETAG = r'(W/)?"([!#-~\x80-\xff]*)"'
ETAG_LIST = re.compile(rf"{ETAG}(?:[ \t]*,[ \t]*{ETAG})*")
# The suffix of the tag of a compressed representation.
GZIP_SUFFIX = "-gzip"


def format_etag(version: str) -> str:
    """Return the strong tag of a version."""
    return f'"{version}"'


def parse_etags(header: str, *, weak: bool) -> list[str]:
    """Return the versions whose tags a header contains.

    Args:
        header: the value of `If-Match` or `If-None-Match`.
        weak: whether to return those of weak tags, too.

    Returns:
        An empty list if the header is malformed, or is `*`.
    """
    header = header.strip(" \t")
    if not ETAG_LIST.fullmatch(header):
        return []
    return [
        tag.removesuffix(GZIP_SUFFIX)
        for is_weak, tag in re.findall(ETAG, header)
        if weak or not is_weak
    ]


def is_excluded(version: str, if_none_match: str) -> bool:
    """Return whether a header `If-None-Match` contains a version, or is `*`."""
    if if_none_match.strip(" \t") == "*":
        return True
    return version in parse_etags(if_none_match, weak=True)
