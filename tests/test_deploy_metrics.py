"""The dashboard and the alert rules under deploy/: they speak of metrics that there are, and show something."""

import json
import re
import socket
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from pathlib import Path

import httpx
import pytest
from needed import needed
from process import SECRET, TOKEN, eventually
from scene import Scene

from poller.exposition import PREFIX, process
from poller.gauges import GAUGES
from poller.meter import ROWS

DEPLOY = Path(__file__).parents[1] / "deploy"
ALERTS = (DEPLOY / "alerts.yml").read_text()
TESTS = (DEPLOY / "alerts_test.yml").read_text()
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def exposed():
    """Every name that a sample can have."""
    for row in ROWS.values():
        ends = ("_bucket", "_count", "_sum") if row.buckets else ("_total",)
        yield from (f"{PREFIX}{row.name}{end}" for end in ends)
    yield from (PREFIX + name for name in GAUGES)
    yield from (sample.name for family in process() for sample in family.samples)


def expressions():
    """Every query of the dashboard's panels and annotations."""
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])
    yield from (note["expr"] for note in DASHBOARD["annotations"]["list"])


def filled(expression):
    """A query as Grafana sends it."""
    return re.sub(r"\$(instance|sink)\b", ".*", expression.replace("$__rate_interval", "1m"))


@pytest.mark.parametrize("name", ["alerts.yml", "alerts_test.yml", "grafana.json"])
def test_there_is_every_metric_that_is_spoken_of(name):
    """Under the name that is used."""
    spoken = {*re.findall(r"\b(?:poller|process)_\w+", (DEPLOY / name).read_text())}
    assert len(spoken) > 10
    assert spoken - {*exposed()} == set()


def test_the_rules_are_good_and_fire_when_they_are_to():
    """By promtool, with deploy/alerts_test.yml."""
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run([needed("promtool"), *command], cwd=DEPLOY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested():
    """Each name in the rules is one in their tests, but for those that are counted with others there."""
    alerts = re.findall(r"- alert: (\w+)", ALERTS)
    assert len({*alerts}) == len(alerts) >= 8
    assert [alert for alert in alerts if alert not in TESTS] == []


def test_the_dashboard_can_be_imported():
    """It names no data source of ours; its panels have ids of their own, and do not lie upon each other."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert (len({*ids}), DASHBOARD["id"]) == (len(ids), None)
    sources = re.findall(r'"uid": "([^"]*)"', (DEPLOY / "grafana.json").read_text())
    assert {*sources} == {"${datasource}", "poller"}
    for one, other in combinations([panel["gridPos"] for panel in DASHBOARD["panels"]], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in DASHBOARD["panels"])


@contextmanager
def endpoint(scene):
    """The metrics of a scene on a port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body, content_type = scene.rendered(self.headers.get("Accept", ""))
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def prometheus(folder, target):
    """A Prometheus that scrapes a port each second, with our rules; how to ask it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "prometheus.yml").write_text(
        f"global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{DEPLOY}/alerts.yml']\n"
        f"scrape_configs: [{{ job_name: poller, static_configs: [{{ targets: ['127.0.0.1:{target}'] }}] }}]\n"
    )
    command = [needed("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False, timeout=30) as client,
    ):
        try:
            yield lambda path, **query: answer_of(client, process, path, query)
        finally:
            process.terminate()
            process.wait(30)


def answer_of(client, process, path, query):
    """What Prometheus says, or None while it is not there yet."""
    assert process.poll() is None, "Prometheus ended"
    try:
        response = client.get(path, params=query)
    except httpx.TransportError:
        return None
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return None
    answer = response.json()
    return answer["data"] if answer["status"] == "success" else pytest.fail(f"{query}: {answer['error']}")


RARE = (
    "sum by (route) (poller_route_held_deliveries",
    "changes(process_start_time_seconds",
    "min(poller_request_budget",
    "max by (resource, bound) (poller_stream_planned_interval_seconds",
)
"""How queries begin that find nothing while all is well, and without a budget."""


def test_every_panel_shows_something(tmp_path, monkeypatch):
    """A real Prometheus scrapes a service at work: each query finds something, and no alert fires."""
    monkeypatch.setenv("POLLER_TEST_TOKEN", TOKEN)
    monkeypatch.setenv("POLLER_TEST_SECRET", SECRET)
    needed("prometheus")
    with Scene(tmp_path / "site", records=5) as scene, endpoint(scene) as port:
        scene.poll()
        with prometheus(tmp_path, port) as ask:
            scraped = 'count_over_time(poller_build_info{job="poller"}[1h]) >= 3'
            eventually(lambda: (ask("/query", query=scraped) or {}).get("result"), 60, 0.3)
            scene.account.create(scene.orgs[0], "clients")
            scene.poll()
            asked = [one for one in expressions() if not one.startswith(RARE)]
            eventually(lambda: [one for one in asked if not ask("/query", query=filled(one))["result"]] == [], 60, 1.0)
            labels = ask("/series", **{"match[]": 'poller_sink_state{instance=~".*"}'})
            assert {series["sink"] for series in labels} == {"hook"}
            rules = [rule for group in ask("/rules")["groups"] for rule in group["rules"]]
            assert {rule["health"] for rule in rules} == {"ok"}
            assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
