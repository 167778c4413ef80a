"""No cell of a CSV file starts with a formula, and no text is lost."""

import csv
import io
import random

import pytest

from project.api.users.formulas import escape_formulas, unescape_formulas

FORMULA_CHARACTERS = "=+-@＝＋－＠"
# What precedes a formula in a cell without being seen.
IGNORED = " \t\n\r\v\f\x1c\x1d\x1e\x1f\x00\x85\xa0\u3000\u200b\ufeff\u2028\u2029"
ALPHABET = [*FORMULA_CHARACTERS, *',;|"' * 3, *"''''", *IGNORED, "x", "1", "é", "cmd"]


def generate_texts(count: int) -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choices(ALPHABET, k=rng.randint(0, 9))) for _ in range(count)]


def cells(text: str, delimiter: str) -> list[str]:
    """Split a file as a spreadsheet does; each kind of line break ends a line."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    quoted = [cell for row in rows for cell in row]
    unquoted = [cell for line in text.splitlines() for cell in line.split(delimiter)]
    return quoted + unquoted


@pytest.mark.parametrize(
    "text, escaped",
    [
        ("ada", "ada"),
        ("a=b, a-b; c+d", "a=b, a-b; c+d"),
        ("=1", "'=1"),
        ("'=1", "''=1"),
        (" \t=1", " \t'=1"),
        ("x;=1", "x;'=1"),
        ('x";"=1', 'x";"\'=1'),
        ("x\ty|\n@z,+1", "x\ty|\n'@z,'+1"),
        ("＝1", "'＝1"),
        ("\u200b-1", "\u200b'-1"),
        ("' =1", "' =1"),
        ("==1", "'==1"),
    ],
)
def test_formula_is_escaped(text: str, escaped: str) -> None:
    assert escape_formulas(text) == escaped
    assert unescape_formulas(escaped) == text


@pytest.mark.generated
def test_every_text_is_restored() -> None:
    for text in generate_texts(100_000):
        assert unescape_formulas(escape_formulas(text)) == text


@pytest.mark.generated
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_no_cell_starts_with_a_formula(delimiter: str) -> None:
    texts = generate_texts(60_000)
    for first, second in zip(texts, reversed(texts)):
        file = io.StringIO(newline="")
        row = (1, escape_formulas(first), escape_formulas(second), "true")
        csv.writer(file, lineterminator="\n").writerow(row)
        for cell in cells(file.getvalue(), delimiter):
            visible = cell.lstrip(IGNORED + '"')
            assert not visible.startswith(tuple(FORMULA_CHARACTERS)), row
