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
from typing import IO, TypeAlias

import click
import orjson

from project.api.users.bulk.load import ImportAborted, ProgressReporter, Row
from project.api.users.queries import UserData
from project.api.users.schemas import (
    FIELDS,
    NewUser,
    is_nullable,
    parse_body,
    parse_payload,
    value_type,
)
from project.web.errors import InvalidPayload

# The format by file name extension.
EXTENSIONS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
FORMATS = ("csv", "jsonl")
# The maximum length of a line in bytes: the same as MAX_CONTENT_LENGTH of the API.
MAX_LINE = 64 * 1024

REQUIRED_COLUMNS = {
    name for name, field in NewUser.model_fields.items() if field.is_required()
}
BOOLEAN_COLUMNS = {
    name for name, field in NewUser.model_fields.items() if value_type(field) is bool
}
NULLABLE_COLUMNS = {
    name for name, field in NewUser.model_fields.items() if is_nullable(field)
}

# A line number, and a function that parses the line.
Entry: TypeAlias = tuple[int, Callable[[], NewUser]]


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


def read(file: IO[bytes], format: str, reporter: ProgressReporter) -> Iterator[Row]:
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
            user = parse()
        except InvalidPayload as error:
            reporter.reject(line, format_errors(error))
        else:
            yield Row(line, user)


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
            yield number, partial(parse_body, NewUser, line)


def read_csv(file: IO[bytes], reporter: ProgressReporter) -> Iterator[Entry]:
    """Yield the records with the number of their first line; see `read`."""
    # Validation rejects the surrogates of invalid UTF-8, and names the field.
    text = (line.decode("utf-8", "surrogateescape") for line in read_lines(file))
    reader = csv.reader(text, strict=True)
    header = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
    missing = REQUIRED_COLUMNS - set(header)
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


def parse_cells(cells: dict[str, str]) -> NewUser:
    """Validate a CSV record.

    An empty cell is null in a nullable column, and an omitted field in others.

    Raises:
        InvalidPayload: a cell is invalid.
    """
    given = {
        name: cell for name, cell in cells.items() if cell or name in REQUIRED_COLUMNS
    }
    # pydantic would also accept `yes` and `1`.
    errors = {
        name: "Input should be a valid boolean"
        for name in BOOLEAN_COLUMNS & given.keys()
        if given[name].lower() not in ("true", "false")
    }
    try:
        user = parse_payload(NewUser.model_validate_strings, given)
    except InvalidPayload as error:
        errors = {**(error.errors or {}), **errors}
    if errors:
        raise InvalidPayload(errors)
    empty = NULLABLE_COLUMNS & cells.keys() - given.keys()
    return user.model_copy(update=dict.fromkeys(empty))


def write(file: IO[bytes], format: str, users: Iterable[UserData]) -> None:
    """Write users in one of FORMATS."""
    {"csv": write_csv, "jsonl": write_jsonl}[format](file, users)


def write_jsonl(file: IO[bytes], users: Iterable[UserData]) -> None:
    """Write users as JSON Lines."""
    for user in users:
        file.write(orjson.dumps(user, option=orjson.OPT_APPEND_NEWLINE))


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
