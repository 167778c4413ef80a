"""The events, each of which breaks or changes a part of the cluster or the service."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from chaos import scenarios
from chaos.cluster.cluster import FAILOVER_TIMEOUT, Cluster, PrimaryMonitor
from chaos.cluster.pgbouncer import start_pgbouncer
from chaos.cluster.service import Service
from chaos.load import LoadGenerator
from chaos.scenarios import Result, count_unavailable, count_violations
from devtools.project_copy import copy_project_with_new_field

# The programs, and the Debian packages that contain them.
PROGRAMS = {"etcd": "etcd-server", "haproxy": "haproxy", "pgbouncer": "pgbouncer"}
# Seconds.
ETCD_PAUSE = 40
PARTITION_SECONDS = 40
# The statement timeout, which may be waited for twice, is one second longer than in the
# other scenarios.
MAX_RESPONSE_SECONDS = scenarios.MAX_RESPONSE_SECONDS + 2


def kill_leader(cluster: Cluster, service: Service) -> None:
    leader = cluster.find("leader")
    leader.kill()
    cluster.wait_for_other_primary(leader)
    leader.start()


def freeze_leader(cluster: Cluster, service: Service) -> None:
    leader = cluster.find("leader")
    leader.freeze()
    cluster.wait_for_other_primary(leader)
    time.sleep(5)
    leader.thaw()


def switch_over(cluster: Cluster, service: Service) -> None:
    leader = cluster.find("leader")
    candidate = cluster.find("sync_standby")
    body = {"leader": leader.name, "candidate": candidate.name}
    leader.request("/switchover", body, timeout=FAILOVER_TIMEOUT)


def partition_leader(cluster: Cluster, service: Service) -> None:
    """The leader reaches the other nodes: Patroni's failsafe mode keeps it."""
    leader = cluster.find("leader")
    leader.link.freeze()
    time.sleep(PARTITION_SECONDS)
    leader.link.thaw()


def isolate_leader(cluster: Cluster, service: Service) -> None:
    """The leader does not reach all nodes, so it has to stop accepting writes."""
    leader = cluster.find("leader")
    other = cluster.find("replica")
    leader.link.freeze()
    other.patroni.freeze()
    cluster.wait_for_other_primary(leader)
    leader.link.thaw()
    other.patroni.thaw()


def hang_patroni(cluster: Cluster, service: Service) -> None:
    leader = cluster.find("leader")
    leader.patroni.freeze()
    cluster.wait_for_other_primary(leader)
    time.sleep(5)
    leader.patroni.thaw()


def lose_standby(cluster: Cluster, service: Service) -> None:
    standby = cluster.find("sync_standby")
    standby.kill()
    time.sleep(10)
    standby.start()


def lose_both_standbys(cluster: Cluster, service: Service) -> None:
    standbys = [cluster.find("sync_standby"), cluster.find("replica")]
    for standby in standbys:
        standby.kill()
    time.sleep(15)
    for standby in standbys:
        standby.start()


def stop_etcd(cluster: Cluster, service: Service) -> None:
    cluster.etcd.freeze()
    time.sleep(ETCD_PAUSE)
    cluster.etcd.thaw()


def return_on_old_timeline(cluster: Cluster, service: Service) -> None:
    """Kill the leader when it has changes that no other node has.

    Raises:
        RuntimeError: it returned without `pg_rewind`.
    """
    leader = cluster.find("leader")
    standbys = [node for node in cluster.nodes if node is not leader]
    for standby in standbys:
        standby.freeze()
    # Without waiting for a standby.
    leader.execute(
        "SET synchronous_commit = local; SELECT pg_logical_emit_message(true, '', '')"
    )
    leader.kill()
    for standby in standbys:
        standby.thaw()
    cluster.wait_for_other_primary(leader)
    lines_before = len(leader.patroni.log.read_text().splitlines())
    leader.start()
    cluster.wait_until_healthy()
    lines = leader.patroni.log.read_text().splitlines()[lines_before:]
    if not any("running pg_rewind" in line for line in lines):
        raise RuntimeError(f"{leader.name} did not run pg_rewind")


def restart_nodes(cluster: Cluster, service: Service) -> None:
    """Restart one node after the other, the leader last and as a standby."""
    leader = cluster.find("leader")
    for node in sorted(cluster.nodes, key=lambda node: node is leader):
        if node is leader:
            switch_over(cluster, service)
            cluster.wait_until_healthy()
        node.stop()
        node.start()
        cluster.wait_until_healthy()


