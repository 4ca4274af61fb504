"""What is shipped beside the code: locks, unit, container, make targets."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _names(requirements):
    return {re.split(r"[<>=~!\[; ]", text)[0].lower().replace("_", "-") for text in requirements}


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PROJECT["project"]["dependencies"]),
        ("requirements-dev.lock", PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]),
        ("requirements-dev.lock", PROJECT["build-system"]["requires"]),
    ],
)
def test_a_lock_has_every_dependency(lock, wanted):
    """Run ``make lock`` after a change of pyproject.toml."""
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE)
    assert _names(wanted) - set(locked) == set()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_hashes_and_no_addresses(lock):
    """Any registry may serve it."""
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert len(re.findall(r"^[a-z0-9-]+==.*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(
        re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)
    )


def test_both_locks_agree():
    """What is tested is what is shipped."""
    runtime, dev = (
        set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in ("requirements.lock", "requirements-dev.lock")
    )
    assert runtime - dev == set()


def test_a_wheel_holds_what_is_no_code(tmp_path):
    """Actions and examples are read from the package as it is installed."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    beside = [path for ending in ("toml", "json") for path in (ROOT / "poller").rglob(f"*.{ending}")]
    assert len(beside) > 10
    assert {str(path.relative_to(ROOT)) for path in beside} - names == set()


def test_make_alone_tells_its_targets():
    """And CONTRIBUTING names each of them."""
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^  make (\w+)", told, re.MULTILINE)
    assert {"run", "test", "check", "bench", "lock"} <= set(targets)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert [target for target in targets if f"`make {target}`" not in text and target not in ("help", "install")] == []


def test_the_unit_runs_a_command_that_is_there():
    """Bad configuration is not tried again, and the state is private."""
    unit = (ROOT / "systemd" / "poller.service").read_text()
    assert "ExecStart=/opt/poller/bin/poller --config /etc/poller/config.toml run" in unit
    for line in ("RestartPreventExitStatus=78", "StateDirectoryMode=0700", "UMask=0077", "DynamicUser=yes"):
        assert line in unit.splitlines()


def test_the_container_runs_as_nobody_in_particular():
    """By number, so that a cluster can tell it is not root; in exec form, so that signals arrive."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    for line in ("USER 65532:65532", 'ENTRYPOINT ["poller"]', 'CMD ["run"]', "STOPSIGNAL SIGTERM"):
        assert line in lines


def test_all_that_the_container_copies_is_let_through():
    """By .dockerignore, which refuses everything else."""
    let = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == let
    assert [name for name in let if not (ROOT / name).exists()] == []
