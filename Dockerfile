# Fast-Flow as an image. `docker compose up` builds and starts it; see docker-compose.yaml.
#
# Both base images are arguments, for those who keep their own copies. The first needs Rust, a C compiler and rustup,
# the second only glibc (Debian 12 or newer).
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
ENV CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never

# The tools change rarely and take minutes: a layer of their own.
COPY Cargo.toml Cargo.lock Trunk.toml ./
COPY scripts/lib.sh scripts/tools scripts/
RUN scripts/tools

COPY . .
RUN scripts/web && cargo build --locked --profile dist --bin fastflow && \
    install -D target/dist/fastflow /out/fastflow && rm -rf target frontend/dist

FROM ${RUNTIME_IMAGE}
COPY --from=build /out/fastflow /usr/local/bin/fastflow
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt

# Every default path is relative to this folder; `data` is all that has to be kept.
WORKDIR /srv/fastflow
VOLUME /srv/fastflow/data
# Two pools of memory are enough for a server that mostly waits; the C library would make eight for each core.
ENV MALLOC_ARENA_MAX=2
ENV BIND_ADDRESS=0.0.0.0:8000 LOGS_DIR=/srv/fastflow/data/logs
EXPOSE 8000

# Without curl: a base image this small has none.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000 && printf 'GET /health HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]

# SIGTERM shuts down cleanly: runs go on and are found again at the next start.
ENTRYPOINT ["fastflow"]
CMD ["serve"]
