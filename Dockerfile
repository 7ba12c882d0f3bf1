# Builds kvorum and puts it into a small image:
#
#   docker build -t kvorum .
#   docker run -p 6379:6379 -v kvorum-data:/data kvorum
#
# Settings are arguments (docker run kvorum --maxmemory 1gb), or a file (--config /etc/kvorum/engines.toml).

FROM rust:1.95-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# RocksDB's bindings are made with libclang; which version of it does not matter.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang libclang-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Dependencies are compiled before the sources are there, so that a change of ours keeps that layer:
# RocksDB alone takes a quarter of an hour.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && sed -n 's/^name = "\(.*\)"/\1/p' Cargo.toml | while read -r name; do echo 'fn main() {}' > "benches/$name.rs"; done \
    && cargo build --release --locked --bin kvorum \
    && rm -rf src benches
COPY benches ./benches
COPY src ./src
# Newer than what was built from the empty files, whatever time the sources carry.
RUN find src -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --bin kvorum \
    && strip target/release/kvorum

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="kvorum" \
      org.opencontainers.image.description="A Redis-protocol store that loses no acknowledged write" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 999 kvorum \
    && useradd --system --uid 999 --gid kvorum --home-dir /data --no-create-home kvorum \
    && install -d -o kvorum -g kvorum -m 750 /data
COPY --from=build /build/target/release/kvorum /usr/local/bin/kvorum
COPY configs /etc/kvorum
USER 999:999
WORKDIR /data
VOLUME /data
EXPOSE 6379
# A server that answers PING is well, also one that asks for a password first. One that is still
# loading is not yet. The shell does this by itself, so no client need be in the image.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/6379 && printf 'PING\\r\\n' >&3 && read -r -t 2 -u 3 reply && [[ $reply == +PONG* || $reply == -NOAUTH* ]]"]
# SIGTERM ends the server cleanly.
STOPSIGNAL SIGTERM
# Who reaches the port is decided by what is published; later arguments win over these.
ENTRYPOINT ["kvorum", "server", "--dir", "/data", "--bind", "0.0.0.0", "--protected-mode", "no"]
CMD []
