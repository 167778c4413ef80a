"""The files of deploy/cluster agree with each other, and with the code."""

import re
from configparser import ConfigParser

import pytest
import yaml
from sqlalchemy import make_url

from devtools.servers import ROOT
from project.config import Environment

DEPLOY = ROOT / "deploy" / "cluster"
COMPOSE = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
INSTANCES = ["migration", "service1", "service2"]
NODES = ["node1", "node2", "node3"]


def database_of(name: str) -> str:
    """Return the database of an instance in docker-compose.yml."""
    url = SERVICES[name]["environment"]["DATABASE_URL"]
    # Compose replaces the variables.
    return str(make_url(re.sub(r"\$\{.*?\}", "x", url)).database)


@pytest.mark.parametrize("name", INSTANCES)
def test_instances_have_known_settings_and_name_all_nodes(name: str) -> None:
    variables = SERVICES[name]["environment"]
    assert variables.keys() <= Environment.model_fields.keys()
    hosts = re.search("@(.*)/", variables["DATABASE_URL"])
    assert hosts and hosts[1].split(",") == NODES


@pytest.mark.parametrize("name", INSTANCES)
def test_database_is_created_by_the_first_node(name: str) -> None:
    database = database_of(name)
    assert f"'{database}'" in (ROOT / "project/db/create.sql").read_text()
    created = (DEPLOY / "create-database.sh").read_text()
    assert f"ALTER DATABASE {database} OWNER TO users" in created


def test_pgbouncer_has_the_database_of_the_documentation() -> None:
    configuration = ConfigParser(interpolation=None)
    configuration.read(DEPLOY / "pgbouncer.ini")
    databases = set(configuration["databases"])
    documented = re.search(
        r"@pgbouncer:6432/(\w+)", (ROOT / "docs/cluster.md").read_text()
    )
    assert documented and databases == {documented[1]} == {database_of("service1")}


@pytest.mark.parametrize("name", NODES)
def test_nodes_have_their_own_names(name: str) -> None:
    variables = SERVICES[name]["environment"]
    assert variables["PATRONI_NAME"] == name
    assert variables["PATRONI_RESTAPI_CONNECT_ADDRESS"] == f"{name}:8008"
    assert variables["PATRONI_POSTGRESQL_CONNECT_ADDRESS"] == f"{name}:5432"


def test_haproxy_gets_its_variables() -> None:
    configuration = (DEPLOY / "haproxy.cfg").read_text()
    variables = SERVICES["haproxy"]["environment"]
    assert set(re.findall(r"\$\{(\w+)\}", configuration)) == variables.keys()


def test_documented_patroni_settings_are_those_of_the_file() -> None:
    dcs = yaml.safe_load((DEPLOY / "patroni.yml").read_text())["bootstrap"]["dcs"]
    page = (ROOT / "docs/cluster.md").read_text()
    for name in ("ttl", "primary_start_timeout"):
        assert f"| `{name}` | {dcs[name]} |" in page
    assert dcs["loop_wait"] + 2 * dcs["retry_timeout"] <= dcs["ttl"]
