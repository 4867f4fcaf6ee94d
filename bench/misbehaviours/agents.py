"""Agents that name no tool, invent what they saw, plan what cannot be, or never finish."""

from __future__ import annotations

from bench.misbehaviours.agents_gone import CASES as GONE
from bench.misbehaviours.agents_native import CASES as NATIVE
from bench.misbehaviours.agents_plan import CASES as PLAN
from bench.misbehaviours.agents_react import CASES as REACT
from bench.misbehaviours.agents_tools import CASES as TOOLS

SECTIONS = {
    "ReAct": REACT,
    "Plan and execute": PLAN,
    "Native tool calls": NATIVE,
    "Tools of others": TOOLS,
    "The model is gone in mid-step": GONE,
}
