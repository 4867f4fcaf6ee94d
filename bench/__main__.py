"""``make bench``: the figures, each with how it was taken."""

from __future__ import annotations

import asyncio
import os
import platform
import sys

import bench.corpora
import bench.policy
import bench.replies
from bench.speed import print_speed


async def main() -> None:
    """Print speed always, and the corpora's counts where the corpora are."""
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {sys.version.split()[0]}")
    print("\n== Speed")
    await print_speed()
    corpora = bench.corpora.corpora_folder()
    if corpora is None:
        print("\nSet PYTHON_CODER_CORPORA to a folder of corpora to measure on them.")
        return
    print("\n== Programs with their tests, in plain Python and in the sandbox")
    await bench.corpora.main()
    print("\n== The static check")
    bench.policy.main(corpora)
    print("\n== Programs out of replies")
    bench.replies.main(corpora)


if __name__ == "__main__":
    asyncio.run(main())
