#!/bin/sh
# Installs bubblewrap when it is absent and this user may; else says exactly what to run.
set -u
command -v bwrap >/dev/null 2>&1 && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "Installing bubblewrap (the walls of the sandbox)"
  apt-get install -y -qq bubblewrap >/dev/null 2>&1 || {
    apt-get update -qq >/dev/null 2>&1
    apt-get install -y -qq bubblewrap >/dev/null
  } && exit 0
fi
if command -v apt-get >/dev/null 2>&1; then fix="sudo apt-get install -y bubblewrap"
elif command -v dnf >/dev/null 2>&1; then fix="sudo dnf install -y bubblewrap"
elif command -v pacman >/dev/null 2>&1; then fix="sudo pacman -S --noconfirm bubblewrap"
elif command -v zypper >/dev/null 2>&1; then fix="sudo zypper install -y bubblewrap"
else fix="install the package 'bubblewrap' of your distribution"
fi
echo "bubblewrap (bwrap) is not installed, and nothing runs without its walls. Run: $fix" >&2
exit 3
