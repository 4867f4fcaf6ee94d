#!/bin/sh
# Installs what must come from the system when it is absent and this user may: bubblewrap (the walls
# of the sandbox) and Python's venv. Else says exactly what to run.
# Usage: tools/ensure-system.sh PYTHON
set -u
python=${1:-python3}

missing=""
command -v bwrap >/dev/null 2>&1 || missing="bubblewrap"
if ! command -v "$python" >/dev/null 2>&1; then
  missing="$missing python3 python3-venv"
elif ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
  # Debian keeps it in a package of its own, one for each version of Python.
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  missing="$missing python$version-venv"
fi
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ]; then
    echo "Installing from the distribution:$(printf ' %s' $missing)" >&2
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # several packages
    apt-get install -y -qq $missing >/dev/null 2>&1 || {
      apt-get update -qq >/dev/null 2>&1
      apt-get install -y -qq $missing >/dev/null
    } && exit 0
  fi
  fix="sudo apt-get install -y$(printf ' %s' $missing)"
elif command -v dnf >/dev/null 2>&1; then fix="sudo dnf install -y bubblewrap python3"
elif command -v pacman >/dev/null 2>&1; then fix="sudo pacman -S --noconfirm bubblewrap python"
elif command -v zypper >/dev/null 2>&1; then fix="sudo zypper install -y bubblewrap python3"
else fix="install with your distribution's tool:$(printf ' %s' $missing)"
fi
echo "Missing on this machine:$(printf ' %s' $missing). Run: $fix" >&2
exit 3
