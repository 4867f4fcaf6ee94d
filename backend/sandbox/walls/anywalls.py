"""The walls that an executor can have around its programs."""

from __future__ import annotations

from backend.sandbox.walls.bubblewrap import Walls
from backend.sandbox.walls.landlocked import Landlocked

AnyWalls = Walls | Landlocked
