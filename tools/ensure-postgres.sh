#!/bin/sh
# Installs PostgreSQL's server from the distribution when it is absent and this user may: the tests
# start one of their own with it, and skip what needs one where it is not there. Never fails.
# Usage: tools/ensure-postgres.sh
set -u

for place in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
  [ -x "$place/initdb" ] && exit 0
done
command -v initdb >/dev/null 2>&1 && exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "Installing from the distribution: postgresql" >&2
  export DEBIAN_FRONTEND=noninteractive
  # Only the programs: a cluster of the system's would be one that nobody asked for.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
  apt-get install -y -qq --no-install-recommends postgresql >/dev/null 2>&1 || {
    apt-get update -qq >/dev/null 2>&1
    apt-get install -y -qq --no-install-recommends postgresql >/dev/null
  } && exit 0
fi
echo "PostgreSQL is not installed: tests that need it are skipped." \
  "Install the package postgresql of your distribution to run them." >&2
exit 0
