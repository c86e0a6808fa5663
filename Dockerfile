# One image for all roles: docs/decisions/0037-one-image.md. Both stages have the same base: the virtual environment links to its Python.
ARG BASE=python:3.11.13-slim-bookworm

FROM ${BASE} AS builder
WORKDIR /source
COPY deploy/container/runtime.lock deploy/container/build.lock ./
# Wheels only: nothing is compiled, so no stage needs a compiler.
RUN python -m venv --without-pip /opt/mastery \
    && python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r build.lock \
    && /opt/build/bin/python -m pip --python /opt/mastery/bin/python install \
        --no-cache-dir --no-deps --require-hashes --only-binary :all: -r runtime.lock
COPY setup.cfg pyproject.toml README.md LICENSE celeryconfig.py flowerconfig.py ./
COPY app app
COPY api api
COPY cli cli
COPY consumers consumers
COPY tasks tasks
RUN /opt/build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/build/bin/python -m pip --python /opt/mastery/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && /opt/build/bin/python -m pip --python /opt/mastery/bin/python check

FROM ${BASE}
LABEL org.opencontainers.image.title="Mastery Engine" \
    org.opencontainers.image.licenses="MIT"
# The base's own installers are removed too. The user's number is fixed, for `runAsUser` and the owners of volumes.
RUN python -m pip uninstall --quiet --yes setuptools wheel pip \
    && rm -rf /usr/local/lib/python3.11/ensurepip \
    && groupadd --gid 10001 mastery \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin mastery \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/mastery
COPY --from=builder /opt/mastery /opt/mastery
COPY --chmod=0555 deploy/container/entrypoint.sh /usr/local/bin/mastery-entrypoint
# The root file system may be read-only: only /tmp and the data folder are written to. NumPy's libraries would start a thread for
# each core of the machine, whatever the container's limits are.
ENV PATH=/opt/mastery/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    TMPDIR=/tmp \
    OPENBLAS_NUM_THREADS=1 \
    OMP_NUM_THREADS=1 \
    MASTERY_DATA_DIR=/var/lib/mastery
WORKDIR /var/lib/mastery
USER 10001:10001
EXPOSE 8005
STOPSIGNAL SIGTERM
# Of the default role. Compose and Kubernetes give each other role its own.
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=3 CMD ["mastery", "health", "api"]
ENTRYPOINT ["mastery-entrypoint"]
CMD ["api"]
