"""The files that run it in a container: each is valid, takes away what it does not need, and agrees with the others."""

import re
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from poller.config import Config, load
from poller.service import DRAIN_S

ROOT = Path(__file__).parent.parent
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
VERSIONS = ("1.27", kubernetes_validate.latest_version())
USER = 65532
KUSTOMIZATION = "kustomization.yaml"


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


@pytest.fixture
def service():
    return read("compose.yaml")["services"]["poller"]


@pytest.fixture
def pod():
    return read("deploy/kubernetes/statefulset.yaml")["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    [container] = pod["containers"]
    return container


@pytest.fixture
def dockerfile():
    return (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def test_the_image_needs_no_shell_to_run(dockerfile):
    """What runs in it is in exec form: its entry point, its health check, and the last steps of its making."""
    final = dockerfile.partition("FROM ${BASE} AS build")[2].partition("FROM ${BASE}\n")[2]
    assert 'CMD ["poller", "health"]' in final
    assert final.count("HEALTHCHECK") == 1
    for line in re.findall(r"^(?:RUN|CMD|ENTRYPOINT) .*", final, re.MULTILINE):
        assert re.match(r'\w+ \["', line)


def test_only_the_state_is_a_volume(dockerfile):
    """The rest of the root may be read-only."""
    assert re.findall(r"^VOLUME (.*)$", dockerfile, re.MULTILINE) == ["/var/lib/poller"]
    assert re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE) == [f"{USER}:{USER}"]


def test_compose_gives_it_as_little_as_it_needs(service):
    """No capability, no way to more rights, nothing to write but its state and /tmp."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [mount for mount in service["volumes"] if not mount.endswith(":ro")] == ["state:/var/lib/poller"]
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
    assert not {"privileged", "cap_add", "ports", "network_mode", "pid", "user"} & set(service)


def test_compose_keeps_the_key_out_of_the_environment(service):
    """It is a file of its own, at the place that the comment names."""
    text = (ROOT / "compose.yaml").read_text()
    assert read("compose.yaml")["secrets"] == {"token": {"file": "./token"}}
    assert service["secrets"] == ["token"]
    assert 'token = { file = "/run/secrets/token" }' in text
    assert "environment" not in service


def test_compose_knows_what_it_uses(service):
    """No key is a slip of the pen: those of the Compose specification that it may use."""
    known = {"build", "image", "restart", "stop_grace_period", "read_only", "tmpfs", "cap_drop", "security_opt"}
    assert set(service) <= known | {"mem_limit", "pids_limit", "volumes", "secrets"}
    assert set(read("compose.yaml")) == {"services", "volumes", "secrets"}


def test_a_stop_has_the_time_that_it_takes(service, pod):
    """More than the time for what is being sent, wherever it runs."""
    assert int(service["stop_grace_period"].removesuffix("s")) > DRAIN_S + 5
    assert pod["terminationGracePeriodSeconds"] > DRAIN_S + 5


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", [path for path in MANIFESTS if path.name != KUSTOMIZATION], ids=lambda path: path.name)
def test_kubernetes_knows_every_key(path, version):
    """Of an old version, and of the newest."""
    kubernetes_validate.validate(yaml.safe_load(path.read_text()), version, strict=True)


def test_all_that_is_applied_is_there():
    """But the secret, which is the operator's."""
    resources = read(f"deploy/kubernetes/{KUSTOMIZATION}")["resources"]
    assert sorted([*resources, KUSTOMIZATION, "secret.yaml"]) == [path.name for path in MANIFESTS]


def test_there_is_one_pod_without_any_right(pod, container):
    """Two would deliver everything twice."""
    stateful = read("deploy/kubernetes/statefulset.yaml")
    assert stateful["spec"]["replicas"] == 1
    assert pod["automountServiceAccountToken"] is False
    assert {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {USER}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_probe_asks_it_alone(container):
    """Never an API or a receiver: ``poller health`` looks at loops, polls and the database."""
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["exec"]["command"] == ["poller", "health"]
        assert container[probe]["timeoutSeconds"] > 3


def test_what_is_mounted_is_there(pod, container):
    """By its name; and only the state and /tmp can be written."""
    stateful = read("deploy/kubernetes/statefulset.yaml")
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in stateful["spec"]["volumeClaimTemplates"]}
    mounts = container["volumeMounts"]
    assert {mount["name"] for mount in mounts} == volumes
    assert {mount["mountPath"] for mount in mounts if not mount.get("readOnly")} == {"/var/lib/poller", "/tmp"}


def test_its_configuration_is_a_good_one(tmp_path):
    """And each secret that it names is in the secret, where that is mounted."""
    text = read("deploy/kubernetes/configmap.yaml")["data"]["config.toml"]
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert isinstance(load(path), Config)
    kept = read("deploy/kubernetes/secret.yaml")["stringData"]
    named = re.findall(r'file = "(/[^"]+)"', text)
    assert named == [f"/run/secrets/poller/{name}" for name in kept]
    assert set(tomllib.loads(text)) == {"source", "sinks"}


def test_all_grant_the_same_memory(service, container):
    """The unit, compose and Kubernetes."""
    unit = (ROOT / "systemd" / "poller.service").read_text()
    assert "MemoryMax=1536M\n" in unit
    assert service["mem_limit"] == "1536m"
    assert container["resources"]["limits"] == {"memory": "1536Mi"}
    for setting in ("MALLOC_MMAP_THRESHOLD_=131072", "MALLOC_TRIM_THRESHOLD_=131072", "PYTHONFAULTHANDLER=1"):
        assert setting in unit
        assert setting in (ROOT / "Dockerfile").read_text()
