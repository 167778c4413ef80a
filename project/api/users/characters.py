"""Characters that are not seen, or that change the direction of a text."""

import re

import idna

# For the class of a regular expression: format characters (category Cf), characters
# that Unicode ignores by default, separators of lines and paragraphs, and characters
# that look like a space or like nothing. These are the ones up to U+FFFF. JavaScript
# reads others in the pattern of a JSON Schema as two characters.
INVISIBLE_BMP = (
    r"\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4"
    r"\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-"
    r"\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
INVISIBLE = INVISIBLE_BMP + (
    "\U000110bd\U000110cd\U00013430-\U0001343f\U00016fe4\U0001bca0-\U0001bca3"
    "\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
INVISIBLE_CHARACTER = re.compile(f"[{INVISIBLE}]")


def is_needed_joiner(text: str, position: int) -> bool:
    """Return whether a character is a joiner where its script needs one (RFC 5892)."""
    try:
        return idna.valid_contextj(text, position)
    except ValueError:  # Unicode does not define the character before it
        return False


def find_invisible(text: str) -> str | None:
    """Return the first character that is not allowed, or None."""
    if text.isascii():
        return None
    for match in INVISIBLE_CHARACTER.finditer(text):
        if not is_needed_joiner(text, match.start()):
            return match[0]
    return None
