"""``make conformance``: every client in its environment against a live server, as a table.

The table is printed and written into ``docs/clients.md``; a failure is exit status 1.
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conformance.environments import install
from tests.conformance.running import CLIENTS, as_table, check, serving

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
MARKS = ("<!-- conformance -->\n", "\n<!-- /conformance -->")


def main() -> int:
    """Install, run, print, write."""
    install()
    with (
        tempfile.TemporaryDirectory(prefix="conformance-") as folder,
        serving(Path(folder)) as service,
        ThreadPoolExecutor(2) as threads,
    ):
        rows = list(threads.map(lambda client: check(client, service), CLIENTS))
    done = [row for row in rows if row is not None]
    table = as_table(done)
    print(table)
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}{table}{MARKS[1]}{after}", encoding="utf-8")
    failed = sum(len(row.failures) for row in done)
    cells = sum(len(row.cells) for row in done)
    print(f"\n{len(done)} clients, {cells - failed} checks passed, {failed} failed.")
    return 1 if failed or len(done) < len(CLIENTS) else 0


if __name__ == "__main__":
    sys.exit(main())
