"""What all shapes share."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from backend.api.shapes.field_texts import add_field_texts

T = TypeVar("T")


class Shape(BaseModel):
    """Base of everything that goes out; the text under a field is its meaning."""

    model_config = ConfigDict(json_schema_extra=add_field_texts, defer_build=True)


class Page(Shape, Generic[T]):
    """Some of a longer list; ``after`` set to ``last_id`` asks for those that follow."""

    object: Literal["list"]
    """Always ``list``."""
    data: list[T]
    """What there is, in the order that was asked for."""
    first_id: str | None
    """The id of the first one; null of an empty page."""
    last_id: str | None
    """The id of the last one; null of an empty page."""
    has_more: bool
    """There are others behind it."""


class Deleted(Shape):
    """That something is no more."""

    id: str
    """Of what was deleted."""
    object: str
    """What it was."""
    deleted: Literal[True]
    """Always true; what is not there to be deleted is 404."""
