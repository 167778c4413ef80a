"""Break things under load, and print what the clients saw.

    pipenv run chaos [--short] [NAME …]

Without a name it walks all faults; `--short` leaves out the long ones. The exit
status is 1 where an answer was wrong or a write was lost.
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial

import psutil

from chaos import clients, faults
from chaos.load import Load
from chaos.postgres import Postgres
from project import create_app, db, schema
from project.tests.servers import gunicorn

# Short, so that a run does not take long; production's are in the configuration.
TIMEOUTS = {
    "DATABASE_POOL_TIMEOUT": "2",
    "DATABASE_CONNECT_TIMEOUT": "2",
    "DATABASE_STATEMENT_TIMEOUT": "2",
    "DATABASE_LOCK_TIMEOUT": "2",
}
# The longest that an answer may take: wait for a connection, find it stale, open
# another, wait for the statement; and a second for a busy machine.
LIMIT = 2 + 2 + 2 + 3 + 1


@dataclass
class Row:
    """A line of the table.

    Attributes:
        name: the fault.
        sent: how many requests the clients sent.
        wrong: how many answers the service may not give.
        lost: how many writes were answered with success and are not there.
        recovery: seconds from the fault's end to the last answer that showed it.
        note: what else there is to know.
    """

    name: str
    sent: int
    wrong: int
    lost: int
    recovery: float
    note: str = ""


def migrate(server):
    """Build the schema in a new server."""
    app = create_app({"DATABASE_URL": server.url(user="service")})
    with app.app_context():
        with db.engine.begin() as connection:
            schema.upgrade(connection)
        for engine in db.engines.values():
            engine.dispose()
    server.execute(
        "INSERT INTO users (username, email)"
        " SELECT '0', 'filler' || n || '@example.com' FROM generate_series(1, 1000) n"
    )


def count_refused(answers):
    """Return how many of the answers are 503."""
    return sum(answer.status == 503 for answer in answers)


def database_fault(fault, server=None):
    """Break the database under load.

    Args:
        fault: a function of faults that takes the server.
        server: a context manager that yields it; a new one where it is None.
    """
    with ExitStack() as stack:
        server = stack.enter_context(server or nullcontext(Postgres().create()))
        stack.callback(server.remove)
        migrate(server)
        output = stack.enter_context(tempfile.TemporaryFile("w+"))
        url, process = stack.enter_context(
            gunicorn(server.url(user="service"), output=output, **TIMEOUTS)
        )
        workers = psutil.Process(process.pid).children()
        with Load(url) as load:
            time.sleep(2)
            fault(server)
            well = time.monotonic()
            time.sleep(3)
        died = sum(not worker.is_running() for worker in workers)
        return summary(fault.__doc__, load, server, well, died)


def summary(name, load, server, well, died=0):
    """Return the Row of a load.

    Args:
        name: the fault.
        load: the Load, ended.
        server: the Postgres that has the data.
        well: when the fault ended, in seconds of the monotonic clock.
        died: how many workers died that should not have.
    """
    answers = load.answers
    late = [a.began + a.seconds - well for a in answers if a.status not in (200, 201)]
    return Row(
        name.strip("."),
        len(answers),
        sum(not answer.promised(LIMIT) for answer in answers) + died,
        load.lost(server),
        max(0, *late, 0),
        f"{count_refused(answers)} × 503",
    )


def fail_over():
    """The primary killed, its standby promoted."""
    primary, standby = Postgres().create(), Postgres()
    with ExitStack() as stack:
        stack.callback(primary.remove)
        stack.callback(standby.remove)
        migrate(primary)
        standby.follow(primary)
        # A write is answered when the standby has it, or it could be lost.
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = (
            f"postgresql://service@{hosts}/users_chaos?target_session_attrs=read-write"
        )
        url, _ = stack.enter_context(gunicorn(url, **TIMEOUTS))
        with Load(url) as load:
            time.sleep(2)
            primary.kill()
            time.sleep(1)
            standby.promote()
            well = time.monotonic()
            time.sleep(3)
        return summary(fail_over.__doc__, load, standby, well)


def bad_clients(kind, number, seconds=5):
    """Serve others beside clients that misbehave.

    Args:
        kind: a context manager of clients.
        number: how many there are.
        seconds: how long they stay.
    """
    server = Postgres().create()
    with ExitStack() as stack:
        stack.callback(server.remove)
        migrate(server)
        url, process = stack.enter_context(gunicorn(server.url(user="service")))
        with Load(url, clients=6) as before:
            time.sleep(seconds)
        memory = resident(process)
        with kind(url, number), Load(url, clients=6) as load:
            time.sleep(seconds)
            grown = resident(process) - memory
        row = summary(f"{number} {kind.__doc__.lower()}", load, server, 0)
        row.recovery = 0
        row.note = (
            f"p99 {p99(before) * 1000:.0f} ms before, {p99(load) * 1000:.0f} ms beside"
            f" them; {grown / number / 1024:.0f} KiB for each"
        )
        return row


def p99(load):
    """Return the time in seconds that 99 of 100 answers took at most."""
    times = sorted(answer.seconds for answer in load.answers)
    return times[int(len(times) * 0.99)]


def resident(process):
    """Return the memory of gunicorn's workers, in bytes."""
    workers = psutil.Process(process.pid).children()
    return sum(worker.memory_info().rss for worker in workers)


