"""``search_files``: the passages of a request's files that speak of something."""

from __future__ import annotations

import asyncio
import fnmatch
import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.prompts.fences import fenced
from backend.prompts.texts import OBSERVATION_CHARS, shorten
from backend.tools.input_files import Engine
from backend.tools.search_files.ranking import Hit, Index, Query
from backend.tools.search_files.reading import FileReader, Passage, Reading, is_searchable
from backend.tools.toolbox import ToolContext, ToolResult, told

_SHOWN = 5
_NEAR = 0.3
"""Of the best score; what has less is not worth a small model's attention."""
_PASSAGE_CHARS = 1300
_QUERY_CHARS = 1000
_NAMES = 15
_NOTES_CHARS = 1000
_KEYS = ("query", "words", "q", "question", "text", "search", "keywords", "input", "pattern")
_ALIASES = (
    "search_files search file_search search_file search_documents search_document document_search "
    "search_docs doc_search retrieve retrieval retriever find_in_files search_in_files "
    "query_files query_documents search_text text_search search_pdf search_knowledge rag lookup "
    "look_up file_retrieval files_search knowledge_search"
)


class SearchFiles:
    """Searches the files of one request; what it read of them it keeps for the next search."""

    name = "search_files"
    description = (
        "finds the passages of the given files (text, PDF, Word, slides, sheets, code) that speak "
        "of something. The input is the words to look for."
    )
    aliases = frozenset(_ALIASES.split())
    schema: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "query": {
                "type": "string",
                "description": 'The words to look for; "in quotes" for an exact phrase.',
            },
            "file": {
                "type": "string",
                "description": "The name of one file, to look only there; else all are searched.",
            },
        },
        "required": ["query"],
    }

    def __init__(self, engine: Engine) -> None:
        """Files are read by ``engine``: never in a session, whose variables are somebody else's."""
        self._reader = FileReader(engine)
        self._indexed: tuple[tuple[Reading, ...], Index] = ((), Index(()))

    async def use(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Search (see ``Tool.use``)."""
        text = " ".join(_query_of(arguments).split())[:_QUERY_CHARS]
        query = Query(text)
        terms = await asyncio.to_thread(lambda: query.terms)  # the first time, libraries are loaded
        if not terms:
            return _nothing(f"Nothing was searched: {self.name} was given no words to look for.")
        there = {name: path for name, path in context.files.items() if is_searchable(name)}
        named = arguments.get("file")
        chosen = _chosen(named, there) if isinstance(named, str) and named.strip() else [*there]
        if not chosen:
            return _nothing(_no_such_file(named, context.files, there), query=text)
        readings = await self._reader.read({name: there[name] for name in chosen}, terms)
        passages = [passage for reading in readings for passage in reading.passages]
        index = await self._index_of(tuple(readings), passages)
        hits = await asyncio.to_thread(index.search, query)
        shown = _worth_showing(hits)
        walls = self._reader.isolation
        return told(
            _observation(query, shown, len(hits), passages, readings, index.unknown(query)),
            query=text,
            read_behind=walls.as_dict() if walls else None,
            searched=chosen[:100],
            hits=[
                {"file": passages[hit.place].file, "place": passages[hit.place].place}
                | {"score": hit.score, "exact": hit.exact}
                for hit in shown
            ],
        )

    async def _index_of(self, readings: tuple[Reading, ...], passages: Sequence[Passage]) -> Index:
        """The one of the search before, where the files are the same."""
        known, index = self._indexed
        if len(known) != len(readings) or not all(map(operator.is_, known, readings)):
            index = await asyncio.to_thread(Index, [passage.text for passage in passages])
            self._indexed = (readings, index)
        return index


def is_of_use(files: Iterable[str]) -> bool:
    """Whether there is anything to search among files of these names."""
    return any(map(is_searchable, files))


def _worth_showing(hits: Sequence[Hit]) -> list[Hit]:
    """The first ones, without those that have but a common word of what the best one has."""
    best = max((hit.score for hit in hits), default=0.0)
    exact = hits[0].exact if hits else 0
    return [hit for hit in hits[:_SHOWN] if hit.exact == exact > 0 or hit.score >= _NEAR * best]


def _query_of(arguments: Mapping[str, Any]) -> str:
    for key in (*_KEYS, *(key for key in arguments if key != "file")):
        value = arguments.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value:
            return " ".join(map(str, value))
    return ""


def _chosen(named: str, there: Mapping[str, Path]) -> list[str]:
    """The files that a model means: by name, however it is written, or by a pattern."""
    name = named.strip().strip("`\"'").removeprefix("./")
    if name in there:
        return [name]
    folded = name.casefold()
    base = folded.rpartition("/")[2]
    return (
        [each for each in there if each.casefold() == folded]
        or [each for each in there if each.casefold().rpartition("/")[2] == base]
        or [each for each in there if fnmatch.fnmatchcase(each.casefold(), folded)]
    )


def _nothing(text: str, **details: Any) -> ToolResult:
    return told(text, success=False, **details)


def _no_such_file(named: Any, files: Mapping[str, Path], there: Mapping[str, Path]) -> str:
    if not there:
        return (
            f"Nothing was searched: none of the files has text. Files: {_names(files) or 'none'}."
        )
    unreadable = isinstance(named, str) and named in files
    why = "has no text that can be searched" if unreadable else "is not among the files"
    return f"Nothing was searched: {named!r} {why}. Files that can be: {_names(there)}."


# --- what the model gets to see --------------------------------------------------------------


def _observation(
    query: Query,
    hits: Sequence[Hit],
    in_all: int,
    passages: Sequence[Passage],
    readings: Sequence[Reading],
    unknown: Sequence[str],
) -> str:
    notes = _notes(readings)
    if not hits:
        names = _names([reading.file for reading in readings])
        lines = [
            f"Nothing found for {query.text!r}: searched {names} for {_words(query.words)}.",
            "Other words may be there: synonyms, another language, a part of a name.",
        ]
        return "\n".join([*lines, *notes])
    room = OBSERVATION_CHARS - sum(map(len, notes)) - 500
    blocks: list[str] = []
    for number, hit in enumerate(hits, 1):
        block = _block(number, passages[hit.place])
        if blocks and sum(map(len, blocks)) + len(block) > room:
            break
        blocks.append(block)
    return "\n".join([_head(len(blocks), in_all, readings, unknown), *blocks, *notes])


def _head(shown: int, in_all: int, readings: Sequence[Reading], unknown: Sequence[str]) -> str:
    least = "" if all(reading.whole for reading in readings) else " or more"
    count = f"{in_all}{least} passage{'s' if in_all > 1 or least else ''}"
    files = f"{len(readings)} file{'s' if len(readings) > 1 else ''}"
    head = f"{count} found in {files}"
    head += f"; the best {shown}:" if shown < in_all else ":"
    return f"{head} (Not found: {_words(unknown)}.)" if unknown else head


def _block(number: int, passage: Passage) -> str:
    text = f"{passage.head}\n...\n{passage.text}" if passage.head else passage.text
    return f"[{number}] {passage.file!r}, {passage.place}\n{fenced(shorten(text, _PASSAGE_CHARS))}"


def _notes(readings: Sequence[Reading]) -> list[str]:
    lines = [f"{reading.file!r}: {reading.note}." for reading in readings if reading.note]
    shown: list[str] = []
    for line in lines:
        if sum(map(len, shown)) + len(line) > _NOTES_CHARS:
            return [*shown, f"And {len(lines) - len(shown)} more files of which not all was read."]
        shown.append(line)
    return shown


def _names(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _NAMES} more" if len(every) > _NAMES else ""
    return shorten(", ".join(map(repr, every[:_NAMES])), 1000) + more


def _words(words: Sequence[str]) -> str:
    return shorten(", ".join(map(repr, words[:20])), 400)
