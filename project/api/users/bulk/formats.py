"""Files of users in CSV and JSON Lines, read and written line by line."""

import codecs
import csv
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, TypeAlias

import click
import orjson
from pydantic_core import to_jsonable_python

from project.api.users.bulk.load import ImportAborted, ImportRow, ProgressReporter
from project.api.users.formulas import escape_formulas, unescape_formulas
from project.api.users.queries import UserData
from project.api.users.schemas import (
    FIELDS,
    REQUIRED_FIELDS,
    NewUser,
    Payload,
    derive_payload,
    is_boolean,
    is_nullable,
    parse_body,
    parse_payload,
)
from project.web.errors import InvalidPayload

# The format by file name extension.
EXTENSIONS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
FORMATS = ("csv", "jsonl")
# How files in other formats start, and the remedy.
SIGNATURES = {
    b"\x1f\x8b": "compressed with gzip: decompress it",
    b"BZh": "compressed with bzip2: decompress it",
    b"\xfd7zXZ": "compressed with xz: decompress it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: decompress it",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet: extract it, or save it as CSV",
    b"\xff\xfe": "encoded in UTF-16: save it in UTF-8",
    b"\xfe\xff": "encoded in UTF-16: save it in UTF-8",
}
USE_LINE_FEEDS = "save the file with line feeds (LF) at the ends of the lines"
# The maximum length of a line in bytes: the same as MAX_CONTENT_LENGTH of the API.
MAX_LINE = 64 * 1024

BOOLEAN_COLUMNS = {
    name for name, field in NewUser.model_fields.items() if is_boolean(field)
}
NULLABLE_COLUMNS = {
    name for name, field in NewUser.model_fields.items() if is_nullable(field)
}
# Validates the cells of a CSV record that are not null.
CsvRecord = derive_payload(
    "CsvRecord",
    Payload,
    required=set(REQUIRED_FIELDS) - NULLABLE_COLUMNS,
    doc="A record of a CSV file.",
)

# A line number, and a function that parses the line and returns its fields.
Entry: TypeAlias = tuple[int, Callable[[], dict[str, Any]]]


def guess_format(path: Path) -> str:
    """Return the format for a file name; CSV for a pipe and unknown extensions."""
    return EXTENSIONS.get(path.suffix.lower(), "csv")


def count_lines(file: IO[bytes]) -> int | None:
    """Return the number of lines, or None if the file is a pipe or a device."""
    try:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except OSError:
        return None
    if not regular:
        return None
    count = sum(block.count(b"\n") for block in iter(partial(file.read, 2**20), b""))
    file.seek(0)
    return count


def read(
    file: IO[bytes], format: str, reporter: ProgressReporter
) -> Iterator[ImportRow]:
    """Yield the users of a file, validated by the rules of the API.

    Args:
        format: one of FORMATS.
        reporter: receives the lines that are invalid.

    Raises:
        ImportAborted: the file has another format.
    """
    read_entries = {"csv": read_csv, "jsonl": read_jsonl}[format]
    for line, parse in read_entries(file, reporter):
        try:
            fields = parse()
        except InvalidPayload as error:
            reporter.reject(line, format_errors(error))
        else:
            yield ImportRow(line, fields)


def format_errors(error: InvalidPayload) -> str:
    """Return the reasons in one line."""
    if not error.errors:
        return "not a JSON object: write one per line, with a line feed (LF) after it"
    return "; ".join(f"{name}: {reason}" for name, reason in error.errors.items())


def check_first_line(line: bytes, format: str) -> None:
    """Check that a file is a text.

    Raises:
        ImportAborted: it is not; the message contains the remedy.
    """
    name = {"csv": "CSV", "jsonl": "JSON Lines"}[format]
    for signature, reason in SIGNATURES.items():
        if line.startswith(signature):
            raise ImportAborted(f"line 1: not {name}: the file is {reason}")
    if b"\0" in line:
        raise ImportAborted(
            f"line 1: not {name}: it contains NUL, as binary files and UTF-16 do: save"
            " the file as text in UTF-8"
        )


