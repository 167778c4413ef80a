"""One run of work against a server: what it cost, and how long it took."""

import json
import os
import subprocess
from pathlib import Path

import psutil

SCRIPT = Path(__file__).with_name("work.lua")
WARM_UP = 1


def tree(pid):
    """Return a process and all that descend from it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_seconds(pid):
    """Return the CPU time of a process and its descendants, the dead included.

    Machine-wide figures would count the neighbours of a machine that is shared.
    """
    try:
        times = [process.cpu_times() for process in tree(pid)]
    except psutil.NoSuchProcess:
        # It ended meanwhile: now its time is in its parent's.
        return cpu_seconds(pid)
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def memory(pid):
    """Return the megabytes of a process tree; what it shares counts once."""
    return sum(process.memory_full_info().pss for process in tree(pid)) / 2**20


def wrk(url, connections, seconds, arguments):
    """Run wrk and return what its script says, and the CPU seconds that it took.

    Args:
        url: the server's.
        connections: how many are kept alive.
        seconds: for how long.
        arguments: the script's.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    process = subprocess.Popen(
        [*command, "-s", SCRIPT, url, "--", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process.stdout as output:
        said = output.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"wrk failed: {said}")
    return json.loads(said.splitlines()[-1]), usage.ru_utime + usage.ru_stime


def measure(url, server, postgres, connections, seconds, arguments):
    """Drive work against a server, and return its figures as a dict.

    The CPU time is in microseconds per request: the server's, PostgreSQL's and wrk's,
    each with what the kernel does for it.

    Args:
        url: the server's.
        server: its process id.
        postgres: PostgreSQL's.
        connections: how many are kept alive.
        seconds: for how long.
        arguments: the work and what it needs; see work.lua.
    """
    wrk(url, connections, WARM_UP, [*arguments[:2], f"{arguments[2]}w", arguments[3]])
    before = cpu_seconds(server), cpu_seconds(postgres)
    said, client = wrk(url, connections, seconds, arguments)
    after = cpu_seconds(server), cpu_seconds(postgres)
    used = [b - a for a, b in zip(before, after)] + [client]
    costs = dict(
        zip(
            ("server", "postgres", "client"), (u / said["requests"] * 1e6 for u in used)
        )
    )
    return {
        **costs,
        "cpu": sum(costs.values()),
        "rate": said["requests"] / said["seconds"],
        "p50": said["p50"],
        "p99": said["p99"],
        "errors": said["errors"],
        "memory": memory(server),
    }
