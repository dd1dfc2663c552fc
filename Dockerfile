# Fast-Flow as an image. `docker compose up` builds and starts it; see docker-compose.yaml and docs/install.md.
#
# Both base images are arguments, for those who keep their own copies. The first needs Rust, a C compiler and rustup, the second
# only glibc (Debian 12 or newer).
#
# `--target prebuilt` takes a program that was built outside (a file `fastflow` in the context) and builds nothing: CI does
# so, and whoever has a release at hand.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${RUNTIME_IMAGE} AS base
# Every default path is relative to this folder; `data` is all that has to be kept.
WORKDIR /srv/fastflow
VOLUME /srv/fastflow/data
# On ARM the C library keeps the memory: two pools are enough for a server that mostly waits, and it would make eight for each core.
ENV MALLOC_ARENA_MAX=2
ENV BIND_ADDRESS=0.0.0.0:8000 PATH=/usr/local/lib/fastflow:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["fastflow", "health"]
# SIGTERM shuts down cleanly: runs go on and are found again at the next start.
STOPSIGNAL SIGTERM
ENTRYPOINT ["fastflow"]
CMD ["serve"]

FROM base AS prebuilt
# The pattern is one that may match nothing: a builder that knows no skipping of stages passes here as well.
COPY LICENSE fastfl[o]w /usr/local/lib/fastflow/

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
ENV CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never

# The tools change rarely and take minutes: a layer of their own.
COPY Cargo.toml Cargo.lock Trunk.toml ./
COPY scripts/lib.sh scripts/tools scripts/
RUN scripts/tools

COPY . .
# `release` is built in half the time, for trying.
ARG PROFILE=dist
RUN scripts/web && PROFILE="$PROFILE" scripts/dist --locked && \
    install -D "target/$PROFILE/fastflow" /out/fastflow && rm -rf target frontend/dist

FROM base
COPY --from=build /out/fastflow /usr/local/lib/fastflow/
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
