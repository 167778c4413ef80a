"""Measure the cost and the latency of a workload."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TypedDict

import psutil

from benchmarks.database import Database
from benchmarks.servers import Server, Target, start_target
from devtools.processes import process_tree
from devtools.servers import START_TIMEOUT

WRK_SCRIPT = Path(__file__).with_name("workloads.lua")
# A server is idle if it uses less than this share of a core for this time in seconds.
IDLE_SHARE = 0.05
IDLE_INTERVAL = 0.5


class CostUnit(StrEnum):
    """The unit of `Measurement.cost`, per request."""

    INSTRUCTIONS = "thousands of instructions"
    CPU_TIME = "CPU microseconds"


@dataclass(frozen=True)
class Measurement:
    """What one run of a workload measured.

    Attributes:
        cost: the value by which servers are compared: the instructions of the whole
            machine per request, or where the machine does not count them, the sum of
            the three CPU times.
        server_cpu: the server's CPU time per request in microseconds, user and kernel.
        postgres_cpu: the same of PostgreSQL.
        client_cpu: the same of wrk.
        requests_per_second: the throughput.
        p50: the median latency in milliseconds.
        p99: the 99th percentile of the latency in milliseconds.
        memory: the server's memory in megabytes.
        errors: the number of failed requests.
    """

    cost: float
    cost_unit: CostUnit
    server_cpu: float
    postgres_cpu: float
    client_cpu: float
    requests_per_second: float
    p50: float
    p99: float
    memory: float
    errors: int

    @property
    def service_cpu(self) -> float:
        """The CPU time of the server and PostgreSQL per request, in microseconds."""
        return self.server_cpu + self.postgres_cpu


@dataclass(frozen=True)
class Run:
    """A measurement, and what was measured."""

    server: str
    workload: str
    connections: int
    round: int
    measurement: Measurement


@dataclass(frozen=True)
class Start:
    """How a server started.

    Attributes:
        milliseconds: from the start of the process to the first response, for which
            the server reads a user.
        cpu_milliseconds: the CPU time, user and kernel, until all workers are idle.
        memory: the server's memory in megabytes then.
    """

    server: str
    round: int
    milliseconds: float
    cpu_milliseconds: float
    memory: float


class WrkSummary(TypedDict):
    """What workloads.lua prints at the end; the latencies are in milliseconds."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float


@dataclass(frozen=True)
class WrkResult:
    """The result of a run of wrk.

    Attributes:
        cpu_seconds: wrk's own CPU time.
        instructions: counted on the whole machine; None if it does not count them.
    """

    summary: WrkSummary
    cpu_seconds: float
    instructions: int | None


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its descendants, exited ones included.

    The machine's total would include other tenants of a shared machine.
    """
    while True:
        try:
            times = [process.cpu_times() for process in process_tree(pid)]
        except psutil.NoSuchProcess:
            # A child exited. Its time is now in its parent's children_user.
            continue
        return sum(
            t.user + t.system + t.children_user + t.children_system for t in times
        )


def memory_megabytes(pid: int) -> float:
    """Return the memory of a process tree; shared pages count once."""
    tree = process_tree(pid)
    return sum(process.memory_full_info().pss for process in tree) / 2**20


def count_instructions(command: Sequence[str]) -> list[str]:
    """Return a command that also prints the whole machine's instructions to stderr."""
    return ["perf", "stat", "-a", "-x,", "-e", "instructions", *command]


@cache
def can_count_instructions() -> bool:
    """Return whether perf is installed and the CPU counts instructions.

    Most virtual machines do not.
    """
    if not shutil.which("perf"):
        return False
    result = subprocess.run(
        count_instructions(["true"]), capture_output=True, text=True
    )
    return parse_instructions(result.stderr) is not None


def parse_instructions(perf_output: str) -> int | None:
    """Return the number in the last line of perf's output, if there is one."""
    count = perf_output.strip().rpartition("\n")[2].partition(",")[0]
    return int(count) if count.isdigit() else None


def run_wrk(
    url: str,
    connections: int,
    seconds: int,
    script_arguments: Sequence[str],
    headers: Sequence[str],
) -> WrkResult:
    """Run wrk with workloads.lua.

    Args:
        headers: sent with each request, as `name: value`.

    Raises:
        RuntimeError: wrk failed.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    for header in headers:
        command += ["-H", header]
    command += ["-s", str(WRK_SCRIPT), url, "--", *script_arguments]
    if can_count_instructions():
        command = count_instructions(command)
    before = os.times()
    result = subprocess.run(command, capture_output=True, text=True)
    after = os.times()
    if result.returncode:
        raise RuntimeError(f"wrk failed: {result.stdout}{result.stderr}")
    return WrkResult(
        summary=json.loads(result.stdout.splitlines()[-1]),
        cpu_seconds=after.children_user
        - before.children_user
        + after.children_system
        - before.children_system,
        instructions=parse_instructions(result.stderr),
    )


def measure(
    target: Target, workload: str, connections: int, seconds: int, tag: str
) -> Measurement | None:
    """Run a workload against a server.

    Args:
        connections: the number of keep-alive connections.
        tag: makes the e-mail addresses of this run unique, and seeds its choices.

    Returns:
        None if no request was completed in the time.
    """
    database = target.database
    pids = (target.pid, database.server_pid)
    before = [cpu_seconds(pid) for pid in pids]
    wrk = run_wrk(
        target.url,
        connections,
        seconds,
        [workload, str(database.users), str(database.emails), tag],
        target.headers,
    )
    after = [cpu_seconds(pid) for pid in pids]
    requests = wrk.summary["requests"]
    if not requests:
        return None
    server_cpu, postgres_cpu = (
        (end - start) / requests * 1e6 for start, end in zip(before, after)
    )
    client_cpu = wrk.cpu_seconds / requests * 1e6
    if wrk.instructions is None:
        cost = server_cpu + postgres_cpu + client_cpu
        cost_unit = CostUnit.CPU_TIME
    else:
        cost = wrk.instructions / requests / 1000
        cost_unit = CostUnit.INSTRUCTIONS
    return Measurement(
        cost=cost,
        cost_unit=cost_unit,
        server_cpu=server_cpu,
        postgres_cpu=postgres_cpu,
        client_cpu=client_cpu,
        requests_per_second=requests / wrk.summary["seconds"],
        p50=wrk.summary["p50"],
        p99=wrk.summary["p99"],
        memory=memory_megabytes(target.pid),
        errors=wrk.summary["errors"],
    )


def wait_until_idle(pid: int) -> None:
    """Wait until a process and its descendants hardly use the CPU.

    Raises:
        RuntimeError: they still do after START_TIMEOUT.
    """
    deadline = time.monotonic() + START_TIMEOUT
    before = cpu_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(IDLE_INTERVAL)
        after = cpu_seconds(pid)
        if after - before < IDLE_SHARE * IDLE_INTERVAL:
            return
        before = after
    raise RuntimeError(f"process {pid} is not idle after {START_TIMEOUT} seconds")


def measure_start(server: Server, database: Database, round_number: int) -> Start:
    """Start a server, and stop it after its first response."""
    started = time.monotonic()
    with start_target(server, database) as target:
        milliseconds = (time.monotonic() - started) * 1000
        # The other workers of some servers are still importing.
        wait_until_idle(target.pid)
        return Start(
            server=server.name,
            round=round_number,
            milliseconds=milliseconds,
            cpu_milliseconds=cpu_seconds(target.pid) * 1000,
            memory=memory_megabytes(target.pid),
        )
