"""Documents: PDF, Word, slides."""

from __future__ import annotations

import contextlib
from typing import Any

from .facts import Facts, head, plain, short

_PAGES = 5
"""Pages that are read; text and tables of a page take some 50 ms."""
_TABLES = 10
_TABLE_ROWS = 4
_PAGE_OBJECTS = 20_000
"""Letters and lines of a page; a drawing has so many that looking for tables takes minutes."""


def inspect_pdf(name: str) -> Facts:
    """Number of pages, and text and tables of the first ones."""
    import pdfplumber
    from pdfminer.pdfdocument import PDFPasswordIncorrect
    from pdfplumber.utils.exceptions import PdfminerException

    try:
        with pdfplumber.open(name) as document:
            return _pages(name, document)
    except (PDFPasswordIncorrect, PdfminerException) as error:
        cause = error.args[0] if error.args else error
        if isinstance(cause, PDFPasswordIncorrect) or isinstance(error, PDFPasswordIncorrect):
            raise ValueError("it is encrypted") from None
        raise ValueError(f"no PDF that can be read: {cause}") from None


def _pages(name: str, document: Any) -> Facts:
    texts: list[str] = []
    found: list[Facts] = []
    for number, page in enumerate(document.pages[:_PAGES]):
        texts.append(page.extract_text() or "")
        if len(page.chars) + len(page.edges) <= _PAGE_OBJECTS and len(found) < _TABLES:
            found += _tables_of(name, number, page)
        page.close()
    facts: Facts = {
        "pages": len(document.pages),
        "preview": head("\n".join(texts).splitlines()),
        "read_with": f"import pdfplumber; pdfplumber.open({name!r}).pages[0].extract_text()",
    }
    if found:
        facts["tables_on_pages"] = found[:_TABLES]
    if about := {key: plain(value) for key, value in document.metadata.items() if value}:
        facts["about"] = dict(list(about.items())[:10])
    if not any(text.strip() for text in texts):
        facts["note"] = (
            "no text on the first pages: they are pictures (scanned), and there is nothing here "
            "that reads letters out of pictures"
        )
    elif len(document.pages) > _PAGES:
        facts["note"] = f"text and tables told of the first {_PAGES} pages"
    return facts


def _tables_of(name: str, number: int, page: Any) -> list[Facts]:
    extracted = page.extract_tables()
    return [
        {
            "name": f"page {number + 1}, table {place + 1}",
            "rows": len(rows),
            "first_rows": _cells(rows),
            "read_with": (
                f"import pdfplumber; pdfplumber.open({name!r}).pages[{number}]"
                f".extract_tables()[{place}]"
            ),
        }
        for place, rows in enumerate(extracted)
        if rows
    ]


def _cells(rows: Any) -> list[list[Any]]:
    return [[plain(cell) for cell in row[:30]] for row in rows[:_TABLE_ROWS]]


def inspect_word(name: str) -> Facts:
    """Headings, first paragraphs, and each table with its first rows."""
    import docx

    document = docx.Document(name)
    said = [p for p in document.paragraphs if p.text.strip()]
    headings = [
        p.text for p in said if str(getattr(p.style, "name", "")).startswith(("Heading", "Title"))
    ]
    facts: Facts = {
        "paragraphs": len(said),
        "headings": head(headings),
        "tables_in_all": len(document.tables),
        "preview": head([paragraph.text for paragraph in said]),
        "read_with": f"import docx; [p.text for p in docx.Document({name!r}).paragraphs]",
    }
    tables = [_word_table(name, place, t) for place, t in enumerate(document.tables[:_TABLES])]
    return {**facts, **({"tables_of_text": tables} if tables else {})}


def _word_table(name: str, place: int, table: Any) -> Facts:
    rows = [[cell.text for cell in row.cells] for row in table.rows[:_TABLE_ROWS]]
    return {
        "name": place,
        "rows": len(table.rows),
        "first_rows": _cells(rows),
        "read_with": (
            f"import docx; [[c.text for c in r.cells] "
            f"for r in docx.Document({name!r}).tables[{place}].rows]"
        ),
    }


def inspect_slides(name: str) -> Facts:
    """Number and titles of slides, first texts, tables and how many pictures there are."""
    import pptx

    slides = pptx.Presentation(name).slides
    shapes = [(number, shape) for number, slide in enumerate(slides) for shape in slide.shapes]
    titles = [slide.shapes.title.text if slide.shapes.title else "" for slide in slides]
    texts = [s.text for _, s in shapes if s.has_text_frame and s.text.strip()]
    facts: Facts = {
        "slides": len(slides),
        "titles": head(titles),
        "preview": head(texts),
        "read_with": (
            f"import pptx; [[s.text_frame.text for s in slide.shapes if s.has_text_frame] "
            f"for slide in pptx.Presentation({name!r}).slides]"
        ),
    }
    tables = [_slide_table(number, s.table) for number, s in shapes if s.has_table][:_TABLES]
    if tables:
        facts["tables_of_text"] = tables
    with contextlib.suppress(NotImplementedError):
        if pictures := sum(hasattr(shape, "image") for _, shape in shapes):
            facts["pictures"] = pictures
    notes = [slide.notes_slide.notes_text_frame.text for slide in slides if slide.has_notes_slide]
    if any(notes):
        facts["speaker_notes"] = [short(note, 200) for note in notes[:10]]
    return facts


def _slide_table(number: int, table: Any) -> Facts:
    rows = [[cell.text for cell in row.cells] for row in list(table.rows)[:_TABLE_ROWS]]
    return {
        "name": f"on slide {number + 1}",
        "rows": len(table.rows),
        "first_rows": _cells(rows),
    }
