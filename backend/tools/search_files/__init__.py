"""Looking words up in the files of a request."""

from __future__ import annotations

from backend.tools.search_files.reading import SEARCHABLE_TYPES, is_searchable
from backend.tools.search_files.tool import SearchFiles, is_of_use

__all__ = ["SEARCHABLE_TYPES", "SearchFiles", "is_of_use", "is_searchable"]
