"""The words of a search, in the API and in the admin site."""

from pydantic_core import PydanticCustomError

# The trigram index finds words with at least this number of letters and digits.
TRIGRAM_LENGTH = 3
# Each word adds two index scans to the statement.
MAX_WORDS = 8


def escape_like(text: str) -> str:
    """Escape the wildcards of LIKE."""
    for wildcard in "\\%_":
        text = text.replace(wildcard, f"\\{wildcard}")
    return text


def parse_words(text: str) -> dict[str, str]:
    """Return the words of a search text, and a pattern of ILIKE for each.

    Raises:
        PydanticCustomError: there are no words or too many, or one has no letter and
            no digit.
    """
    words = list(dict.fromkeys(text.split()))
    if not words:
        raise PydanticCustomError("no_word", "Enter at least one word")
    if len(words) > MAX_WORDS:
        raise PydanticCustomError(
            "words", "Enter at most {limit} words", {"limit": MAX_WORDS}
        )
    return {word: to_pattern(word) for word in words}


def to_pattern(word: str) -> str:
    """Return the pattern of a word.

    It matches any part of a text. If the word is too short for the trigram index, it
    matches only the beginning, which the index can find.

    Raises:
        PydanticCustomError: the word has no letter and no digit. The index would have
            to be read as a whole.
    """
    length = sum(map(str.isalnum, word))
    if not length:
        raise PydanticCustomError("word", "Each word must contain a letter or a digit")
    escaped = escape_like(word)
    return f"{escaped}%" if length < TRIGRAM_LENGTH else f"%{escaped}%"
