"""The commands `seed_db`, `export_users` and `import_users`."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, TypeVar

import click
from tqdm import tqdm

from project.api.users import queries
from project.api.users.bulk import formats, load, samples
from project.audit_log import operating_system_user, record_bulk
from project.database.commands import DatabaseCommand

# Seconds between two progress lines if stderr is not a terminal.
REPORT_SECONDS = 5
# Users between two updates of the progress of an export.
TRACK_BATCH = 1000

Item = TypeVar("Item")


format_option = click.option(
    "--format",
    type=click.Choice(formats.FORMATS),
    help="The format of the file. Default: by its extension; CSV for a pipe.",
)


class TerminalReporter:
    """Reports progress on stderr: a bar on a terminal, otherwise a line at times.

    A context manager, which closes the bar. It implements `load.ProgressReporter`.

    Args:
        total: the number of users, if it is known.

    Attributes:
        tracked: the number of items that `track` has yielded; None before the first.
    """

    def __init__(self, total: int | None = None) -> None:
        self.total = total
        self.rejected = 0
        self.tracked: int | None = None
        self.step: str | None = None
        self.bar: tqdm[NoReturn] | None = None
        self.last_report = time.monotonic()

    def progress(self, step: str, done: int) -> None:
        """Report the number of users that a step has processed."""
        if self.bar is None or step != self.step:
            self.close()
            self.step = step
            self.bar = tqdm(
                desc=step,
                total=self.total,
                unit=" users",
                unit_scale=True,
                disable=not sys.stderr.isatty(),
            )
        self.bar.update(done - self.bar.n)
        if self.bar.disable and time.monotonic() - self.last_report > REPORT_SECONDS:
            self.last_report = time.monotonic()
            click.echo(f"{step}: {done:,} users", err=True)

    def track(self, step: str, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items, and report their number."""
        self.tracked = 0
        for self.tracked, item in enumerate(items, 1):
            yield item
            if self.tracked % TRACK_BATCH == 0:
                self.progress(step, self.tracked)
        self.progress(step, self.tracked)

    def reject(self, line: int, reason: str) -> None:
        """Report a rejected line."""
        self.rejected += 1
        tqdm.write(f"line {line}: {reason}", file=sys.stderr)

    def close(self) -> None:
        """Close the bar of the current step."""
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@click.command("seed_db", cls=DatabaseCommand)
@click.option(
    "--count", type=click.IntRange(min=1), help="Add this many random users instead."
)
@click.option("--seed", type=int, help="Makes the random users reproducible.")
def seed_db(count: int | None, seed: int | None) -> None:
    """Add two sample users, or random users."""
    if count:
        with TerminalReporter(count) as reporter:
            users = samples.generate(count, seed)
            result = load.bulk_insert(users, "skip", reporter, operating_system_user())
        click.echo(
            f"{result['added']:,} users were added, {result['skipped']:,} skipped."
        )
        record_bulk("seed_db", operating_system_user(), **result)
        return
    samples_added = samples.seed()
    for email, was_added in samples_added.items():
        click.echo(f"{email} was added!" if was_added else f"{email} already exists.")
    added = sum(samples_added.values())
    record_bulk(
        "seed_db",
        operating_system_user(),
        added=added,
        skipped=len(samples_added) - added,
    )


@click.command("export_users", cls=DatabaseCommand)
@click.argument("file", type=click.Path(path_type=Path), default="-")
@format_option
def export_users(file: Path, format: str | None) -> None:
    """Write all users to FILE, or to stdout.

    FILE is replaced when the export is complete. After an error it is unchanged.
    """
    format = format or formats.guess_format(file)
    reporter = TerminalReporter(queries.count())
    try:
        with reporter, formats.atomic_write(file) as output:
            users = reporter.track("exported", load.stream_users())
            formats.write(output, format, users)
    except BrokenPipeError:
        raise  # click handles a reader that has closed the pipe
    except OSError as error:
        raise click.FileError(str(file), error.strerror) from error
    finally:
        # The reader of a pipe may close it after it has received what it wanted.
        if reporter.tracked is not None:
            record_bulk(
                "export_users",
                operating_system_user(),
                exported=reporter.tracked,
            )


@click.command("import_users", cls=DatabaseCommand)
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
)
@format_option
@click.option(
    "--existing",
    type=click.Choice(list(load.CONFLICT_POLICIES)),
    default="refuse",
    show_default=True,
    help="What to do with a user whose e-mail address is taken.",
)
@click.option(
    "--who",
    default=operating_system_user,
    help="The name for the history and the audit log. Default: yours.",
)
def import_users(file: Path, format: str | None, existing: str, who: str) -> None:
    """Add the users in FILE, or from stdin; either all or none.

    The first line of a CSV file contains the names of the columns. Each line of a JSON
    Lines file contains an object. The names are those of the API; others are ignored.
    """
    format = format or formats.guess_format(file)
    with (
        click.open_file(str(file), "rb") as source,
        TerminalReporter(formats.count_lines(source)) as reporter,
    ):
        try:
            rows = formats.read(source, format, reporter)
            result = load.bulk_insert(rows, existing, reporter, who)
        except load.ImportAborted as error:
            raise click.ClickException(
                f"{error}. No user was added or changed."
            ) from error
    click.echo(", ".join(f"{count:,} {name}" for name, count in result.items()) + ".")
    record_bulk("import_users", who, **result)
