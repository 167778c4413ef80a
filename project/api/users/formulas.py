"""Texts in CSV files that a spreadsheet would interpret as formulas.

A `'` before the formula makes it a text. A spreadsheet may split the file at other
separators than commas, so each place where a cell could start is protected.
"""

import re

from project.api.users.characters import INVISIBLE

# Where a cell could start, and what a spreadsheet ignores there. A quote may be the
# half of one that CSV has doubled. The length, longer than any valid text, is limited:
# each tab of a long run could start a cell, which would take quadratic time.
CELL_START = (
    r"(?:^|[,;|\t\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029])"
    rf'[\s"\x00-\x1f\x7f-\x9f{INVISIBLE}]{{0,300}}'
)
# The characters that start a formula, and their full-width forms.
FORMULA_START = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
# A text may have a `'` there itself. It gets another one, so that `unescape_formulas`
# restores it.
UNESCAPED = re.compile(rf"({CELL_START})('*{FORMULA_START})")
ESCAPED = re.compile(rf"({CELL_START})'('*{FORMULA_START})")


def escape_formulas(text: str) -> str:
    """Return a text in which no cell starts with a formula."""
    return UNESCAPED.sub(r"\1'\2", text)


def unescape_formulas(text: str) -> str:
    """Return the text that `escape_formulas` has received."""
    return ESCAPED.sub(r"\1\2", text) if "'" in text else text
