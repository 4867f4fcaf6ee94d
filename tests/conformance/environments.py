"""An environment for each client that cannot live in ours, from a lock of its own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1] / ".venv-conformance"
OWN = ("openai1", "openai2", "llm")
"""Those with a lock; the others' libraries are in the environment of the tests."""


def python_of(environment: str | None) -> Path | None:
    """The interpreter of an environment; None where it is not there, or is another lock's."""
    if environment is None:
        return Path(sys.executable)
    stamp = ROOT / environment / "installed"
    is_there = stamp.is_file() and stamp.read_text(encoding="utf-8") == _digest(environment)
    return ROOT / environment / "bin" / "python" if is_there else None


def install() -> None:
    """Make all that are missing, side by side.

    Raises:
        subprocess.CalledProcessError: one could not be made.
    """
    missing = [environment for environment in OWN if python_of(environment) is None]
    with ThreadPoolExecutor(len(OWN)) as threads:
        list(threads.map(_install, missing))


def _install(environment: str) -> None:
    folder = ROOT / environment
    # The pip that is here serves them all; one in each would take longer than what they need.
    here = [sys.executable, "-m"]
    subprocess.run([*here, "venv", "--clear", "--without-pip", str(folder)], check=True)
    pip = [*here, "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    options = ["--disable-pip-version-check", "--require-hashes", "--no-compile"]
    subprocess.run([*pip, *options, "-r", str(_lock(environment))], check=True)
    (folder / "installed").write_text(_digest(environment), encoding="utf-8")


def _lock(environment: str) -> Path:
    return HERE / f"{environment}.lock"


def _digest(environment: str) -> str:
    return hashlib.sha256(_lock(environment).read_bytes()).hexdigest()
