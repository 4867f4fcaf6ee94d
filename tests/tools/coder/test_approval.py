"""Programs that run only when the user has said so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import ApprovalNeeded, ProgramRefused, RequestError
from backend.llm.budget import Budget
from backend.store.database import LOCAL_OWNER, open_database
from backend.store.runs import RunStore
from backend.tools.approval import ApprovalRequest, Approvals, Decision, decision_of
from backend.tools.coder.task import Options
from backend.tools.python_coder_tool import PythonCoderTool, open_tool, python_coder_tool
from backend.tools.python_executor_engine import open_engine
from backend.types import Event, ExecutionRequest, ExecutionResult
from tests.ollama_server import OllamaServer
from tests.sandbox.package_index import Index, only_index
from tests.scripts import APPROVE, ASSESS, generate, repair
from tests.solving import Play, prompts_of, require_documented

pytestmark = pytest.mark.sandbox

GOOD = (APPROVE, ASSESS)
RISKY = "import os\nopen('a.txt', 'w').close()\nos.remove('a.txt')\nprint('gone')"


class Asked:
    """Remembers the programs and says the same to each."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[ApprovalRequest] = []

    def __call__(self, request: ApprovalRequest) -> Any:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def codes(self) -> list[str]:
        return [request.code for request in self.requests]


async def solve(**more: Any) -> dict[str, Any]:
    result = await python_coder_tool.execute_code_task("Do it", **more)
    require_documented(result)
    return result


async def test_an_approved_program_runs(play: Play) -> None:
    play(generate("print(1)"), *GOOD)
    asked, events = Asked(True), list[Event]()
    result = await solve(approve=asked, emit=events.append)
    assert (result["success"], result["output"], result["approval"]) == (True, "1\n", None)
    assert asked.codes == ["print(1)"]
    assert [event.kind for event in events if event.kind in ("approval", "run")] == [
        "approval", "approval", "run",
    ]  # fmt: skip


async def test_an_approver_may_be_a_coroutine(play: Play) -> None:
    play(generate("print(1)"), *GOOD)

    async def decide(request: ApprovalRequest) -> str:
        return "approve" if request.language == "python" else "reject"

    assert (await solve(approve=decide))["output"] == "1\n"


async def test_a_refused_program_ends_the_task(play: Play) -> None:
    play(generate("print(1)"), *GOOD)
    result = await solve(approve=Asked({"decision": "reject", "note": "Not today."}))
    assert (result["success"], result["error_kind"], result["attempts"]) == (False, "policy", [])
    assert result["error"] == "The program was not run: it was not approved (Not today)."
    assert result["code"] == "print(1)"


async def test_an_edited_program_is_checked_and_runs_as_it_is(play: Play) -> None:
    play(generate("print(1)"), *GOOD)
    asked = Asked(Decision(verdict="edit", code="print(2)", note="Two."))
    result = await solve(approve=asked)
    assert (result["success"], result["output"], result["code"]) == (True, "2\n", "print(2)")
    assert len(asked.requests) == 1
    assert result["modifications"] == [
        {"iteration": 2, "issues": [], "change": "Two.", "by": "user"}
    ]
    assert result["usage"]["by_stage"]["review"]["calls"] == 1, "who changed it has reviewed it"


async def test_an_edited_program_with_findings_is_rewritten_and_asked_about_anew(
    play: Play,
) -> None:
    play(generate("print(1)"), repair("print(3)"), *GOOD)
    asked = Asked({"decision": "edit", "code": "import socket"}, True)
    result = await solve(approve=asked)
    assert (result["output"], asked.codes) == ("3\n", ["print(1)", "print(3)"])


async def test_every_repair_is_asked_about_anew(play: Play) -> None:
    play(generate("print(1 / 0)"), repair("print(4)"), *GOOD)
    asked = Asked(True)
    result = await solve(approve=asked)
    assert (result["output"], asked.codes) == ("4\n", ["print(1 / 0)", "print(4)"])


async def test_an_unchanged_program_is_not_asked_about_again(play: Play) -> None:
    flaky = "import time\nprint(1 / 0)"
    play(generate(flaky), repair(flaky), repair("print(5)"), *GOOD)
    asked = Asked(True)
    result = await solve(approve=asked)
    assert (result["output"], asked.codes) == ("5\n", [flaky, "print(5)"])


