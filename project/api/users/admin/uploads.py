"""Import of users from a file that an operator uploads."""

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from flask import current_app
from flask_wtf import FlaskForm
from werkzeug.datastructures import FileStorage
from werkzeug.utils import secure_filename
from wtforms import FileField, SelectField

# The type stubs of WTForms are older.
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]

# The maximum size of a file with its form, in bytes: about 200,000 users.
MAX_UPLOAD = 10 * 1024 * 1024
# The number of rejected lines that the page shows.
MAX_SHOWN = 100

REJECTED_LINE = re.compile(r"^line \d+: .*$", re.M)
COUNT = re.compile(r"(\d[\d,]*) ([a-z]+)")
ERROR = re.compile(r"^Error: (.*)$", re.M)


class ImportForm(FlaskForm):
    """The form for a file."""

    file = FileField("File")
    existing = SelectField(
        "If an e-mail address is taken",
        choices=[
            SelectChoice("refuse", "Import nothing, and show the line"),
            SelectChoice("skip", "Keep the existing user"),
            SelectChoice("update", "Change the existing user"),
        ],
    )


class ImportResult(NamedTuple):
    """The result of an import.

    Attributes:
        counts: how many users were added, updated and skipped; empty after an error.
        error: why nothing was imported.
        rejected: the first lines that are invalid, with the reasons.
    """

    counts: dict[str, int]
    error: str
    rejected: list[str]


def import_file(file: FileStorage, existing: str, who: str) -> ImportResult:
    """Import a file by the command `import_users`.

    It runs in a process of its own, because the validation of many lines would delay
    other requests, and the driver cannot execute COPY in a worker with greenlets.

    Args:
        file: CSV or JSON Lines, by the extension of its name.
        existing: see `import_users`.
        who: the operator.
    """
    suffix = Path(secure_filename(file.filename or "")).suffix
    with closing(file), NamedTemporaryFile(suffix=suffix) as copy:
        file.save(copy.name)
        process = subprocess.run(
            [
                *(sys.executable, "manage.py", "import_users", copy.name),
                *("--existing", existing, "--who", who),
            ],
            cwd=Path(current_app.root_path).parent,
            capture_output=True,
        )
    output, messages = process.stdout.decode(), process.stderr.decode()
    if process.returncode == 0:
        counts = {name: int(n.replace(",", "")) for n, name in COUNT.findall(output)}
        return ImportResult(counts, "", [])
    errors = ERROR.findall(messages)
    if not errors:
        raise RuntimeError(f"import_users failed: {messages}")
    return ImportResult({}, errors[-1], REJECTED_LINE.findall(messages)[:MAX_SHOWN])
