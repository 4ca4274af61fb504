# docker build -t poller .
# docker run --rm -e SPACE_INVOICES_TOKEN -v poller-state:/var/lib/poller --read-only --tmpfs /tmp --cap-drop ALL poller
#
# With a configuration: -v ./config.toml:/etc/poller/config.toml:ro, or compose.yaml. State is kept in /var/lib/poller; a
# relative path in the configuration is relative to it. Nothing else is written. Stopping takes up to 8 s; docker waits 10.

ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /build
RUN python3 -m venv /opt/poller
COPY requirements.lock ./
RUN /opt/poller/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY poller ./poller
RUN /opt/poller/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/poller/bin/python -m pip uninstall --yes --quiet pip setuptools \
    && /opt/poller/bin/python -m compileall -q /opt/poller/lib \
    && mkdir -p -m 0700 /state/poller

FROM ${BASE}
COPY --from=build /opt/poller /opt/poller
COPY --from=build --chown=65532:65532 /state /var/lib
# What it imports of the standard library is compiled once, here: the slim image has none of it, and its root may be read-only.
RUN ["/opt/poller/bin/python", "-c", "import poller.cli, poller.health"]
# MALLOC_...: the memory of a large page goes back to the system, in place of being kept.
ENV PATH=/opt/poller/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_MMAP_THRESHOLD_=131072 \
    MALLOC_TRIM_THRESHOLD_=131072
USER 65532:65532
WORKDIR /var/lib/poller
VOLUME /var/lib/poller
STOPSIGNAL SIGTERM
# The first minute covers a look through a large database after a power cut.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["poller", "health"]
ENTRYPOINT ["poller"]
CMD ["run"]
