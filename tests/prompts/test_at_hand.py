"""What a session holds, in words: names and shapes while there is room, names before shapes."""

from __future__ import annotations

from backend.prompts.at_hand import VARIABLES_CHARS, cut_variables, list_variables


def test_data_is_listed_and_the_rest_is_named() -> None:
    names = {
        "pd": "module pandas",
        "df": "DataFrame, 2 rows, 1 columns: 'a' int64",
        "double": "function (n)",
        "_i": "",
        "odd": "",
    }
    assert list_variables(names, ["a.csv", "b.png"]) == (
        "- df: DataFrame, 2 rows, 1 columns: 'a' int64\n"
        "- odd\n"
        "Defined and imported: pd (module pandas), double (function (n))\n"
        "Files they wrote into the working directory: b.png, a.csv"
    )


def test_nothing_is_said_of_nothing_unless_it_was_lost() -> None:
    assert list_variables({}) == ""
    assert "are gone" in list_variables({}, lost=True)
    assert "are gone" not in list_variables({"x": "1"}, lost=True)


def test_too_many_are_told_shorter_first_and_then_left_out_from_the_oldest() -> None:
    long = {f"name_{number}": "DataFrame, " + "column " * 60 for number in range(20)}
    told = list_variables(long)
    assert len(told) <= VARIABLES_CHARS
    assert all(f"- {name}: DataFrame" in told for name in long)
    assert told.splitlines()[-1].endswith("column")
    many = {f"name_{number}": "DataFrame, " * 9 for number in range(500)}
    told = list_variables(many)
    assert "left out" in told.splitlines()[0]
    assert "- name_499: DataFrame" in told


def test_a_cut_names_how_many_are_missing() -> None:
    text = "\n".join(f"- n{number}: {'x' * 100}" for number in range(50))
    cut = cut_variables(text, 1000)
    assert len(cut) <= 1100
    assert cut.startswith("[the oldest ")
