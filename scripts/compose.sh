#!/bin/sh
# Check docker-compose.yml: with Docker's own parser where it is, and our own rules always.
. "$(dirname -- "$0")/common.sh"
if have docker && docker compose version >/dev/null 2>&1; then
  POSTGRES_PASSWORD=only-for-this-check docker compose -f docker-compose.yml config --quiet
fi
"$VENV/bin/python" scripts/check_compose.py docker-compose.yml Dockerfile
