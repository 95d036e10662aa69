# The image of wmtp_assets: `wmtp` as its command, an account without rights, the CPU build of torch.
# docs/deployment.md says how it is used; tooling/dockerfile_steps.py executes it without a container
# engine.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# Where torch comes from, beside the package index: give PyTorch's index of CPU builds. The public index
# serves CUDA's build for Linux, with which the image grows by some gigabytes: TORCH=any takes it.
ARG PIP_EXTRA_INDEX_URL=
ARG TORCH=cpu
# compose.yaml has the same: it takes the image that is there.
ARG EXTRAS=sign,postgres
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
# What the package needs, in a layer of its own: a change of the code installs none of it again.
RUN python -m venv /opt/wmtp \
    && mkdir wmtp_assets && touch wmtp_assets/__init__.py \
    && /opt/wmtp/bin/python -m pip install --constraint constraints.txt ".[${EXTRAS}]" \
    && /opt/wmtp/bin/python -m pip uninstall --yes wmtp-assets
RUN [ "$TORCH" != cpu ] \
    || /opt/wmtp/bin/python -c "import sys, torch; sys.exit(torch.version.cuda and \
'This is the CUDA build of torch: give --build-arg PIP_EXTRA_INDEX_URL= with the index of CPU builds, or --build-arg TORCH=any')"
COPY wmtp_assets wmtp_assets
RUN /opt/wmtp/bin/python -m pip install --no-deps --constraint constraints.txt . \
    && /opt/wmtp/bin/wmtp --help > /dev/null

FROM ${BASE}
# A number, so that a mounted folder can be given to it: chown 10001:10001.
RUN groupadd --gid 10001 wmtp \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /var/lib/wmtp \
        --shell /usr/sbin/nologin wmtp \
    && install --directory --owner=10001 --group=10001 --mode=0750 \
        /data /var/lib/wmtp /var/lib/wmtp/home
COPY --from=build /opt/wmtp /opt/wmtp
# The storage is in /data; Dagster's homes, one for each storage and catalog, in /var/lib/wmtp.
ENV PATH=/opt/wmtp/bin:$PATH \
    HOME=/var/lib/wmtp \
    XDG_STATE_HOME=/var/lib/wmtp/state \
    WMTP_STORAGE=/data/storage \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/wmtp
VOLUME ["/data", "/var/lib/wmtp"]
EXPOSE 3000
ENTRYPOINT ["wmtp"]
CMD ["--help"]
