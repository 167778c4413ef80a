"""PgBouncer in transaction mode, in front of the primary of a cluster."""

from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chaos.cluster.cluster import Cluster
from chaos.cluster.nodes import DATABASE, OWNER, PASSWORD, make_folder
from chaos.cluster.programs import Program
from devtools.servers import ROOT, free_port
from project.database.postgres_programs import as_server_user

DEPLOY = ROOT / "deploy" / "cluster"
# The service cannot set them itself. See docs/deployment.md.
ROLE_SETTINGS = f"""
ALTER ROLE {OWNER} SET statement_timeout = '3s';
ALTER ROLE {OWNER} SET lock_timeout = '3s';
ALTER ROLE {OWNER} SET timezone = 'UTC'
"""


def primary_proxy(cluster: Cluster, port: int) -> Program:
    """Return the HAProxy that passes connections on to the current primary."""
    variables = {"PRIMARY_PORT": str(port)}
    for number, node in enumerate(cluster.nodes, 1):
        variables[f"NODE{number}"] = f"127.0.0.1:{node.port}"
        variables[f"PATRONI{number}"] = str(node.rest_port)
    return Program(
        ["haproxy", "-db", "-f", DEPLOY / "haproxy-primary.cfg"],
        cluster.folder / "haproxy-primary.log",
        variables,
    )


def write_configuration(folder: Path, port: int, primary_port: int) -> Path:
    """Adapt deploy/cluster/pgbouncer.ini, and return the file."""
    users = folder / "userlist.txt"
    users.write_text(f'"{OWNER}" "{PASSWORD}"\n')
    configuration = ConfigParser(interpolation=None)
    configuration.read(DEPLOY / "pgbouncer.ini")
    configuration["databases"] = {DATABASE: f"host=127.0.0.1 port={primary_port}"}
    configuration["pgbouncer"].update(
        listen_addr="127.0.0.1",
        listen_port=str(port),
        unix_socket_dir="",
        auth_file=str(users),
    )
    path = folder / "pgbouncer.ini"
    with open(path, "w") as file:
        configuration.write(file)
    return path


@contextmanager
def start_pgbouncer(cluster: Cluster) -> Iterator[str]:
    """Start PgBouncer and its HAProxy, and yield the URL for the service."""
    cluster.find("leader").execute(ROLE_SETTINGS)
    folder = make_folder(cluster.folder, "pgbouncer")
    port, primary_port = free_port(), free_port()
    configuration = write_configuration(folder, port, primary_port)
    # It refuses to run as root.
    command = as_server_user(["pgbouncer", configuration], folder)
    pgbouncer = Program(command, folder / "pgbouncer.log")
    proxy = primary_proxy(cluster, primary_port)
    with ExitStack() as stack:
        for program in (proxy, pgbouncer):
            stack.callback(program.kill)
            program.start()
        yield f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"