def read_lines(file: IO[bytes], format: str) -> Iterator[bytes]:
    """Yield lines, each with its line break, without a byte order mark.

    Raises:
        ImportAborted: the file is not a text, or a line is too long.
    """
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if number == 1:
            check_first_line(line, format)
            line = line.removeprefix(codecs.BOM_UTF8)
        if len(line) > MAX_LINE:
            raise ImportAborted(
                f"line {number}: longer than {MAX_LINE} bytes: {USE_LINE_FEEDS}"
            )
        yield line


def read_jsonl(file: IO[bytes], reporter: ProgressReporter) -> Iterator[Entry]:
    """Yield the lines that are not blank; see `read`."""
    for number, line in enumerate(read_lines(file, "jsonl"), 1):
        if not line.isspace():
            yield number, partial(parse_json, line)


def explain_csv_error(error: csv.Error) -> str:
    """Return the message of an error, with a remedy for the user of the command."""
    # Python's own message says how a program should open the file.
    if str(error).startswith("new-line character"):
        return f"a carriage return (CR) without a line feed: {USE_LINE_FEEDS}"
    return str(error)


def read_csv(file: IO[bytes], reporter: ProgressReporter) -> Iterator[Entry]:
    """Yield the records with the number of their first line; see `read`."""
    # Validation rejects the surrogates of invalid UTF-8, and names the field.
    lines = read_lines(file, "csv")
    text = (line.decode("utf-8", "surrogateescape") for line in lines)
    reader = csv.reader(text, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise ImportAborted(f"line 1: not CSV: {explain_csv_error(error)}") from error
    missing = set(REQUIRED_FIELDS) - set(header)
    if missing:
        columns = " and no ".join(sorted(missing))
        raise ImportAborted(f"line 1: the header has no {columns}")
    while True:
        number = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            reporter.reject(number, f"not CSV: {explain_csv_error(error)}")
            continue
        if record is None:
            return
        if len(record) == len(header):
            cells = map(unescape_formulas, record)
            yield number, partial(parse_cells, dict(zip(header, cells)))
        elif record:
            reporter.reject(
                number, f"{len(record)} fields, where the header has {len(header)}"
            )


def parse_json(line: bytes) -> dict[str, Any]:
    """Return the fields of a JSON object.

    Raises:
        InvalidPayload: a field is invalid.
    """
    return parse_body(NewUser, line).model_dump(exclude_unset=True)


def parse_cells(cells: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a CSV record.

    An empty cell is null in a nullable column, an empty text in another required
    column, and an omitted field in the other columns.

    Raises:
        InvalidPayload: a cell is invalid.
    """
    nulls = {name: None for name in NULLABLE_COLUMNS if cells.get(name) == ""}
    given = {
        name: cell
        for name, cell in cells.items()
        if cell or (name in REQUIRED_FIELDS and name not in nulls)
    }
    # pydantic would also accept `yes` and `1`.
    errors = {
        name: "Input should be a valid boolean"
        for name in BOOLEAN_COLUMNS & given.keys()
        if given[name].lower() not in ("true", "false")
    }
    try:
        record = parse_payload(CsvRecord.model_validate_strings, given)
    except InvalidPayload as error:
        raise InvalidPayload({**(error.errors or {}), **errors} or None) from None
    if errors:
        raise InvalidPayload(errors)
    return {**record.model_dump(exclude_unset=True), **nulls}


def write(file: IO[bytes], format: str, users: Iterable[UserData]) -> None:
    """Write users in one of FORMATS."""
    {"csv": write_csv, "jsonl": write_jsonl}[format](file, users)


def write_jsonl(file: IO[bytes], users: Iterable[UserData]) -> None:
    """Write users as JSON Lines."""
    for user in users:
        file.write(orjson.dumps(user, to_jsonable_python, orjson.OPT_APPEND_NEWLINE))


def write_csv(file: IO[bytes], users: Iterable[UserData]) -> None:
    """Write users as CSV."""
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for user in users:
        writer.writerow(map(format_cell, user.values()))
    # Leaves the file open for the caller.
    text.detach()


def format_cell(value: object) -> object:
    """Return a value as the JSON of the API shows it; None is an empty cell.

    Formulas in a text are escaped.
    """
    if isinstance(value, str):
        return escape_formulas(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    return value


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` when it is complete.

    After an error `path` is unchanged. A pipe or a device is written directly.
    """
    if str(path) == "-" or path.exists() and not path.is_file():
        with click.open_file(str(path), "wb") as file:
            yield file
        return
    with NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            yield file
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
