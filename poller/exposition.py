"""Metrics as Prometheus reads them: the only module that knows its client."""

import os
import resource
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from poller.gauges import BY_ORGANIZATION, GAUGES
from poller.meter import Labels, Meter, Observed, Row

PREFIX = "poller_"


class _Families(Collector):
    """What prometheus-client asks for all families."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Each once."""
        return self._families


def encode(meter: Meter, values: Mapping[str, Mapping[Labels, float]], accept: str) -> tuple[bytes, str]:
    """All families as bytes, and their content type: of the formats that ``accept`` names, else text 0.0.4."""
    encoder, content_type = choose_encoder(accept)
    return encoder(_Families(_families(meter, values))), content_type


def _families(meter: Meter, values: Mapping[str, Mapping[Labels, float]]) -> Iterator[Metric]:
    for row in GAUGES.values():
        yield _gauge(row, values.get(row.name, {}))
    for row, counted in meter.counters():
        yield _counter(row, counted)
    for row, observed in meter.histograms():
        yield _histogram(row, observed)
    yield from process()


def _gauge(row: Row, values: Mapping[Labels, float]) -> Metric:
    labels = [*row.labels]
    if row.name in BY_ORGANIZATION and any(len(key) > len(labels) for key in values):
        labels.append("organization")
    family = GaugeMetricFamily(PREFIX + row.name, row.about, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _counter(row: Row, values: Mapping[Labels, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + row.name, row.about, labels=[*row.labels])
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(row: Row, values: Mapping[Labels, Observed]) -> Metric:
    family = HistogramMetricFamily(PREFIX + row.name, row.about, labels=[*row.labels])
    bounds = [*map(floatToGoString, row.buckets), "+Inf"]
    for key, observed in sorted(values.items()):
        family.add_metric(key, [*zip(bounds, accumulate(observed.counts), strict=True)], observed.total)
    return family


def process() -> Iterator[Metric]:
    """What is usually told of a process, by the usual names.

    Of /proc this reads the process's own folder alone. The client's collector asks for the boot time in /proc/stat,
    which a unit with ``ProcSubset=pid`` does not have, and then says nothing at all.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        open_files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return
    ticks, page_bytes = os.sysconf("SC_CLK_TCK"), resource.getpagesize()
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / ticks
    cpu_s = (int(fields[11]) + int(fields[12])) / ticks
    most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield CounterMetricFamily("process_cpu_seconds", "Processor time used, of user and system.", cpu_s)
    yield GaugeMetricFamily("process_start_time_seconds", "When the process began.", time.time() - age_s)
    yield GaugeMetricFamily("process_resident_memory_bytes", "Memory in use.", int(fields[21]) * page_bytes)
    yield GaugeMetricFamily("process_virtual_memory_bytes", "Addresses in use.", int(fields[20]))
    yield GaugeMetricFamily("process_open_fds", "Files and sockets that are open.", open_files)
    yield GaugeMetricFamily("process_max_fds", "As many can be open.", most_files)
    yield GaugeMetricFamily("process_threads", "Threads.", int(fields[17]))
