#!/bin/sh
# What docker-compose.yml uses of the official image: POSTGRES_*, the data folder, "postgres -c …" as command.
set -eu
data=/var/lib/postgresql/data
programs=$(ls -d /usr/lib/postgresql/*/bin)
as_postgres() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
install -d -o postgres -g postgres -m 700 "$data"
install -d -o postgres -g postgres /run/postgresql
if [ ! -s "$data/PG_VERSION" ]; then
  install -o postgres -m 600 /dev/null /run/postgresql/password
  printf %s "$POSTGRES_PASSWORD" >/run/postgresql/password
  # shellcheck disable=SC2086 # several options
  as_postgres "$programs/initdb" -D "$data" -U "$POSTGRES_USER" --pwfile=/run/postgresql/password \
    --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
  rm /run/postgresql/password
  echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
  as_postgres "$programs/pg_ctl" -D "$data" -o "-c listen_addresses=" -w start
  [ "$POSTGRES_DB" = "$POSTGRES_USER" ] && as_postgres "$programs/createdb" -U "$POSTGRES_USER" "$POSTGRES_DB"
  as_postgres "$programs/psql" -q -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'create extension if not exists postgis'
  as_postgres "$programs/pg_ctl" -D "$data" -w stop
fi
shift # "postgres"
exec setpriv --reuid postgres --regid postgres --init-groups "$programs/postgres" -D "$data" -c 'listen_addresses=*' "$@"
