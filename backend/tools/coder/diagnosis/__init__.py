"""What went wrong with a program, why, and what to do about it: rules first, a model if need be."""

from __future__ import annotations

from backend.tools.coder.diagnosis.case import Diagnosis
from backend.tools.coder.diagnosis.describing import describe
from backend.tools.coder.diagnosis.replies import (
    DIAGNOSIS_SCHEMA,
    needs_model,
    read_diagnosis,
    with_reply,
)
from backend.tools.coder.diagnosis.rules import diagnose

__all__ = [
    "DIAGNOSIS_SCHEMA",
    "Diagnosis",
    "describe",
    "diagnose",
    "needs_model",
    "read_diagnosis",
    "with_reply",
]
