from __future__ import annotations

import sys
from pathlib import Path

# The small graphs of this room are plain functions in small_models.py.
sys.path.insert(0, str(Path(__file__).resolve().parent))
