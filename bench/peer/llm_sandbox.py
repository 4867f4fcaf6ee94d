"""llm-sandbox with its bubblewrap backend: a session that is open, a cold Python for each run.

It runs our own interpreter, shown read-only, instead of making an environment: the fastest way it has.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

from bench.peer.serving import serve
from bench.programs import PANDAS, PANDAS_SAYS


@contextmanager
def open_peer() -> Iterator[Callable[[str], str]]:
    """A session that sees this interpreter and its packages."""
    config = import_module("llm_sandbox.local.config")
    shown = (*config.DEFAULT_READ_ONLY_PATHS, os.path.realpath(sys.base_prefix), sys.prefix)
    session = import_module("llm_sandbox").create_session(
        backend="bubblewrap",
        lang="python",
        skip_environment_setup=True,
        sandbox_config=config.LocalSandboxConfig(
            python_executable=sys.executable, read_only_paths=tuple(dict.fromkeys(shown))
        ),
    )

    def run(code: str) -> str:
        output = session.run(code)
        if output.exit_code:
            raise RuntimeError(str(output.stderr).strip().rpartition("\n")[2])
        return str(output.stdout)

    with session:
        yield run


if __name__ == "__main__":
    serve(open_peer, PANDAS, PANDAS_SAYS)
