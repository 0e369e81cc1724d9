# Where a registry is reached, name the base by its digest: `docker buildx imagetools inspect python:3.13-slim`.
# Two stages: the first installs from the lock file, the second holds the result and nothing to build with.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv /opt/tradebot \
    && /opt/tradebot/bin/pip install --no-cache-dir --require-hashes --no-deps \
        --no-build-isolation -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY systemd systemd
COPY tradebot tradebot
RUN /opt/tradebot/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/tradebot/bin/pip check \
    && /opt/tradebot/bin/pip uninstall --yes hatchling editables setuptools tomlkit \
        trove-classifiers pathspec pluggy packaging pip

FROM python:3.13-slim
LABEL org.opencontainers.image.title="tradebot" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin tradebot \
    && install -d -o tradebot -g tradebot -m 0700 /state
COPY --from=build /opt/tradebot /opt/tradebot
ENV PATH=/opt/tradebot/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TRADEBOT_HOME=/state
USER 10001:10001
VOLUME /state
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["tradebot", "health"]
STOPSIGNAL SIGTERM
# How to run it, confined and with a read-only root file system: docs/how-to/run-in-docker.md.
ENTRYPOINT ["tradebot"]
CMD ["start", "--foreground"]
