#!/usr/bin/env bash
# Installs what `make bench-peers` measures beside Sojourn, into .venv-peers (pip) and, as root on Debian, Redis.
# What can't be installed is named by `make bench-peers` as absent.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
"${PYTHON:-python3}" -m venv .venv-peers
for peer in dbos ray 'celery[redis]'; do
  .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check "$peer" || echo "no $peer" >&2
done
if ! command -v redis-server >/dev/null; then
  if [ "$(id -u)" -eq 0 ]; then
    apt-get update -q && apt-get install -q -y --no-install-recommends redis-server
  else
    echo "redis-server is missing: sudo apt-get install redis-server" >&2
  fi
fi