def lose_instance(cluster: Cluster, service: Service) -> None:
    instance = service.instances[0]
    instance.gunicorn.kill()
    time.sleep(5)
    instance.start()


def upgrade_service(cluster: Cluster, service: Service) -> None:
    """Run the migrations of a version with another field, and replace the instances.

    Meanwhile, both versions serve.
    """
    new_version = copy_project_with_new_field(cluster.folder / "new_version")
    service.migrate(new_version)
    for instance in service.instances:
        instance.gunicorn.stop()
        instance.start(new_version)


@dataclass(frozen=True)
class Event:
    """An event of the command line.

    Attributes:
        label: describes the event in the printed table.
        run: causes the event, and ends it.
        is_short: whether `--short` includes it.
        ends_instances: whether it ends processes of the service.
        interrupts: whether requests in flight may remain without a response.
    """

    label: str
    run: Callable[[Cluster, Service], None]
    is_short: bool = False
    ends_instances: bool = False
    interrupts: bool = False


EVENTS = (
    Event("The leader killed, started again after the failover", kill_leader, True),
    Event("A switchover", switch_over, True),
    Event("The leader lost without a trace (SIGSTOP)", freeze_leader),
    Event(
        f"The leader partitioned from etcd for {PARTITION_SECONDS} s", partition_leader
    ),
    Event("The leader partitioned from etcd and from a node", isolate_leader),
    Event("The leader's Patroni hangs (SIGSTOP)", hang_patroni),
    Event("The synchronous standby killed, started after 10 s", lose_standby),
    Event("Both standbys killed, started after 15 s", lose_both_standbys),
    Event(f"etcd down for {ETCD_PAUSE} s", stop_etcd),
    Event(
        "The leader killed with changes that no other node has; it returns with"
        " pg_rewind",
        return_on_old_timeline,
    ),
    Event("All nodes restarted, one after the other", restart_nodes),
    Event(
        "One instance of the service killed, started after 5 s",
        lose_instance,
        ends_instances=True,
        interrupts=True,
    ),
    # The last one, because the new version remains.
    Event(
        "The service upgraded, with migrations: both versions at once",
        upgrade_service,
        ends_instances=True,
    ),
)


def run_event(event: Event, cluster: Cluster, service: Service) -> Result:
    """Run an event under load, and wait until the cluster is healthy again.

    A process of the service that ends by itself is a violation.
    """
    processes = service.processes()
    with PrimaryMonitor(cluster) as monitor, LoadGenerator(service.url) as load:
        time.sleep(2)
        event.run(cluster, service)
        cluster.wait_until_healthy()
        time.sleep(3)
    results = load.results
    failed = [result for result in results if not result.succeeded]
    violations = (
        count_violations(results, MAX_RESPONSE_SECONDS) + load.count_stale_reads()
    )
    if event.interrupts:
        # Each client has at most one request in flight.
        interrupted = sum(result.status is None for result in results)
        violations -= min(interrupted, len(load.clients))
    if not event.ends_instances:
        violations += sum(not process.is_running() for process in processes)
    return Result(
        requests=len(results),
        violations=violations,
        lost_writes=load.count_lost_writes(cluster.find("leader").execute),
        recovery_seconds=(
            max(result.ended_at for result in failed)
            - min(result.started_at for result in failed)
            if failed
            else 0
        ),
        note=(
            f"{count_unavailable(results)} × 503;"
            f" no primary for {monitor.seconds_without_primary:.1f} s"
        ),
    )


def run_events(short: bool, pgbouncer: bool) -> Iterator[tuple[str, Result]]:
    """Start a cluster and the service, run the events, and yield each with its result.

    Args:
        short: omit the long events.
        pgbouncer: let the service connect to PgBouncer, instead of to the nodes, and
            read on the primary only.
    """
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster())
        if pgbouncer:
            settings = {"DATABASE_URL": stack.enter_context(start_pgbouncer(cluster))}
        else:
            settings = {
                "DATABASE_URL": cluster.url(),
                "DATABASE_READ_URL": cluster.url(),
                # Longer than a failover, so that reads go on meanwhile.
                "DATABASE_READ_MAX_LAG": "40",
            }
        service = stack.enter_context(Service(cluster, settings))
        for event in EVENTS:
            if event.is_short or not short:
                yield event.label, run_event(event, cluster, service)


def missing_programs() -> list[str]:
    """Return the Debian packages of the programs that are not installed."""
    return [
        package for program, package in PROGRAMS.items() if not shutil.which(program)
    ]