def kill_worker():
    """A worker killed (SIGKILL)."""
    server = Postgres().create()
    with ExitStack() as stack:
        stack.callback(server.remove)
        migrate(server)
        url, process = stack.enter_context(gunicorn(server.url(user="service")))
        with Load(url) as load:
            time.sleep(2)
            psutil.Process(process.pid).children()[0].kill()
            well = time.monotonic()
            time.sleep(3)
        row = summary(kill_worker.__doc__, load, server, well)
        broken = sum(answer.status is None for answer in load.answers)
        # Each client has one request in flight at most; only those may break.
        row.wrong -= min(broken, len(load.clients))
        row.note = f"{broken} in flight broke"
        return row


def overload():
    """Twice as many requests as can be served."""
    server = Postgres().create()
    with ExitStack() as stack:
        stack.callback(server.remove)
        migrate(server)
        url, process = stack.enter_context(
            gunicorn(server.url(user="service"), WEB_CONCURRENCY="1", **TIMEOUTS)
        )
        # A slow database is what there is too little of: the two rows that the service
        # reads for a page of one take a tenth of a second.
        server.execute("""
            ALTER TABLE users ENABLE ROW LEVEL SECURITY;
            ALTER TABLE users FORCE ROW LEVEL SECURITY;
            CREATE POLICY slow ON users USING (pg_sleep(0.05) IS NOT NULL)
            """)
        alone = clients.capacity(url, seconds=4)
        memory = resident(process)
        answers = clients.flood(url, rate=2 * alone, seconds=10)
        grown = (resident(process) - memory) / 2**20
        served = sum(answer.status == 200 for answer in answers) / 10
        row = Row(
            overload.__doc__.strip("."),
            len(answers),
            sum(not answer.promised(LIMIT) for answer in answers),
            0,
            0,
            f"{alone:.0f}/s alone, {served:.0f}/s of {2 * alone:.0f}/s;"
            f" {count_refused(answers)} × 503; {grown:.0f} MiB more",
        )
        return row


def endure(requests):
    """A long time of good and bad requests.

    Args:
        requests: how many.
    """
    server = Postgres().create()
    with ExitStack() as stack:
        stack.callback(server.remove)
        migrate(server)
        url, process = stack.enter_context(gunicorn(server.url(user="service")))
        # The first part fills the caches.
        clients.mixed(url, requests // 4)
        memory = resident(process)
        wrong = clients.mixed(url, requests)
        grown = (resident(process) - memory) / 2**20
        note = f"the workers grew by {grown:.1f} MiB from {memory / 2**20:.0f} MiB"
        # A leak of a hundred bytes a request would be more than this.
        wrong += grown > max(5, requests * 100 / 2**20)
        return Row(f"{requests} requests, good and bad", requests, wrong, 0, 0, note)


LONG = {
    "stop": partial(database_fault, faults.stop),
    "restart": partial(database_fault, faults.restart),
    "exhaust": partial(database_fault, faults.exhaust),
    "lock": partial(database_fault, faults.lock),
    "disk": lambda: database_fault(faults.fill_disk, faults.small_disk()),
    "idle": partial(bad_clients, clients.idle, 2000),
    "vanish": partial(bad_clients, clients.vanishing, 500),
    "overload": overload,
    "endure": partial(endure, 200_000),
}
SHORT = {
    "kill": partial(database_fault, faults.kill),
    "freeze": partial(database_fault, faults.freeze),
    "failover": fail_over,
    "worker": kill_worker,
    "slow": partial(bad_clients, clients.slow, 500),
}


def main():
    """Walk the faults that the command line names, and print the table."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SHORT, *LONG])
    parser.add_argument("--short", action="store_true", help="leave out the long ones")
    arguments = parser.parse_args()
    every = SHORT if arguments.short else SHORT | LONG
    clients.allow_many_files()
    print("| fault | sent | wrong | lost writes | recovered after | |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    bad = False
    for name in arguments.names or every:
        row = (SHORT | LONG)[name]()
        bad = bad or row.wrong or row.lost
        print(
            f"| {row.name} | {row.sent} | {row.wrong} | {row.lost} |"
            f" {row.recovery:.1f} s | {row.note} |",
            flush=True,
        )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
