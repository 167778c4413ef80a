"""One run of work against a server: what it cost, and how long it took."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import psutil

SCRIPT = Path(__file__).with_name("work.lua")


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


def perf(*command):
    """Return a command that counts the whole machine's instructions on stderr."""
    return ["perf", "stat", "-a", "-x,", "-e", "instructions", *command]


@cache
def counts_instructions():
    """Tell whether this machine counts instructions: few virtual ones do."""
    if not shutil.which("perf"):
        return False
    tried = subprocess.run(perf("true"), capture_output=True, text=True)
    return parse_count(tried.stderr) is not None


def parse_count(said):
    """Return the instructions that perf has counted, or None."""
    counted = said.strip().splitlines()[-1].split(",")[0] if said.strip() else ""
    return int(counted) if counted.isdigit() else None


def wrk(url, connections, seconds, arguments):
    """Run wrk, and return what its script says, its CPU seconds and the instructions.

    Args:
        url: the server's.
        connections: how many are kept alive.
        seconds: for how long.
        arguments: the script's.

    Raises:
        RuntimeError: it failed.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", SCRIPT, url, "--", *map(str, arguments)]
    if counts_instructions():
        command = perf(*command)
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True)
    after = os.times()
    if done.returncode:
        raise RuntimeError(f"wrk failed: {done.stdout}{done.stderr}")
    used = after.children_user - before.children_user
    used += after.children_system - before.children_system
    return json.loads(done.stdout.splitlines()[-1]), used, parse_count(done.stderr)


def measure(url, server, postgres, connections, seconds, arguments):
    """Drive work against a server, and return its figures as a dict.

    None where it answers nothing in the time.

    The CPU time is in microseconds per request: the server's, PostgreSQL's and wrk's,
    each with what the kernel does for it. `cost` is what servers are compared by: the
    whole machine's instructions per request, in thousands; where the machine does not
    count them, the CPU time of all three.

    Args:
        url: the server's.
        server: its process id.
        postgres: PostgreSQL's.
        connections: how many are kept alive.
        seconds: for how long.
        arguments: the work and what it needs; see work.lua.
    """
    before = cpu_seconds(server), cpu_seconds(postgres)
    said, client, instructions = wrk(url, connections, seconds, arguments)
    after = cpu_seconds(server), cpu_seconds(postgres)
    if not said["requests"]:
        return None
    used = [b - a for a, b in zip(before, after)] + [client]
    parts = ("server", "postgres", "client")
    times = {part: u / said["requests"] * 1e6 for part, u in zip(parts, used)}
    if instructions is None:
        cost = sum(times.values())
    else:
        cost = instructions / said["requests"] / 1000
    return {
        "cost": cost,
        **times,
        "rate": said["requests"] / said["seconds"],
        "p50": said["p50"],
        "p99": said["p99"],
        "errors": said["errors"],
        "memory": memory(server),
    }
