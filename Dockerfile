# docker build -t poller .
# docker run --rm -e SPACE_INVOICES_TOKEN -v poller-state:/var/lib/poller poller
#
# With a configuration: -v ./config.toml:/etc/poller/config.toml:ro. State is kept in /var/lib/poller; a relative
# path in the configuration is relative to it. Stopping takes up to 8 s; docker waits 10.

ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /build
RUN python3 -m venv /opt/poller
COPY requirements.lock ./
RUN /opt/poller/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY poller ./poller
RUN /opt/poller/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/poller/bin/python -m compileall -q /opt/poller/lib \
    && mkdir -p -m 0700 /state/poller

FROM ${BASE}
COPY --from=build /opt/poller /opt/poller
COPY --from=build --chown=65532:65532 /state /var/lib
ENV PATH=/opt/poller/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /var/lib/poller
VOLUME /var/lib/poller
STOPSIGNAL SIGTERM
ENTRYPOINT ["poller"]
CMD ["run"]
