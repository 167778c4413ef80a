"""The operators' commands for many users: thin wrappers over `bulk` and `files`."""

import sys
import time
from pathlib import Path

import click
from flask.cli import with_appcontext
from tqdm import tqdm

from project import schema
from project.api.users import bulk, files, samples

# Seconds between two lines about the progress where there is no terminal.
PAUSE = 5

format_option = click.option(
    "--format",
    type=click.Choice(files.FORMATS),
    help="The file's format; by default what its name says, and CSV for a pipe.",
)


class Watch:
    """Shows how far bulk work is: a bar on a terminal, a line now and then elsewhere.

    Args:
        total: how many users there are to work on; None where nobody knows.

    Attributes:
        refused: how many users were refused so far.
    """

    def __init__(self, total=None):
        self.total = total
        self.refused = 0
        self.step = None
        self.bar = None
        self.told = time.monotonic()

    def progress(self, step, done):
        """Show that a step of the work has come so far.

        Args:
            step: what was done to the users.
            done: to how many.
        """
        if step != self.step:
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
        if self.bar.disable and time.monotonic() - self.told > PAUSE:
            self.told = time.monotonic()
            click.echo(f"{step}: {done:,} users", err=True)

    def over(self, step, users):
        """Yield users, and show how many there were."""
        count = 0
        for count, user in enumerate(users, 1):
            yield user
            if count % 1000 == 0:
                self.progress(step, count)
        self.progress(step, count)

    def refuse(self, line, reason):
        """Tell of a line that is refused, and count it."""
        self.refused += 1
        tqdm.write(f"line {line}: {reason}", file=sys.stderr)

    def close(self):
        """End the bar."""
        if self.bar is not None:
            self.bar.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@click.command("seed_db")
@click.option("--count", type=click.IntRange(min=1), help="Add so many made-up users.")
@click.option("--seed", type=int, help="A number: the same one makes the same users.")
@with_appcontext
def seed_db(count, seed):
    """Add two sample users, or as many as you like."""
    if count:
        with Watch(count) as watch:
            done = bulk.load(samples.generate(count, seed), "skip", watch)
        click.echo(f"{done['added']:,} users were added, {done['skipped']:,} skipped.")
        return
    for email, added in samples.seed().items():
        click.echo(f"{email} was added!" if added else f"{email} is there already.")


@click.command("export_users")
@click.argument("file", type=click.Path(path_type=Path), default="-")
@format_option
@with_appcontext
def export_users(file, format):
    """Write all users to FILE, or to a pipe.

    FILE is complete or what it was before.
    """
    format = format or files.guess_format(file)
    try:
        with Watch(schema.count_users()) as watch, files.replaced(file) as output:
            files.write(output, format, watch.over("exported", bulk.stream()))
    except BrokenPipeError:
        raise  # its reader has seen enough, which click knows
    except OSError as error:
        raise click.FileError(str(file), error.strerror) from error


@click.command("import_users")
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
)
@format_option
@click.option(
    "--existing",
    type=click.Choice(bulk.WAYS),
    default="refuse",
    show_default=True,
    help="What to do about a user whose e-mail address is taken.",
)
@with_appcontext
def import_users(file, format, existing):
    """Add the users of FILE, or of a pipe: all or none.

    A CSV file begins with a line of names, JSON Lines have an object in each line:
    `username`, `email` and perhaps `active`; others are ignored.
    """
    format = format or files.guess_format(file)
    with click.open_file(str(file), "rb") as source:
        with Watch(files.count_lines(source)) as watch:
            try:
                done = bulk.load(files.read(source, format, watch), existing, watch)
            except bulk.NotLoaded as error:
                raise click.ClickException(
                    f"{error}. No user was added or changed."
                ) from error
    click.echo(", ".join(f"{count:,} {word}" for word, count in done.items()) + ".")
