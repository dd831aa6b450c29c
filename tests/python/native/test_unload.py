"""A program may dlclose libedgecv.so while the threads of its pool still exist."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .conftest import ROOT, run

PROGRAM = """
import _ctypes, ctypes, os, sys, time
library = ctypes.CDLL(sys.argv[1])
model, session = ctypes.c_void_p(), ctypes.c_void_p()
assert library.edgecv_model_load(sys.argv[2].encode(), None, ctypes.byref(model), None) == 0
assert library.edgecv_session_create(model, ctypes.byref(session), None) == 0
available = library.edgecv_available_threads()
library.edgecv_session_destroy(session)
library.edgecv_model_destroy(model)
_ctypes.dlclose(library._handle)
time.sleep(0.05)
print(len(os.listdir("/proc/self/task")), available)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_library_may_be_closed(prefix: Path) -> None:
    (library,) = prefix.glob("lib*/**/libedgecv.so")
    model = ROOT / "tests" / "data" / "golden" / "convnet.ecv"
    threads, available = run(sys.executable, "-c", PROGRAM, library, model).split()
    assert threads == available
