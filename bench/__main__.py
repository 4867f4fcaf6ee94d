"""``make bench``: the figures, each with how it was taken."""

from __future__ import annotations

import asyncio
import os
import platform
import sys

from bench.speed import print_speed


async def main() -> None:
    """Print speed always, and the corpora's counts where the corpora are."""
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {sys.version.split()[0]}\n")
    await print_speed()


if __name__ == "__main__":
    asyncio.run(main())
