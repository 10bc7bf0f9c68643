#!/bin/sh
# Build the containers and run them; set the service up in a Debian of its own that systemd boots: the commands
# of docs/*/deploy.md. As root; Docker, debootstrap and systemd-nspawn come from the distribution. Not part of
# `make test`: it takes a quarter of an hour and needs the package mirrors. Arguments go to pytest.
. "$(dirname -- "$0")/common.sh"
. "$ROOT/scripts/packages.sh"
one_at_a_time
scripts/python.sh dev
if may_install && have apt-get; then
  if ! have debootstrap || ! have systemd-nspawn; then (apt_install machines debootstrap systemd-container) || true; fi
  if ! have dockerd; then (apt_install docker docker.io iptables) || true; fi
fi
# Debian 12 has no `docker compose`; where Go is, it is built
: "${WUSETU_COMPOSE:=v2.29.7}"
compose=$DATA/docker-compose-$WUSETU_COMPOSE
if ! docker compose version >/dev/null 2>&1; then
  if [ ! -x "$compose" ] && have go; then
    say "Building docker compose $WUSETU_COMPOSE"
    (GOBIN=$DATA/go quietly compose go install "github.com/docker/compose/v2/cmd@$WUSETU_COMPOSE" && mv "$DATA/go/cmd" "$compose") || true
  fi
  if [ -x "$compose" ]; then
    mkdir -p "$DATA/docker/cli-plugins"
    cp "$compose" "$DATA/docker/cli-plugins/docker-compose"
    DOCKER_CONFIG=$DATA/docker; export DOCKER_CONFIG
  fi
fi
one_at_a_time_over
exec "$VENV/bin/pytest" -q -rs -m deployed "$@" tests/deployed </dev/null
