from __future__ import annotations

import pytest

from backend.api.outages import Outage
from backend.errors import StoreUnavailable


def test_an_outage_is_said_once_then_now_and_then_and_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outage, error = Outage(fails="It fails", works="It works again"), StoreUnavailable("No.")
    outage.note_success()
    for _ in range(3):
        outage.note_failure(error)
    assert caplog.messages == ["It fails: No."]
    with monkeypatch.context() as patched:
        patched.setattr("backend.api.outages.AGAIN_S", 0.0)
        outage.note_failure(error)
    for _ in range(2):
        outage.note_success()
    outage.note_failure(error)
    assert caplog.messages == ["It fails: No."] * 2 + ["It works again.", "It fails: No."]
