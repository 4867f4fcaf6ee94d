"""PDF: the text of each page."""

from __future__ import annotations

from collections.abc import Iterator

from .gathering import Unit

NO_TEXT = (
    "there is no text in it: its pages are pictures (scanned), and nothing here reads letters out "
    "of pictures"
)


def of_pdf(name: str) -> Iterator[Unit]:
    """The text of each page.

    Raises:
        ValueError: it cannot be opened.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(name)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        why = "it is encrypted" if locked else "no PDF that can be opened"
        raise ValueError(why) from None
    for number in range(len(document)):
        page = document[number]
        text = page.get_textpage().get_text_bounded()
        page.close()
        # Where a word is divided at the end of a line, PDFium says so with this sign.
        yield Unit(
            f"page {number + 1}", "", 1, text.replace("\ufffe\r\n", "").replace("\ufffe", "")
        )
