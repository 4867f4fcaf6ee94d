"""``make bench``: the figures, each with how it was taken."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import bench.corpora
import bench.data_context
import bench.hostile
import bench.loop
import bench.misbehaviours.table
import bench.policy
import bench.prompts
import bench.replies
import bench.router
import bench.sandbox
import bench.service
import bench.sessions
from bench.machine import describe

PARTS = {
    "sandbox": "how fast the sandbox is, beside others",
    "loop": "what a request costs beside the model and the program",
    "corpora": "harmless programs in the sandbox; those that fail also in plain Python",
    "prompts": "how many tokens each stage's prompt has",
    "policy": "what the static check stops",
    "replies": "programs out of replies",
    "router": "how often the router is right, and how long it takes",
    "router-fit": "the weights of the router's steps, as the corpora give them",
    "all-corpora": "the same with 5,000 more programs and all plots; takes long",
    "context": "what looking into files costs and tells",
    "misbehaviours": "what becomes of a model's and its server's misbehaviours; writes the page in docs/",
    "service": "what the server carries over HTTP, beside bare FastAPI; takes some minutes",
    "sessions": "what a conversation of 200 turns with a plot a turn takes; takes a minute or more",
    "hostile": "harmful programs, and what they left outside",
}
WITHOUT_CORPORA = (
    *("sandbox", "loop", "prompts", "context", "router", "service", "sessions", "misbehaviours"),
)
USUAL = ("sandbox", "loop", "prompts", "context", "router", "corpora", "policy", "replies")


def _arguments() -> argparse.Namespace:
    listed = "\n".join(f"  {name:<14} {what}" for name, what in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"Without a name: {', '.join(USUAL)}.\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", nargs="*", metavar="PART", help="what to measure")
    parser.add_argument(
        "--write-readme", action="store_true", help="put the sandbox's table into README.md"
    )
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the usual number of runs, for a quick look"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.part) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    return arguments


def main() -> int:
    """Print the parts that were asked for; those on corpora only where the corpora are.

    Returns:
        1 when the sandbox lost a harmless program or let a harmful one out, a prompt is over its
        ceiling, or a conversation keeps too much, else 0. Speed is told and not judged: it is the machine's as well.
    """
    arguments = _arguments()
    parts = arguments.part or USUAL
    print(describe())
    if "sandbox" in parts:
        print("\n== Speed", flush=True)
        asyncio.run(bench.sandbox.main(write_readme=arguments.write_readme, share=arguments.share))
    if "loop" in parts:
        print(f"\n== {PARTS['loop'].capitalize()}", flush=True)
        asyncio.run(bench.loop.main(share=arguments.share))
    all_well = True
    all_well &= _on_nothing(parts, arguments.share)
    corpora = bench.corpora.corpora_folder()
    if "context" in parts:
        print(f"\n== {PARTS['context'].capitalize()}", flush=True)
        asyncio.run(bench.data_context.main(corpora, share=arguments.share))
    if "router" in parts:
        print(f"\n== {PARTS['router'].capitalize()}", flush=True)
        bench.router.main(corpora)
    for part in (each for each in ("sessions", "misbehaviours") if each in parts):
        print(f"\n== {PARTS[part].capitalize()}", flush=True)
        all_well &= _is_bounded(part, arguments.share)
    on_corpora = [part for part in parts if part not in WITHOUT_CORPORA]
    if corpora is None:
        if on_corpora:
            print("\nSet PYTHON_CODER_CORPORA to a folder of corpora to measure on them.")
        return 0 if all_well else 1
    for part in on_corpora:
        print(f"\n== {PARTS[part].capitalize()}", flush=True)
        all_well &= _is_well(part, corpora)
    return 0 if all_well else 1


def _on_nothing(parts: Sequence[str], share: float) -> bool:
    all_well = True
    if "prompts" in parts:
        print(f"\n== {PARTS['prompts'].capitalize()}", flush=True)
        all_well = bench.prompts.main()
    if "service" in parts:
        print(f"\n== {PARTS['service'].capitalize()}", flush=True)
        asyncio.run(bench.service.main(share=share))
    return all_well


def _is_bounded(part: str, share: float) -> bool:
    if part == "sessions":
        return asyncio.run(bench.sessions.main(share=share))
    return asyncio.run(bench.misbehaviours.table.main())


def _is_well(part: str, corpora: Path) -> bool:
    match part:
        case "corpora":
            return asyncio.run(bench.corpora.main())
        case "all-corpora":
            return asyncio.run(bench.corpora.main(everything=True))
        case "hostile":
            return asyncio.run(bench.hostile.main(corpora))
        case "policy":
            bench.policy.main(corpora)
        case "replies":
            bench.replies.main(corpora)
        case "router-fit":
            bench.router.print_fit(corpora)
    return True


if __name__ == "__main__":
    sys.exit(main())
