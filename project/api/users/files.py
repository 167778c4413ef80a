"""Users in files: CSV and JSON Lines, read and written a line at a time."""

import csv
import io
import os
import stat
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import click
import orjson

from project.api.users import schemas
from project.api.users.bulk import NotLoaded, Row
from project.errors import InvalidPayload

# The formats by the end of a file's name.
SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
FORMATS = ("csv", "jsonl")
# The longest line: what the API takes as a body.
MAX_LINE = 64 * 1024
BOOLEANS = {"true": True, "false": False}


def guess_format(path):
    """Return the format of a file by its name; a pipe's is CSV."""
    return SUFFIXES.get(Path(path).suffix.lower(), "csv")


def count_lines(file):
    """Return how many lines a file has, or None for a pipe or a device."""
    try:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except OSError:
        return None
    if not regular:
        return None
    count = sum(block.count(b"\n") for block in iter(partial(file.read, 2**20), b""))
    file.seek(0)
    return count


def read(file, format, watch):
    """Yield each user of a file as a Row, checked by the API's own rules.

    Args:
        file: the file, open for bytes.
        format: one of FORMATS.
        watch: whom to tell of a line that is refused, by `refuse(line, reason)`.

    Raises:
        NotLoaded: it has no line that could be checked.
    """
    entries = {"csv": read_csv, "jsonl": read_jsonl}[format]
    for line, parse in entries(file, watch):
        try:
            # What is left out keeps its value where the user exists, as with PUT.
            fields = parse(schemas.UserReplacement)
        except InvalidPayload as error:
            watch.refuse(line, explain(error))
        else:
            yield Row(line, **fields)


def explain(error):
    """Return the reasons of an InvalidPayload as one line."""
    if not error.errors:
        return "not a JSON object"
    return "; ".join(f"{name}: {reason}" for name, reason in error.errors.items())


def lines(file):
    """Yield the lines of a file of bytes.

    Raises:
        NotLoaded: one is too long, as in a file of another kind.
    """
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise NotLoaded(f"line {number}: longer than {MAX_LINE} bytes")
        yield line


def read_jsonl(file, watch):
    """Yield the number of each line and how to parse it; see `read`."""
    for number, line in enumerate(lines(file), 1):
        if not line.isspace():
            yield number, partial(schemas.parse_body, body=line)


def read_csv(file, watch):
    """Yield the first line's number of each record and how to parse it; see `read`."""
    # What is not UTF-8 is refused with the field that it is in.
    text = (line.decode("utf-8", "surrogateescape") for line in lines(file))
    reader = csv.reader(text, strict=True)
    header = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
    missing = {"username", "email"} - set(header)
    if missing:
        raise NotLoaded(f"line 1: the header has no {' and no '.join(sorted(missing))}")
    while True:
        number = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            watch.refuse(number, f"not CSV: {error}")
            continue
        if record is None:
            return
        if len(record) == len(header):
            fields = dict(zip(header, record))
            yield number, partial(schemas.parse_fields, fields=typed(fields))
        elif record:
            watch.refuse(
                number, f"{len(record)} fields, where the header has {len(header)}"
            )


def typed(fields):
    """Return a CSV record's fields with `active` as a boolean, or without it."""
    active = fields.pop("active", "")
    if active:
        fields["active"] = BOOLEANS.get(active.lower(), active)
    return fields


def write(file, format, users):
    """Write users to a file.

    Args:
        file: the file, open for bytes.
        format: one of FORMATS.
        users: the users, as the API shows them.
    """
    {"csv": write_csv, "jsonl": write_jsonl}[format](file, users)


def write_jsonl(file, users):
    """Write users as JSON Lines."""
    for user in users:
        file.write(orjson.dumps(user, option=orjson.OPT_APPEND_NEWLINE))


def write_csv(file, users):
    """Write users as CSV."""
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(schemas.FIELDS)
    for user in users:
        active = "true" if user["active"] else "false"
        date = user["created_date"].isoformat()
        writer.writerow((user | {"active": active, "created_date": date}).values())
    # The file stays open for whoever opened it.
    text.detach()


@contextmanager
def replaced(path):
    """Open a file for bytes that takes the place of the old one when it is complete.

    What goes wrong leaves the old one as it was. A pipe or a device is written to as
    it is.
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
