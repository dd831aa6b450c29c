"""How long work says how far it has come."""

from __future__ import annotations

from typing import Callable

# Called with what is done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]
