"""The same int8 bits for every instruction set, number of threads, and number of runs at once, on
this CPU and on emulated ones.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import realmodels
from numpy.typing import NDArray
from proof import digest, models

import edgecv
from edgecv.errors import InputError

Values = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bits")
    models.int8_file(folder)
    return folder / "int8.ecv"


def load(path: Path, isa: str, threads: int) -> edgecv.Model:
    """The model, or a skip on a CPU without that instruction set."""
    try:
        return edgecv.load(path, isa=isa, threads=threads)
    except InputError as error:
        if isa != "reference" and f"'{isa}'" in str(error):
            pytest.skip(f"this CPU lacks {isa}: {error}")
        raise


def traced(path: Path, x: Any, isa: str, threads: int = 1) -> Values:
    with load(path, isa, threads) as model:
        if isa != "reference":
            assert any(step.isa == isa for step in model.steps), "no kernel of it was chosen"
        return model.trace(x, raw=True)


def check_same(got: Values, want: Values) -> None:
    assert list(got) == list(want)
    for name, values in want.items():
        assert got[name].dtype == np.int8
        np.testing.assert_array_equal(got[name], values, err_msg=name)


def run_at_once(model: edgecv.Model, inputs: list[Any], runs: int) -> list[set[str]]:
    """Digests of the outputs of ``runs`` runs a thread, one thread an input, all at once."""
    found: list[set[str]] = [set() for _ in inputs]
    barrier = threading.Barrier(len(inputs))

    def work(index: int) -> None:
        barrier.wait()
        for _ in range(runs):
            outputs = model.run(inputs[index], raw=True)
            blob = b"".join(outputs[name].tobytes() for name in sorted(outputs))
            found[index].add(hashlib.sha256(blob).hexdigest())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("isa", ["reference", "avx2"])
def test_every_tensor_of_the_small_model(small: Path, isa: str, threads: int) -> None:
    with edgecv.load(small, isa="reference", threads=1) as model:
        x = model.example_inputs(seed=8)
        want = model.trace(x, raw=True)
        assert any(step.parallel for step in model.steps)
    for _ in range(3):
        check_same(traced(small, x, isa, threads), want)


@pytest.mark.parametrize("threads", [1, 2])
def test_two_runs_at_once_of_the_small_model(small: Path, threads: int) -> None:
    with edgecv.load(small, threads=threads) as model:
        inputs = [model.example_inputs(seed) for seed in (1, 2)]
        with edgecv.load(small, isa="reference", threads=1) as alone:
            want = [run_at_once(alone, [x], 1)[0] for x in inputs]
        assert want[0] != want[1]
        assert run_at_once(model, inputs, 100) == want


@pytest.mark.network
@pytest.mark.parametrize("name", realmodels.NAMES)
def test_real_networks(name: str) -> None:
    """One picture: every tensor for each instruction set; then threads, and two runs at once."""
    path = realmodels.int8_path(name)
    image = realmodels.scores("calib64").image(3)
    with edgecv.load(path, isa="reference", threads=1) as model:
        x = model.preprocess_image(image)
        want = model.trace(x, raw=True)
        outputs = run_at_once(model, [x], 1)[0]
    with edgecv.load(path, threads=1) as best:
        isa = best.isa
        check_same(best.trace(x, raw=True), want)
        outputs |= run_at_once(best, [x], 1)[0]
    for threads in (2, 4):
        check_same(traced(path, x, isa, threads), want)
        with edgecv.load(path, threads=threads) as model:
            outputs |= set().union(*run_at_once(model, [x, x], 3))
    assert len(outputs) == 1
    print(f"{name}: {len(want)} tensors equal on reference and {isa}, threads 1, 2, 4")


def emulated(qemu: str, cpu: str, path: Path) -> dict[str, Any]:
    """What digest.py prints on an emulated CPU; its kernels are those of the installed module."""
    command = [qemu, "-cpu", cpu, sys.executable, str(Path(digest.__file__)), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # An instruction that the CPU lacks ends the process by SIGILL: a negative return code.
    assert done.returncode == 0, f"{cpu}: exit {done.returncode}\n{done.stderr[-2000:]}"
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def check_emulated(qemu: str, path: Path) -> None:
    want = digest.describe(str(path), "reference")
    assert want["passed"], want["verify"]
    for cpu in ("Westmere", "Haswell"):
        got = emulated(qemu, cpu, path)
        assert got["passed"], f"{cpu}: {got['verify']}"
        assert got["outputs"] == want["outputs"], cpu
        # Westmere has SSE4.2 and no AVX; Haswell has AVX2 and nothing later.
        assert ("avx2" in got["isas"]) == (cpu == "Haswell"), f"{cpu}: {got['isas']}"
        assert not set(got["isas"]) - {"reference", "sse41", "avx2"}, f"{cpu}: {got['isas']}"
        print(f"{cpu}: {got['isas']}, {got['verify']}, outputs {got['outputs'][:16]}")


@pytest.fixture
def qemu(need_program: Callable[[str, str], str]) -> str:
    import platform

    if platform.machine() != "x86_64":
        pytest.skip("emulates x86-64 CPUs on x86-64 alone")
    return need_program("qemu-x86_64", "qemu-user")


@pytest.mark.emulator
def test_small_model_on_emulated_cpus(small: Path, qemu: str) -> None:
    check_emulated(qemu, small)


@pytest.mark.emulator
@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", realmodels.NAMES)
def test_real_networks_on_emulated_cpus(name: str, qemu: str) -> None:
    check_emulated(qemu, realmodels.int8_path(name))
