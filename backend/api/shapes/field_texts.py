"""The text under a field is its meaning: into a model's schema, when somebody asks for that.

pydantic can do it while it makes a model's class (``use_attribute_docstrings``). It then looks for the
class's source through all modules on the stack, which is a fifth of the time in which a server starts,
for words that most servers are never asked for.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel


def add_field_texts(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """A model's ``json_schema_extra``: describe each field by the text under it."""
    texts: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            texts |= _texts_of(each.__module__).get(each.__qualname__, {})
    for name, field in model.model_fields.items():
        if name in texts:
            schema["properties"][field.alias or name].setdefault("description", texts[name])


@cache
def _texts_of(module: str) -> dict[str, dict[str, str]]:
    """Class -> field -> text, of a module; none where its source is not installed."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}
    return {
        node.name: dict(_texts_under(node)) for node in tree.body if isinstance(node, ast.ClassDef)
    }


def _texts_under(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(node.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
