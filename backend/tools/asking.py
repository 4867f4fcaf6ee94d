"""An approver for whoever works in a notebook or at Python's own prompt."""

from __future__ import annotations

import sys

from backend.tools.approval import ApprovalRequest, Decision, waiting_text


def ask_here(request: ApprovalRequest) -> Decision | None:
    """Show the program and ask with ``input``; no answer leaves it waiting.

    ``await python_coder_tool.execute_code_task(..., approve=ask_here)``
    """
    sys.stdout.write(f"{waiting_text(request)}\n\n")
    sys.stdout.flush()
    while True:
        try:
            word = input("Run it? [y]es, [n]o: ").strip().casefold()
        except EOFError:
            return None
        if word in ("y", "yes"):
            return Decision(verdict="approve")
        if word in ("n", "no"):
            return Decision(verdict="reject")
        if not word:
            return None