async def test_only_risky_programs_are_asked_about(play: Play) -> None:
    play(generate("print(1)"), *GOOD)
    assert (await solve(approve="risky"))["output"] == "1\n"
    play(generate(RISKY), *GOOD)
    result = await solve(approve="risky")
    assert result["error_kind"] == "waiting"
    assert result["approval"]["reasons"] == ["Line 3 deletes files (os.remove)."]


async def test_the_setting_is_what_holds_without_a_word(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_APPROVE", "always")
    play(generate("print(1)", repeat=True), *GOOD)
    result = await solve()
    assert result["error_kind"] == "waiting"
    assert (await solve(approve="off"))["output"] == "1\n"


async def test_a_waiting_task_goes_on_when_it_is_approved(
    server: OllamaServer, tmp_path: Path
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("7")
    server.add({**generate("print(int(open('a.txt').read()) * 6)"), "stage": None})
    server.add({**APPROVE, "stage": None, "when": "before it runs"})
    server.add({**ASSESS, "stage": None, "when": "Judge whether"})
    waiting = await solve(file_paths=[str(file)], approve="always", context="Six times.")
    require_documented(waiting)
    assert (waiting["success"], waiting["error_kind"]) == (False, "waiting")
    assert (waiting["attempts"], waiting["run_id"]) == ([], waiting["approval"]["run_id"])

    await _stands(waiting["run_id"], "waiting")
    unclear = await PythonCoderTool().resume(waiting["run_id"])
    assert "it is waiting. Approve or reject" in unclear["error"]
    done = await PythonCoderTool().resume(waiting["run_id"], "approve")
    assert (done["success"], done["output"], done["run_id"]) == (True, "42\n", waiting["run_id"])
    assert (done["resumed"], done["approval"]) == (True, None)
    assert sum("You write one Python program" in text for text in prompts_of(server)) == 1
    await _stands(waiting["run_id"], "completed")
    again = await PythonCoderTool().resume(waiting["run_id"], "approve")
    assert "waits for no approval: it is completed" in again["error"]


async def _stands(run_id: str, status: str) -> None:
    async with open_database(load_settings()) as database:
        runs = RunStore(database)
        if status == "waiting":
            await runs.prune(0, owner=LOCAL_OWNER)
        assert (await runs.get(run_id, owner=LOCAL_OWNER)).status == status


async def test_a_repair_waits_again_and_a_rejected_task_is_over(play: Play) -> None:
    play(generate("print(1 / 0)"), repair("print(2)"), *GOOD)
    async with open_tool() as tool:
        first = await tool.execute_code_task("Do it", approve="always")
        second = await tool.resume(first["run_id"], {"decision": "approve"})
        assert (second["error_kind"], second["approval"]["code"]) == ("waiting", "print(2)")
        assert len(second["attempts"]) == 1
        last = await tool.resume(first["run_id"], {"decision": "reject", "note": "Enough"})
    assert (last["error_kind"], len(last["attempts"])) == ("policy", 1)
    assert last["error"] == "The program was not run: it was not approved (Enough)."


async def test_a_file_that_changed_meanwhile_is_told_and_the_run_still_waits(
    play: Play, tmp_path: Path
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("7")
    play(generate("print(open('a.txt').read())"), *GOOD)
    async with open_tool() as tool:
        waiting = await tool.execute_code_task("Do it", None, [str(file)], approve="always")
        file.write_text("8")
        changed = await tool.resume(waiting["run_id"], True)
        assert "has changed since" in changed["error"]
        file.write_text("7")
        assert (await tool.resume(waiting["run_id"], True))["output"] == "7\n"


async def test_written_tests_are_programs_too(play: Play) -> None:
    play(generate("print(1)"), *GOOD)
    asked = Asked(True)
    result = await solve(options=Options(write_tests=True), approve=asked)
    assert (result["success"], asked.codes, result["tests"]) == (True, ["print(1)"], [])
    assert "No tests were written: programs run here when they are approved." in result["notes"]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with only_index(tmp_path / "index", monkeypatch) as index:
        monkeypatch.setenv("PYTHON_CODE_ALLOW_INSTALL", "true")
        monkeypatch.setenv("PYTHON_CODE_INSTALL_LIST", "lifelines")
        index.add("lifelines", {"lifelines/__init__.py": "WORD = 'alive'\n"})
        yield index


@pytest.mark.parametrize("mode", ["risky", "always"])
async def test_packages_are_installed_when_that_is_approved(
    mode: Any, play: Play, index: Index
) -> None:
    play(generate("import lifelines\nprint(lifelines.WORD)"), *GOOD)
    asked = Asked(True)
    result = await solve(approve=mode, approver=asked)
    assert (result["output"], result["installed"]) == ("alive\n", ["lifelines"])
    assert asked.codes[-1] == "pip install lifelines"
    assert len(asked.codes) == (2 if mode == "always" else 1), "the program itself is not new"


async def test_packages_that_are_refused_are_not_asked_for(play: Play, index: Index) -> None:
    play(generate("import lifelines"), *GOOD)
    async with open_tool() as tool:
        waiting = await tool.execute_code_task("Do it", approve="risky")
        assert waiting["approval"]["code"] == "pip install lifelines"
        assert index.downloads() == []
        result = await tool.resume(waiting["run_id"], "reject")
    assert (result["error_kind"], result["installed"]) == ("policy", [])
    assert index.downloads() == []


async def test_the_time_that_the_user_takes_is_not_the_requests() -> None:
    waited: list[float] = []
    approvals = Approvals("always", approver=Asked(True), on_wait=waited.append)
    await approvals.decide(ApprovalRequest(code="print(1)"))
    await approvals.decide(ApprovalRequest(code="print(1)"))
    assert len(waited) == 1
    budget = Budget(max_seconds=60)
    budget.extend(1000)
    assert budget.remaining.seconds is not None
    assert budget.remaining.seconds > 60


async def test_where_nothing_is_kept_somebody_has_to_be_there(play: Play) -> None:
    play(generate("print(1)"), *GOOD)
    async with open_engine(load_settings()) as engine:
        tool = PythonCoderTool(engine=engine)
        nobody = await tool.execute_code_task("Do it", approve="always")
        assert (nobody["error_kind"], nobody["calls"]) == ("input", [])
        assert (await tool.execute_code_task("Do it", approve=Asked(True)))["output"] == "1\n"
    living = await solve(inputs={"frame": object()}, approve="always")
    assert (living["error_kind"], living["calls"]) == ("input", [])


async def test_a_mode_that_is_none_is_refused(play: Play) -> None:
    play()
    result = await solve(approve="sometimes")
    assert result["error_kind"] == "input"
    assert "off, risky, always" in result["error"]


@pytest.mark.parametrize("given", ["", "perhaps", {}, {"decision": "edit"}, {"decision": 1}])
def test_what_is_no_decision_is_refused(given: Any) -> None:
    with pytest.raises(RequestError):
        decision_of(given)


async def test_what_tools_run_is_asked_about_as_well() -> None:
    ran: list[str] = []

    async def execute(request: ExecutionRequest) -> ExecutionResult:
        ran.append(request.code)
        return ExecutionResult(success=True, returncode=0, stdout="", stderr="")

    asked = Asked(True, {"decision": "edit", "code": "print(3)"}, False)
    guarded = Approvals("always", approver=asked).guarded(execute)
    for code in ("print(1)", "print(1)", "print(2)"):
        await guarded(ExecutionRequest(code=code))
    assert ran == ["print(1)", "print(1)", "print(3)"]
    with pytest.raises(ProgramRefused):
        await guarded(ExecutionRequest(code="print(4)"))
    with pytest.raises(ApprovalNeeded) as needed:
        await Approvals("risky").guarded(execute)(ExecutionRequest(code="ls", language="bash"))
    assert needed.value.asked["language"] == "bash"
    await Approvals("risky").guarded(execute)(ExecutionRequest(code="print(5)"))
    assert ran[3:] == ["print(5)"]
    earlier = ApprovalRequest(code="print(6)")
    decided = {earlier.digest: Decision(verdict="approve").as_dict()}
    await Approvals("always", decided=decided).guarded(execute)(ExecutionRequest(code="print(6)"))
    assert ran[4:] == ["print(6)"]
