"""Files of users in CSV and JSON Lines, read and written line by line."""

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
        return "not a JSON object"
    return "; ".join(f"{name}: {reason}" for name, reason in error.errors.items())


def read_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield lines, each with its line break.

    Raises:
        ImportAborted: a line is too long, as in a binary file.
    """
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise ImportAborted(f"line {number}: longer than {MAX_LINE} bytes")
        yield line


def read_jsonl(file: IO[bytes], reporter: ProgressReporter) -> Iterator[Entry]:
    """Yield the lines that are not blank; see `read`."""
    for number, line in enumerate(read_lines(file), 1):
        if not line.isspace():
            yield number, partial(parse_json, line)


def read_csv(file: IO[bytes], reporter: ProgressReporter) -> Iterator[Entry]:
    """Yield the records with the number of their first line; see `read`."""
    # Validation rejects the surrogates of invalid UTF-8, and names the field.
    text = (line.decode("utf-8", "surrogateescape") for line in read_lines(file))
    reader = csv.reader(text, strict=True)
    header = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
    missing = set(REQUIRED_FIELDS) - set(header)
    if missing:
        columns = " and no ".join(sorted(missing))
        raise ImportAborted(f"line 1: the header has no {columns}")
    while True:
        number = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            reporter.reject(number, f"not CSV: {error}")
            continue
        if record is None:
            return
        if len(record) == len(header):
            yield number, partial(parse_cells, dict(zip(header, record)))
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
    """Return a value as the JSON of the API shows it; None is an empty cell."""
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
