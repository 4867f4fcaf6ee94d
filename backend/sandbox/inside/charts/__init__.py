"""What a matplotlib figure shows, as plain JSON values.

Only what the figure itself holds is looked at; matplotlib is never imported here, so a program
that does not plot pays nothing.
"""

from __future__ import annotations

from .figure import describe

__all__ = ["describe"]
