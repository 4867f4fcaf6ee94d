"""How the tables became what they are, version by version; ``schema.py`` opens this when it must.

A change of ``tables.py`` needs a step here: a file ``versions/vNNNN_what.py`` and ``HEAD``. A test
compares what the steps lead to with the tables.
"""

from __future__ import annotations

HEAD = "0003"
"""The version that ``tables.py`` describes."""

VERSION_TABLE = "python_coder_version"
"""Not Alembic's usual name: another application of the same database may have that."""
