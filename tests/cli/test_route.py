from __future__ import annotations

from tests.commands import run


def test_the_agent_is_shown_with_scores_and_matched_terms() -> None:
    done = run("route", "Write Python code to calculate prime numbers up to 100")
    assert done.status == 0
    assert done.out.startswith("react ")
    assert "plan_execute" in done.out
    assert "python" in done.out


def test_json_is_what_the_router_says() -> None:
    document = run("route", "Write Python code to calculate primes", "--json").document
    assert document["agent"] == "react"
    assert document["needs_code"] is True
    assert set(document) >= {"agent", "scores", "matched_terms", "confidence"}


def test_files_speak_for_an_agent_that_can_read_them() -> None:
    assert run("route", "hello", "--json").document["agent"] == "chat"
    assert run("route", "hello", "--files", "--json").document["agent"] != "chat"


def test_a_question_comes_on_stdin_too() -> None:
    assert run("route", "-", "--json", stdin="hello\n").document["agent"] == "chat"


def test_where_code_is_switched_off_only_chat_is_left() -> None:
    done = run("route", "run this python code", "--json", PYTHON_CODE_ENABLED="false")
    assert done.document["agent"] == "chat"
