"""`python -m benchmarks`: measure this service beside its peers, and report."""

import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import click
import psycopg2

from benchmarks import report
from benchmarks.measure import measure
from benchmarks.servers import OURS, ROOT, SERVERS, peers_python, served, variables
from project import embedded

OUTPUT = ROOT / "instance" / "benchmarks"
OWN_PACKAGES = ("flask", "flask-restful", "sqlalchemy", "psycopg2-binary", "gunicorn")
PEER_PACKAGES = ("fastapi", "litestar", "django", "djangorestframework", "sqlalchemy")
PEER_PACKAGES += ("asyncpg", "psycopg", "uvicorn", "uvloop")
SPACE = """
    SELECT 'the table', pg_table_size('users')
    UNION ALL SELECT indexrelid::regclass::text, pg_relation_size(indexrelid)
    FROM pg_index WHERE indrelid = 'users'::regclass
    UNION ALL SELECT 'all', pg_total_relation_size('users')
"""


class Database:
    """A PostgreSQL of the benchmark's own, in a temporary folder.

    Attributes:
        url: its address.
        pid: its process.
        emails: a file with the addresses of some users.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.emails = self.folder / "emails"
        self.url = embedded.start(self.folder / "postgres", "users_bench", keep=False)
        self.pid = int((self.folder / "postgres/postmaster.pid").read_text().split()[0])

    def execute(self, statement):
        """Run a statement and return its rows, if it has any."""
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows

    def manage(self, *arguments):
        """Run a command of the service on it."""
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(
            command, cwd=ROOT, env=variables(self.url), check=True, stdout=sys.stderr
        )

    def fill(self, users):
        """Build the schema anew with so many users, whose ids begin at 1."""
        self.manage("recreate_db", "--yes")
        self.manage("seed_db", "--count", str(users), "--seed", "1")
        # Or PostgreSQL would do it by itself, in the middle.
        self.execute("VACUUM (ANALYZE, FREEZE) users")
        self.execute("CHECKPOINT")
        rows = self.execute("SELECT email FROM users ORDER BY id LIMIT 1000")
        self.emails.write_text("".join(f"{email}\n" for (email,) in rows))


@contextmanager
def database():
    """Start a Database, and remove it."""
    if not shutil.which("wrk"):
        raise click.ClickException("wrk is missing: `apt-get install wrk` or the like")
    folder = tempfile.mkdtemp(prefix="bench_")
    # PostgreSQL runs as a user of its own where we are root.
    Path(folder).chmod(0o755)
    try:
        yield Database(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def drive(name, db, users, connections, seconds, log, tag):
    """Do every work of a server and yield its figures.

    Args:
        name: the server's.
        db: the Database.
        users: how many users there are.
        connections: the numbers of connections, in turn.
        seconds: for how long each.
        log: the file for the server's output.
        tag: makes the run's addresses its own.
    """
    with served(name, db.url, log) as (url, pid):
        for work in SERVERS[name][-1]:
            for number in connections:
                arguments = [work, users, f"{tag}.{work}{number}", db.emails]
                figures = measure(url, pid, db.pid, number, seconds, arguments)
                yield {"name": name, "work": work, "connections": number, **figures}


def versions(python):
    """Return the versions of what was measured, as one line."""
    own = ", ".join(f"{name} {version(name)}" for name in OWN_PACKAGES)
    script = (
        f"from importlib.metadata import version as v; print(*map(v, {PEER_PACKAGES}))"
    )
    said = subprocess.run(
        [python, "-c", script], capture_output=True, text=True, check=True
    )
    theirs = ", ".join(map(" ".join, zip(PEER_PACKAGES, said.stdout.split())))
    return f"Here: {own}. Peers: {theirs}."


def save(text, runs):
    """Write the report, its figures and the plot."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "report.md").write_text(text)
    (OUTPUT / "runs.json").write_text(json.dumps(runs, indent=1))
    figures = report.summarise(runs)
    least = min(connections for _, _, connections in figures)
    costs = {label: {} for label in report.NAMES.values()}
    for name in SERVERS:
        for work in SERVERS[name][-1]:
            cost = figures[name, work, least]["cpu"]
            costs[report.NAMES[work]][name] = cost
    (OUTPUT / "costs.json").write_text(json.dumps(costs))
    plot = Path(__file__).with_name("plot.py")
    subprocess.run(
        [peers_python(), plot, OUTPUT / "costs.json", OUTPUT / "plot.png"], check=True
    )


def compare(rounds, seconds, users, connections):
    """Measure all servers, and return the report and what was measured."""
    python = peers_python()
    runs = []
    with database() as db, open(db.folder / "log", "w") as log:
        db.fill(users)
        for turn in range(rounds):
            for name in SERVERS:
                click.echo(f"round {turn + 1} of {rounds}: {name}", err=True)
                tag = f"r{turn}s{list(SERVERS).index(name)}"
                runs += drive(name, db, users, connections, seconds, log, tag)
    settings = f"{rounds} round(s) of {seconds} s for each work, {users:,} users"
    return report.render(runs, settings, versions(python)), runs


def grow(rounds, seconds, numbers):
    """Measure this service by the number of its users, and return the report."""
    runs, sizes = [], {}
    with database() as db, open(db.folder / "log", "w") as log:
        for users in numbers:
            db.fill(users)
            sizes[users] = dict(db.execute(SPACE))
            for turn in range(rounds):
                for run in drive(OURS, db, users, [16], seconds, log, f"r{turn}"):
                    runs.append(run | {"connections": users})
    return report.growth(runs, sizes)


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Turns of each server.")
@click.option("--seconds", default=3, show_default=True, help="Time for each work.")
@click.option(
    "--connections",
    default=(16, 64),
    multiple=True,
    show_default=True,
    help="Connections kept alive; may be given several times.",
)
@click.option("--users", default=10_000, show_default=True, help="How many there are.")
@click.option(
    "--growth",
    type=click.IntRange(min=1000),
    multiple=True,
    help="Measure this service alone with so many users; may be given several times.",
)
def main(rounds, seconds, connections, users, growth):
    """Measure what a request costs here and in the peers; print it as Markdown."""
    if growth:
        click.echo(grow(rounds, seconds, growth))
        return
    text, runs = compare(rounds, seconds, users, connections)
    save(text, runs)
    click.echo(text)
    click.echo(f"Saved in {OUTPUT}.", err=True)


if __name__ == "__main__":
    main()
