"""The Kubernetes manifests follow the schemas of the API, and agree with the code.

A cluster does not run them here.
"""

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from devtools.servers import ROOT
from project.config import Environment
from project.tests.node import find_node_modules
from project.tests.requirements import skip_or_fail

Manifest = dict[str, Any]

FILES = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
MANIFESTS: dict[str, Manifest] = {
    f"{manifest['kind']}/{manifest['metadata']['name']}": manifest
    for path in FILES
    for manifest in yaml.safe_load_all(path.read_text())
}
CLUSTER = MANIFESTS["Cluster/users-db"]["spec"]
SETTINGS: dict[str, str] = MANIFESTS["ConfigMap/users"]["data"]
DEPLOYMENT = MANIFESTS["Deployment/users"]["spec"]
PODS: dict[str, Manifest] = {
    name: MANIFESTS[name]["spec"]["template"]["spec"]
    for name in ("Deployment/users", "Job/users-migration")
}
POD = PODS["Deployment/users"]
[CONTAINER] = POD["containers"]
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

DOCUMENTATION = (ROOT / "docs/kubernetes.md").read_text()
# The compiler refuses unknown fields and wrong types. It does not know formats and
# integers, which `validate` checks; `validate` itself accepts unknown fields.
TYPESCRIPT = """\
import * as module from "{module}";
const manifest: module.I{kind} = {literal};
new module.{kind}(manifest).validate();
"""


