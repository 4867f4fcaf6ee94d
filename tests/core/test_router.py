from __future__ import annotations

import pytest

from backend.core.router import route


@pytest.mark.parametrize(
    ("query", "agent"),
    [
        ("Write Python code to calculate prime numbers up to 100", "react"),
        ("First load the data, then compute the mean, then plot it", "react"),
        ("If the mean is above 10, plot it, otherwise print it", "react"),
        ("Compare both regions and also write a comprehensive report with several charts",
         "plan_execute"),
        ("Give me a thorough, detailed report: totals, trends and outliers, as well as a forecast",
         "plan_execute"),
        ("Hello, how are you?", "chat"),
        ("What is the capital of France?", "chat"),
        ("Thanks!", "chat"),
        ("Explain how quicksort works", "chat"),
        ("What is 23 * 19?", "react"),
        ("Plot a histogram of the price column", "react"),
        ("now multiply that by 2", "react"),
        ("이 데이터의 평균을 구해줘", "react"),
        ("", "react"),
        ("Can you write a Python function that reverses a string?", "react"),
        ("1. Clean the data 2. Plot the prices 3. List the outliers", "plan_execute"),
        ("Can you explain how a random forest works? No code please.", "chat"),
        ("What is a dataframe?", "chat"),
        ("Which is the highest?", "react"),
        ("and what about March?", "react"),
        ("Who was that?", "chat"),
        ("Translate the words 'plot the csv file' into Korean", "chat"),
    ],
)  # fmt: skip
def test_requests_go_to_the_agent_that_fits(query: str, agent: str) -> None:
    assert route(query).agent == agent


@pytest.mark.parametrize(
    ("query", "absent"),
    [
        ("notification of a specification", "if"),
        ("The authentic lathe", "then"),
        ("decode the barcode", "code"),
        ("context of the pretext", "next"),
        ("a summary of the assumption", "sum"),
    ],
)
def test_a_term_inside_another_word_is_no_hit(query: str, absent: str) -> None:
    matched = route(query).matched_terms.values()
    assert absent not in [term for terms in matched for term in terms]


def test_a_question_for_code_needs_code_and_one_about_code_does_not() -> None:
    assert route("Can you write a Python function that reverses a string?").needs_code
    assert route("Compute the mean of 3, 4 and 8").needs_code
    assert not route("What is a Python decorator?").needs_code


def test_what_a_sentence_is_made_of_speaks_for_a_plan() -> None:
    chosen = route(
        "I have a photo of a garden. Please find the plants in the photo, write a caption for each, "
        "translate the captions into French, and make a poster with the translated captions."
    )
    assert chosen.agent == "plan_execute"
    assert chosen.scores["steps"] > 0
    assert "1 results" in chosen.matched_terms["steps"]
    assert "steps" not in route("Find the plants").matched_terms


def test_the_answer_tells_scores_and_hits() -> None:
    chosen = route("First sort the rows, then compare both halves")
    assert chosen.matched_terms["sequence"] == ["first", "then"]
    assert chosen.matched_terms["breadth"] == ["both", "compare"]
    assert {"react", "plan_execute", "chat"} <= set(chosen.scores)
    assert chosen.scores[chosen.agent] == max(
        chosen.scores[name] for name in ("react", "plan_execute", "chat")
    )
    assert 0 <= chosen.confidence <= 1


def test_a_tie_goes_to_react() -> None:
    chosen = route("both of them and multiple ones")
    assert chosen.scores["plan_execute"] == 2.0
    tied = route("both of them and multiple ones, next")
    assert tied.scores["react"] == tied.scores["plan_execute"]
    assert tied.agent == "react"


@pytest.mark.parametrize("query", ["Who wrote it?", "Tell me about it", "hi"])
def test_files_lead_to_an_agent_that_can_run_code(query: str) -> None:
    assert route(query).agent == "chat"
    with_file = route(query, has_files=True)
    assert with_file.agent != "chat"
    assert with_file.needs_code


def test_nothing_is_routed_to_code_when_code_is_switched_off() -> None:
    chosen = route("Write Python code for primes", has_files=True, code_enabled=False)
    assert chosen.agent == "chat"
    assert not chosen.needs_code


def test_pasted_megabytes_are_routed_like_their_head() -> None:
    assert route("Compute the sum of " + "1, " * 3_000_000).agent in ("react", "plan_execute")
