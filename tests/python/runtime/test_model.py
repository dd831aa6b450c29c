"""edgecv.load and Model on files written by hand."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models
from numpy.typing import NDArray

import edgecv
from edgecv.graph.interpret import interpret

DATA = Path(__file__).resolve().parents[2] / "data" / "runtime"


@pytest.fixture(scope="module")
def small() -> bytes:
    return small_models.small_file()


def stored(x: NDArray[Any], info: edgecv.TensorInfo) -> NDArray[np.int8]:
    """Quantize as docs/ops.md says, to the raw layout."""
    assert info.quantization is not None
    zero = info.quantization.zero_point
    q = np.clip(np.rint(x / np.float32(info.quantization.scale)), -128 - zero, 127 - zero) + zero
    return np.ascontiguousarray(q.astype(np.int8).transpose(np.argsort(info.perm)))


@pytest.mark.parametrize("name", ["small", "wide", "float", "chains", "views"])
def test_the_copies_for_the_cpp_tests_are_fresh(name: str) -> None:
    builder = {
        "small": small_models.small_file,
        "wide": small_models.wide_file,
        "float": lambda: small_models.file_with_goldens(small_models.float_builder()),
        "chains": lambda: small_models.file_with_goldens(small_models.chains_builder()),
        "float_chains": lambda: small_models.file_with_goldens(small_models.float_chains_builder()),
        "views": lambda: small_models.file_with_goldens(small_models.views_builder()),
    }[name]
    # If this fails on purpose: python tests/python/runtime/small_models.py
    assert (DATA / f"{name}.ecv").read_bytes() == builder()


@pytest.mark.parametrize("batch", [1, 3])
def test_every_tensor_agrees_with_the_interpreter(batch: int) -> None:
    builder = small_models.small_builder(batch=batch)
    with edgecv.load(builder.file()) as model:
        feed = model.example_inputs(seed=4)
        got = model.trace(feed, raw=True)
        outputs = model.run(feed)
    q = stored(feed["image"], model.inputs[0])
    want = interpret(builder.graph, {"image": q.transpose(0, 3, 1, 2)})
    assert set(got) == set(want)
    for name, values in want.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
    scale = np.float32(model.outputs[0].quantization.scale)  # type: ignore[union-attr]
    real = (got["stem_t"].astype(np.int32) - 3).astype(np.float32) * scale
    np.testing.assert_array_equal(outputs["features"], real.transpose(0, 3, 1, 2))
    assert outputs["features"].dtype == np.float32


def test_float_model_agrees_with_the_interpreter() -> None:
    builder = small_models.float_builder()
    with edgecv.load(builder.file()) as model:
        feed = model.example_inputs(seed=4)
        got = model.run(feed)["y"]
        want = interpret(builder.graph, feed)["y_t"]
        traced = model.trace(feed)
    # f32 ops may differ in the last bits, which may move a value over a quantization boundary:
    # one step, 0.05.
    assert np.abs(got - want).max() <= 0.0501
    assert np.mean(got != want) < 0.02
    np.testing.assert_array_equal(traced["y_t"], got)


def test_infos(small: bytes) -> None:
    model = edgecv.load(small, threads=1)
    (image,) = model.inputs
    assert image == edgecv.TensorInfo(
        "image",
        (1, 3, 16, 16),
        np.dtype(np.int8),
        edgecv.Quantization(1 / 64, -5),
        (1, 16, 16, 3),
        (0, 3, 1, 2),
    )
    assert [info.name for info in model.outputs] == ["features", "scores"]
    assert model.name == "small"
    assert model.labels is None
    assert model.threads == 1
    assert model.arena_bytes > 0
    assert (
        model.info["macs"]
        == sum(step.macs for step in model.steps)
        == sum(op.macs for op in model.ops)
    )
    ops = {op.name: op for op in model.ops}
    assert ops["flat"].steps == ()
    assert len(ops["joined"].steps) == 0  # its parts are written in place
    assert ops["residual"].inputs == ("stem_t", "depthwise_t")
    assert all(step.kernel.endswith("__" + step.isa) for step in model.steps)


def test_chains_change_memory_and_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = small_models.chains_builder().file()
    monkeypatch.delenv("EDGECV_CHAINS", raising=False)
    with edgecv.load(blob, chains="off") as plain, edgecv.load(blob, chains="all") as chained:
        assert plain.info["chains"] == 0 < chained.info["chains"]
        assert all(step.chain is None for step in plain.steps)
        assert {step.chain for step in chained.steps} >= set(range(chained.info["chains"]))
        assert chained.arena_bytes < plain.arena_bytes
        x = plain.example_inputs(4)
        want = plain.run(x, raw=True)
        for name, value in chained.run(x, raw=True).items():
            np.testing.assert_array_equal(value, want[name])
        inside = plain.trace(x, raw=True)
        for name, value in chained.trace(x, raw=True).items():
            np.testing.assert_array_equal(value, inside[name])
        assert all(step.milliseconds > 0 for step in chained.profile(plain.example_inputs(), 3))
    monkeypatch.setenv("EDGECV_CHAINS", "all")
    with edgecv.load(blob) as model:
        assert model.info["chains"] > 0
    with pytest.raises(edgecv.InputError, match="chains is 'some'"):
        edgecv.load(blob, chains="some")


def test_labels_travel() -> None:
    with edgecv.load(small_models.small_builder().file(meta={"labels": "cat\ndog"})) as model:
        assert model.labels == ["cat", "dog"]


def test_load_from_path_descriptor_and_buffers(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.ecv"
    path.write_bytes(small)
    with open(path, "rb") as file:
        sources: list[Any] = [
            path,
            str(path),
            small,
            bytearray(small),
            memoryview(small),
            file.fileno(),
        ]
        for source in sources:
            with edgecv.load(source) as model:
                assert model.verify().passed
        file.seek(0)  # the descriptor is the caller's and still open
        assert file.read(4) == small[:4]


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        (b"", edgecv.FormatError, "0 bytes"),
        (b"PK\x03\x04" + bytes(100), edgecv.FormatError, "not an .ecv file"),
        ("/no/such/file.ecv", edgecv.FileError, "/no/such/file.ecv"),
        ("bad\0path", edgecv.InputError, "NUL"),
        (1.5, edgecv.InputTypeError, "float"),
        (True, edgecv.InputTypeError, "bool"),
    ],
)
def test_bad_sources(source: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        edgecv.load(source)
    assert isinstance(caught.value, edgecv.Error)
    assert "\n" not in str(caught.value)


def test_bad_options(small: bytes) -> None:
    for threads in (0, -1, 1.5, True):
        with pytest.raises(edgecv.InputError, match="threads"):
            edgecv.load(small, threads=threads)  # type: ignore[arg-type]
    with pytest.raises(edgecv.InputError, match="no-such-isa"):
        edgecv.load(small, isa="no-such-isa")


def test_the_environment_forces_kernels(small: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECV_FORCE_ISA", "reference")
    with edgecv.load(small) as model:
        assert model.isa == "reference"
        assert {step.isa for step in model.steps} == {"reference"}
    monkeypatch.setenv("EDGECV_FORCE_ISA", "no-such-isa")
    with pytest.raises(edgecv.InputError, match="no-such-isa"):
        edgecv.load(small)


def test_bad_inputs_say_what_is_expected(small: bytes) -> None:
    model = edgecv.load(small)
    good = np.zeros((1, 3, 16, 16), np.float32)
    with pytest.raises(edgecv.InputError, match=r"'image' takes float32 of shape \[1, 3, 16, 16\]"):
        model.run(good[0])
    with pytest.raises(edgecv.InputTypeError, match="not uint8") as caught:
        model.run(good.astype(np.uint8))
    assert isinstance(caught.value, (TypeError, ValueError))
    with pytest.raises(ValueError, match="unknown: 'picture'; missing: 'image'"):
        model.run({"picture": good})
    with pytest.raises(edgecv.InputTypeError, match="takes int8 of shape"):
        model.run(good.astype(np.int32), raw=True)
    with pytest.raises(edgecv.InputError, match=r"int8 of shape \[1, 16, 16, 3\]"):
        model.run(good.astype(np.int8), raw=True)
    good[0, 0, 0, 0] = np.nan
    with pytest.raises(edgecv.InputError, match="'image' holds a NaN"):
        model.run(good)
    with pytest.raises(edgecv.InputTypeError):
        model.run("picture.jpg")  # type: ignore[arg-type]


def test_kinds_of_arrays(small: bytes) -> None:
    model = edgecv.load(small)
    x = model.example_inputs(1)["image"]
    want = model.run(x)["scores"]
    for same in (
        x.astype(np.float64),
        np.asfortranarray(x),
        x[:, ::-1][:, ::-1],
        x.tolist(),
        x.astype(x.dtype.newbyteorder()),
    ):
        np.testing.assert_array_equal(model.run(same)["scores"], want)
    frozen = x.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(model.run({"image": frozen})["scores"], want)


def test_raw(small: bytes) -> None:
    model = edgecv.load(small)
    x = model.example_inputs(1)["image"]
    q = stored(x, model.inputs[0])
    from_raw = model.run(q, raw=True)
    from_float = model.run(x, raw=True)  # float in, raw out
    assert from_raw["features"].shape == (1, 8, 8, 16)
    assert from_raw["scores"].dtype == np.int8
    for name in from_raw:
        np.testing.assert_array_equal(from_raw[name], from_float[name])


def test_results_are_the_callers_own(small: bytes) -> None:
    model = edgecv.load(small)
    first = model.run(model.example_inputs(1))
    kept = {name: y.copy() for name, y in first.items()}
    model.run(model.example_inputs(2))
    model.close()
    for name, y in first.items():
        np.testing.assert_array_equal(y, kept[name])


def test_threads_share_a_model() -> None:
    model = edgecv.load(small_models.wide_file(), threads=2)
    feeds = [model.example_inputs(seed) for seed in range(4)]
    want = [model.run(feed)["scores"] for feed in feeds]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(25):
            if not np.array_equal(model.run(feeds[index])["scores"], want[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not np.array_equal(want[0], want[1])


@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # fork beside threads is the point here
def test_a_forked_child_runs() -> None:
    model = edgecv.load(small_models.wide_file(), threads=2)
    feed = model.example_inputs(1)
    want = model.run(feed)["scores"]
    child = os.fork()
    if child == 0:
        import signal

        signal.alarm(20)
        os._exit(0 if np.array_equal(model.run(feed)["scores"], want) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_verify(small: bytes) -> None:
    with edgecv.load(small) as model:
        report = model.verify()
    assert report.passed
    assert (report.goldens, report.digests, report.failed) == (3, 33, 0)
    assert str(report) == "PASS: 33 digests of 3 golden inputs"
    with edgecv.load(small_models.small_builder().file()) as model:
        report = model.verify()
    assert not report.passed
    assert "NOTHING" in str(report)


def test_verify_names_what_differs() -> None:
    builder = small_models.small_builder()
    goldens = small_models.golden_records(builder.graph, builder.file(), [1])
    node = next(n for n in builder.graph.nodes if n.name == "point")
    weights = builder.graph.values[node.inputs[1]].data
    assert weights is not None
    weights[3, 0, 0, 5] += -1 if weights[3, 0, 0, 5] > 0 else 1
    with edgecv.load(builder.file(goldens=goldens)) as model:
        report = model.verify()
        kernel = next(step.kernel for step in model.steps if step.name == "point")
    assert not report.passed
    assert (report.op, report.kernel) == ("point", kernel)
    assert str(report).startswith("FAIL: ")
    assert "'point'" in str(report)


def test_profile(small: bytes) -> None:
    model = edgecv.load(small)
    steps = model.profile(model.example_inputs(1), runs=3)
    assert [step.kernel for step in steps] == [step.kernel for step in model.steps]
    assert sum(step.milliseconds for step in steps) > 0
    with pytest.raises(edgecv.InputError, match="runs"):
        model.profile(model.example_inputs(1), runs=0)


def test_close_and_pickle(small: bytes) -> None:
    with edgecv.load(small) as model:
        feed = model.example_inputs()
        for refuse in (lambda: pickle.dumps(model), lambda: copy.deepcopy(model)):
            with pytest.raises(TypeError, match="load the file in each process"):
                refuse()
    for closed in (
        lambda: model.run(feed),
        model.verify,
        lambda: model.steps,
        lambda: model.trace(feed),
    ):
        with pytest.raises(edgecv.StateError, match="closed"):
            closed()
    assert model.inputs[0].name == "image"
    assert "closed" in repr(model)
    model.close()


def test_images_go_through_the_stored_preprocessing() -> None:
    pre = edgecv.Preprocess.parse("resize=20,crop=16,mean=127,std=64")
    spec = pre.to_spec()
    names = (
        "resize_mode",
        "interpolation",
        "antialias",
        "resize_width",
        "resize_height",
        "crop_width",
        "crop_height",
        "color_order",
    )
    fields = {**dict(zip(names, spec)), "mean": spec[8:11], "std": spec[11:14], "fill": spec[14:17]}
    random = np.random.default_rng(3)
    pictures = [random.integers(0, 256, (40, 33, 3), dtype=np.uint8) for _ in range(2)]
    for batch in (1, 2):
        builder = small_models.small_builder(batch=batch)
        model = edgecv.load(builder.file(preprocess={"image": fields}))
        given = pictures[0] if batch == 1 else pictures
        x = model.preprocess_image(given)
        assert x.shape == (batch, 3, 16, 16)
        np.testing.assert_array_equal(x[0], pre.apply(pictures[0]).transpose(2, 0, 1))
        np.testing.assert_array_equal(model.run_image(given)["scores"], model.run(x)["scores"])
        with pytest.raises(edgecv.InputError, match="picture"):
            model.run_image(pictures + pictures)
        for wrong in (pictures[0][:, :, :2], pictures[0][0]):
            with pytest.raises(edgecv.InputError, match="height, width, 3"):
                model.run_image([wrong] * batch)
        with pytest.raises(edgecv.InputTypeError, match="float32"):
            model.run_image([pictures[0].astype(np.float32)] * batch)
    with edgecv.load(builder.file()) as model, pytest.raises(
        edgecv.StateError, match="no pre-processing"
    ):
        model.run_image(pictures)


def test_importing_and_running_needs_numpy_alone(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.ecv"
    path.write_bytes(small)
    code = f"""
import sys
for name in ("onnx", "onnxruntime", "PIL", "rich", "onnx_ir", "onnxscript"):
    sys.modules[name] = None
import edgecv
with edgecv.load({str(path)!r}) as model:
    model.run(model.example_inputs())
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_convert_stays_the_function() -> None:
    code = "import edgecv, edgecv.convert, types; assert type(edgecv.convert) is types.FunctionType"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no_such_name"):
        edgecv.no_such_name  # noqa: B018
    for name in edgecv.__all__:
        assert getattr(edgecv, name) is not None
