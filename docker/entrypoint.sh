#!/bin/sh
# Says which walls programs get here, then becomes python-coder with the arguments it was given.
set -eu
if [ "${1:-}" = serve ]; then
  # Of what `doctor` finds, what the sandbox stands on; each with its remedy where something is missing.
  { python-coder doctor 2>/dev/null || true; } |
    awk '/^[^ ]/ { told = ($2 == "namespaces" || $2 == "cgroup" || $2 == "walls") } told' >&2
fi
exec python-coder "$@"
