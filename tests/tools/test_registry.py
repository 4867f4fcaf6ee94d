from __future__ import annotations

import pytest

from backend.tools.registry import CODER, find_action
from backend.tools.toolbox import Toolbox


@pytest.mark.parametrize(
    ("named", "tool"),
    [
        ("python_coder", "python_coder"),
        ("**python_coder**", "python_coder"),
        ("`Python_Coder`", "python_coder"),
        ("coder", "python_coder"),
        ("generate", "python_coder"),
        ("generate_code", "python_coder"),
        ("use python_coder", "python_coder"),
        ("the python coder tool", "python_coder"),
        ("pyhton_coder", "python_coder"),
        ("python_coder()", "python_coder"),
        ("code interpreter", "python_coder"),
        ("finish", "finish"),
        ("Final Answer", "finish"),
        ("none", "none"),
        ("", "none"),
        ("web_search", None),
        ("context", None),
        ("document_reader", None),
        ("barcode", None),
    ],
)
def test_names_are_understood_as_models_write_them(named: str, tool: str | None) -> None:
    assert find_action(named, Toolbox([CODER])) == tool
