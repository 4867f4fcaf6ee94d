"""Documents: PDF, Word, slides."""

from __future__ import annotations

from .facts import Facts, head


def inspect_pdf(name: str) -> Facts:
    """Number of pages, and the text of the first ones."""
    import pypdf

    reader = pypdf.PdfReader(name)
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError("it is encrypted")
    pages = [page.extract_text() for page in reader.pages[:3]]
    facts: Facts = {"pages": len(reader.pages), "preview": head("\n".join(pages).splitlines())}
    if not any(page.strip() for page in pages):
        facts["note"] = "no text on the first pages; they are probably pictures"
    return facts


def inspect_word(name: str) -> Facts:
    """Numbers of paragraphs and tables, headings, first paragraphs."""
    import docx

    document = docx.Document(name)
    said = [p for p in document.paragraphs if p.text.strip()]
    headings = [
        p.text for p in said if str(getattr(p.style, "name", "")).startswith(("Heading", "Title"))
    ]
    return {
        "paragraphs": len(said),
        "tables": len(document.tables),
        "headings": head(headings),
        "preview": head([paragraph.text for paragraph in said]),
    }


def inspect_slides(name: str) -> Facts:
    """Number and titles of slides, first texts."""
    import pptx

    slides = pptx.Presentation(name).slides
    titles = [slide.shapes.title.text if slide.shapes.title else "" for slide in slides]
    texts = [
        shape.text
        for slide in slides
        for shape in slide.shapes
        if shape.has_text_frame and shape.text.strip()
    ]
    return {"slides": len(slides), "titles": head(titles), "preview": head(texts)}
