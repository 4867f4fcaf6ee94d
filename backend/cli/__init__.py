"""The command line. ``main`` is ``python-coder``; each command's module is imported when called."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command that ``sys.argv`` names and exit with its status."""
    import sys

    from backend.cli.app import run_command

    sys.exit(run_command(sys.argv[1:]))
