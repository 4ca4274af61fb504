"""A service on a simulated account, with a real receiver, that is scraped."""

from process import TOKEN, Site, only, webhook
from prometheus_client.parser import text_string_to_metric_families as prometheus
from receiver import Receiver

from poller.assembly import assemble
from poller.config import load
from poller.deliver import drain
from poller.metrics import render, scrape_of
from poller.model import Stream
from poller.simulator import Account, Simulator


def samples(body, parse=prometheus):
    """Every sample of an answer by its name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }


class Scene:
    """A service that does nothing by itself: a test polls, drains and scrapes it."""

    def __init__(self, folder, organizations=1, records=0, always=None, routes=""):
        self.account = Account(token=TOKEN, organizations=organizations, seed=1)
        self.orgs = self.account.organizations
        for org in self.orgs:
            self.account.bulk_create(org, "clients", records)
        self.receiver, self.api = Receiver(always=always), Simulator(self.account)
        self._folder, self._routes = folder, routes

    def __enter__(self):
        self.api.start()
        self.receiver.__enter__()
        keys = {"overlap": "2s", "count_every": 1}
        site = Site(
            self._folder, self.api.url, only("clients") + webhook("hook", self.receiver.url) + self._routes, **keys
        )
        self.service = assemble(load(site.config))
        self.database = site.database
        return self

    def __exit__(self, *_):
        self.service.stop.set()
        self.service.close()
        self.receiver.__exit__()
        self.api.stop()

    def poll(self, *, full=False):
        """Poll the clients of every organization, and deliver what is due."""
        for org in self.orgs:
            self.service.poll(Stream(org, "clients"), full=full)
        for queue in self.service.drains:
            drain(queue, self.service.stop, until_empty=True)

    def rendered(self, accept=""):
        return render(scrape_of(self.service, self.database), accept)

    def found(self):
        """Every sample but those of buckets: by its name and the values of its labels."""
        return {
            (name.removeprefix("poller_"), *(value for _, value in labels)): value
            for (name, *labels), value in samples(self.rendered().body).items()
            if not name.endswith("_bucket")
        }
