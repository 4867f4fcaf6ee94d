"""What models give tools, against what tools take."""

from __future__ import annotations

from typing import Any

import pytest

from backend.tools.extra.arguments import fit_arguments, short_schema
from backend.tools.extra.names import plain_schema, unique_names

SCHEMA: dict[str, Any] = plain_schema(
    {
        "properties": {
            "city": {"type": "string", "description": "Where to look"},
            "days": {"type": "integer"},
            "exact": {"type": "boolean"},
            "tags": {"anyOf": [{"type": "array"}, {"type": "null"}]},
            "unit": {"enum": ["C", "F"]},
            "free": True,
        },
        "required": ["city"],
    }
)


@pytest.mark.parametrize(
    ("given", "fitted"),
    [
        ({"city": "Oslo"}, {"city": "Oslo"}),
        ({"CITY": "Oslo"}, {"city": "Oslo"}),
        ({"city": 5}, {"city": "5"}),
        ({"city": "5"}, {"city": "5"}),
        ({"city": "a", "days": "5"}, {"city": "a", "days": 5}),
        ({"city": "a", "exact": "True"}, {"city": "a", "exact": True}),
        ({"city": "a", "tags": '["x"]'}, {"city": "a", "tags": ["x"]}),
        ({"city": "a", "tags": None}, {"city": "a", "tags": None}),
        ({"city": "a", "days": None}, {"city": "a"}),
        ({"city": "a", "free": '{"A": True}'}, {"city": "a", "free": '{"A": True}'}),
        ({"args": {"city": "a"}}, {"city": "a"}),
        ({"input": '{"city": "a", "days": 2}'}, {"city": "a", "days": 2}),
        ({"city": "a", "other": 1}, {"city": "a", "other": 1}),
    ],
)
def test_what_is_plainly_meant_is_put_right(given: dict[str, Any], fitted: dict[str, Any]) -> None:
    assert fit_arguments(given, SCHEMA) == (fitted, [])


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "city is missing"),
        ({"city": None}, "city: None is not of type 'string'"),
        ({"city": "a", "days": "two"}, "days: 'two' is not of type 'integer'"),
        ({"city": "a", "days": 2.5}, "days: 2.5 is not of type 'integer'"),
        ({"city": "a", "unit": "K"}, "unit: 'K' is not one of ['C', 'F']"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], fault: str) -> None:
    assert fit_arguments(given, SCHEMA)[1] == [fault]


def test_a_tool_without_arguments_is_given_none() -> None:
    assert fit_arguments({"input": "anything"}, plain_schema({})) == ({}, [])


def test_a_schema_that_names_another_server_s_is_not_fetched() -> None:
    schema = plain_schema({"properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}})
    assert fit_arguments({"a": 1}, schema) == ({"a": 1}, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "strange"},
        {"pattern": "("},
        {"enum": 7},
        {"minimum": "x"},
        {"$ref": "#/no"},
        {"anyOf": 3},
    ],
)
def test_a_schema_that_is_none_is_left_to_the_tool(wrong: dict[str, Any]) -> None:
    schema = plain_schema({"properties": {"a": wrong}})
    assert fit_arguments({"a": "b"}, schema)[1] == []
    assert "a" in short_schema(schema)


def test_a_schema_is_said_in_a_line() -> None:
    assert short_schema(SCHEMA) == (
        "city (string, required: Where to look); days (integer); exact (boolean); "
        'tags (array or null); unit (one of "C", "F"); free (value)'
    )
    assert short_schema(plain_schema(None)) == "nothing"


def test_names_are_such_as_models_write_and_each_is_there_once() -> None:
    offered = [
        ("north", "search"),
        ("south", "Search"),
        ("north", "get-forecast.v2"),
        ("north", "finish"),
        ("north", "日本"),
        ("north", "__x__"),
        ("a b", "c"),
        ("a_b", "c"),
        ("long", "x" * 200),
    ]
    assert unique_names(offered, {"finish"}) == [
        "north_search",
        "south_Search",
        "get_forecast_v2",
        "north_finish",
        "tool",
        "x",
        "a_b_c",
        "a_b_c_2",
        "x" * 64,
    ]