def render_typescript(manifest: Manifest) -> str:
    """Return a module that can be compiled and run only if a manifest is valid."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    package = "kubernetes-models"
    if version.startswith("postgresql.cnpg.io/"):
        package = "@kubernetes-models/cloudnative-pg"
    return TYPESCRIPT.format(
        module=f"{package}/{version}/{kind}", kind=kind, literal=json.dumps(manifest)
    )


def find_errors(manifests: dict[str, Manifest], folder: Path) -> str:
    """Compare manifests with the schemas, and return the error messages."""
    node_modules = find_node_modules()
    if not shutil.which("node"):
        skip_or_fail("Node.js")
    (folder / "node_modules").symlink_to(node_modules)
    names = [name.replace("/", "-") for name in manifests]
    for name, manifest in zip(names, manifests.values()):
        (folder / f"{name}.mts").write_text(render_typescript(manifest))
    (folder / "all.mts").write_text(
        "".join(f'import "./{name}.mjs";\n' for name in names)
    )
    options = (
        "--strict --skipLibCheck --noEmitOnError --target es2022 --module nodenext"
    )
    compile_modules = [f"{node_modules}/.bin/tsc", *options.split(), "all.mts"]
    for command in (compile_modules, ["node", "all.mjs"]):
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if result.returncode:
            return result.stdout + result.stderr
    return ""


def iter_variables(pod: Manifest) -> Iterator[str]:
    """Yield the environment variables that the containers of a pod get."""
    for container in pod["containers"]:
        yield from (variable["name"] for variable in container["env"])
        if "envFrom" in container:
            yield from SETTINGS


@pytest.mark.subprocess
def test_manifests_follow_the_schemas(tmp_path: Path) -> None:
    assert find_errors(MANIFESTS, tmp_path) == ""


@pytest.mark.subprocess
@pytest.mark.parametrize(
    "name, path, value, message",
    [
        ("Cluster/users-db", "postgresql.synchronous.nummer", 1, "'\"nummer\"' does"),
        ("Cluster/users-db", "instances", 2.5, "instances must be integer"),
        ("Deployment/users", "template.spec.volume", [], "'\"volume\"' does"),
        ("Deployment/users", "replicas", "3", "Type 'string' is not assignable"),
    ],
)
def test_mistake_is_found(
    tmp_path: Path, name: str, path: str, value: object, message: str
) -> None:
    manifest = copy.deepcopy(MANIFESTS[name])
    *parents, field = path.split(".")
    parent = manifest["spec"]
    for key in parents:
        parent = parent[key]
    parent[field] = value
    assert message in find_errors({name: manifest}, tmp_path)


def test_probes_request_routes(test_app: Flask) -> None:
    rules = {rule.rule for rule in test_app.url_map.iter_rules()}
    assert {CONTAINER[probe]["httpGet"]["path"] for probe in PROBES} <= rules


def test_only_the_start_of_a_pod_needs_the_database() -> None:
    paths = [CONTAINER[probe]["httpGet"]["path"] for probe in PROBES]
    assert paths == ["/health", "/ping", "/ping"]


def test_pod_has_time_to_complete_its_requests() -> None:
    configuration = (ROOT / "gunicorn.conf.py").read_text()
    [graceful_timeout] = re.findall(r"^graceful_timeout = (\d+)$", configuration, re.M)
    [program, seconds] = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    time_to_stop = POD["terminationGracePeriodSeconds"] - int(seconds)
    assert time_to_stop > int(graceful_timeout)


def test_container_listens_on_the_port() -> None:
    default = Environment.model_fields["PORT"].default
    [port] = CONTAINER["ports"]
    assert port["containerPort"] == int(SETTINGS.get("PORT", default))
    [service_port] = MANIFESTS["Service/users"]["spec"]["ports"]
    references = [CONTAINER[probe]["httpGet"]["port"] for probe in PROBES]
    assert {*references, service_port["targetPort"]} == {port["name"]}


@pytest.mark.parametrize("name", PODS)
def test_variables_are_settings(name: str) -> None:
    assert set(iter_variables(PODS[name])) <= Environment.model_fields.keys()


def test_settings_are_valid() -> None:
    Environment.model_validate(SETTINGS)


def test_documented_secret_contains_settings() -> None:
    names = re.findall(r"--from-literal=(\w+)=", DOCUMENTATION)
    assert names
    assert set(names) <= Environment.model_fields.keys() - SETTINGS.keys()


@pytest.mark.parametrize("name", PODS)
def test_url_comes_from_the_secret_of_the_cluster(name: str) -> None:
    [container] = PODS[name]["containers"]
    [variable] = container["env"]
    assert variable == {
        "name": "DATABASE_URL",
        "valueFrom": {"secretKeyRef": {"name": "users-db-app", "key": "uri"}},
    }


def test_workers_leave_connections_for_other_uses() -> None:
    """The rule is in docs/operations.md. During an update there are twice the pods."""
    per_pod = int(SETTINGS["WEB_CONCURRENCY"]) * int(SETTINGS["DATABASE_POOL_SIZE"])
    max_connections = int(CLUSTER["postgresql"]["parameters"]["max_connections"])
    assert 2 * DEPLOYMENT["replicas"] * per_pod < max_connections * 3 / 4


def test_database_is_like_that_of_create_sql() -> None:
    sql = " ".join((ROOT / "project/db/create.sql").read_text().split())
    options = CLUSTER["bootstrap"]["initdb"]
    assert f"'{options['database']}'" in sql
    assert f"ENCODING ''{options['encoding']}''" in sql
    assert f"LOCALE_PROVIDER {options['localeProvider']}" in sql
    assert f"BUILTIN_LOCALE ''{options['builtinLocale']}''" in sql


@pytest.mark.parametrize("name", PODS)
def test_pod_runs_as_the_user_of_the_image(name: str) -> None:
    image = (ROOT / "Dockerfile.prod").read_text()
    context = PODS[name]["securityContext"]
    assert f"\nUSER {context['runAsUser']}:{context['runAsGroup']}\n" in image


def test_both_pods_have_the_same_image() -> None:
    images = {c["image"] for pod in PODS.values() for c in pod["containers"]}
    assert len(images) == 1


def test_selectors_select_the_pods_of_the_deployment() -> None:
    [constraint] = POD["topologySpreadConstraints"]
    selectors = [
        DEPLOYMENT["selector"]["matchLabels"],
        constraint["labelSelector"]["matchLabels"],
        MANIFESTS["PodDisruptionBudget/users"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["Service/users"]["spec"]["selector"],
    ]
    assert all(s == DEPLOYMENT["template"]["metadata"]["labels"] for s in selectors)


@pytest.mark.parametrize("name", [path.name for path in FILES])
def test_file_is_documented(name: str) -> None:
    assert f"deploy/kubernetes/{name}" in DOCUMENTATION
