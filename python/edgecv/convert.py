"""edgecv.convert: from an ONNX model to an `.ecv` file."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from edgecv.calibrated import CalibratedModel, fingerprint
from edgecv.errors import CalibrationError, Error, InputError
from edgecv.format.writer import STORAGE, write
from edgecv.golden import golden_records
from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes import pipeline
from edgecv.graph.passes.quantize import LayerWeights
from edgecv.graph.passes.settle import is_quantized
from edgecv.imported import ImportedModel, check_options, of_imported, quantize_imported
from edgecv.model import load
from edgecv.onnx.importer import import_model
from edgecv.preprocess import Preprocess
from edgecv.quant.data import CalibrationSet, Source
from edgecv.quant.plan import LayerPlan, Plan
from edgecv.quant.plan import load as load_plan
from edgecv.quant.progress import Progress
from edgecv.quant.target import fit
from edgecv.quant.weights import RoundingMemo
from edgecv.report import ConversionReport, LayerReport
from edgecv.sparsity import patterns_of

log = logging.getLogger("edgecv")

DEFAULT_GOLDEN_SEEDS = (1, 2)


def convert(
    model: Any,
    out: Union[str, os.PathLike[str]],
    calibration: Optional[Source] = None,
    *,
    preprocess: Optional[Union[Preprocess, str]] = None,
    method: str = "auto",
    keep_float: Sequence[str] = (),
    percent: float = 99.99,
    weights: str = "lane-safe",
    lane_group: int = 4,
    weight_bits: Union[int, Mapping[str, int]] = 8,
    activation_bits: int = 8,
    input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
    labels: Optional[Sequence[str]] = None,
    golden_seeds: Sequence[int] = DEFAULT_GOLDEN_SEEDS,
    progress: Optional[Progress] = None,
    plan: Optional[Union[Plan, str, os.PathLike[str]]] = None,
    cache: Optional[Union[str, os.PathLike[str]]] = None,
    encodings: Optional[Union[str, os.PathLike[str]]] = None,
    cut_weights: bool = False,
    storage: str = "raw",
    target_bytes: Optional[int] = None,
) -> ConversionReport:
    """Converts an ONNX or TFLite model to an `.ecv` file.

    model: path or bytes of an ONNX model, opset 9 or newer, or of a TFLite one, or an
        onnx.ModelProto.
    out: path of the file to write; it appears whole or not at all.
    calibration: a folder of pictures (with ``preprocess``), a .npz/.npy file, or an iterable of f32
        arrays in the model's input shape. Without it the file is fp32, but for a model that is
        quantized already: its own parameters are kept (docs/quantized-models.md), and calibration
        only serves what has none.
    preprocess: how a picture becomes the model's input (Preprocess or its text form); stored in
        the file.
    method: how ranges come from what calibration saw: "minmax", "percentile", "kl" or "mse" for all
        activations, or "auto" (the default): "mse" for sums that nothing clamps, "minmax" else.
    keep_float: node names (wildcards allowed) or ops that stay fp32 in an int8 file.
    percent: for "percentile", the share of values in percent that the range covers.
    weights: "lane-safe" (the default) chooses integer weights whose sums of ``lane_group`` products
        are exact in 16-bit lanes, which the fastest kernels need; "plain" rounds to nearest.
    lane_group: 2, 4 or 8. A layer takes a smaller group only when a larger one costs it too much
        (docs/quantization.md); the report names it.
    weight_bits: 8 to 4, for all layers but depthwise ones; or rule -> bits, with rules as in
        keep_float (the later wins), where the rule "" is all layers but depthwise ones.
    activation_bits: 8, or 7 for activations that use half of their steps: less precise, faster.
    input_shapes: input name -> shape, for models with symbolic dims (a symbolic batch becomes 1).
    labels: class names, stored in the file.
    golden_seeds: seeds of the generated inputs whose digests `edgecv verify` checks on the device.
    progress: called as progress(what, done, total) during long work.
    plan: a plan file, as `edgecv doctor` writes it (docs/doctor.md), in place of all options from
        ``method`` to ``activation_bits``. One made for another model is refused, and one for a
        model that is quantized already, unless it says no more than method, percent and keep_float.
    cache: a folder that keeps rounded weights, so that the same layers are not rounded again.
    storage: "raw", or "smallest" for constants coded without loss where these are smaller: loading
        then decodes them (docs/format.md). Files with coded constants need edgecv of format 1.1.
    target_bytes: how large an int8 file may be at most. Weights get as coarse as that takes, each
        layer by how much it harms, and ``storage`` is "smallest".
    encodings: a file of encodings that AIMET wrote beside a float model; the model is then one that
        is quantized already.
    cut_weights: integer weights of -128 that a quantized model brings become -127 where they would
        be multiplied in two parts: faster, and the report says by how much outputs can move.

    Raises UnsupportedModelError listing every node that cannot be converted, CalibrationError for
    unusable data, Error for an unreadable model.
    """
    if isinstance(preprocess, str):
        preprocess = Preprocess.parse(preprocess)
    if isinstance(model, (bytearray, memoryview)):
        model = bytes(model)
    given = _options(method, keep_float, percent, weights, lane_group, weight_bits, activation_bits)
    if plan is not None:
        if given != Plan():
            raise Error("a plan holds all options of int8: give either a plan or such options")
        given = plan.check() if isinstance(plan, Plan) else load_plan(Path(plan))
    target = check_target(Path(out), model)
    graph = import_model(model, input_shapes=input_shapes, encodings=encodings)
    if given.fingerprint:
        given.check_model(fingerprint(graph), source_name(model))
    graph = pipeline.declutter(graph)
    zeros = patterns_of(graph)
    is_imported = is_quantized(graph)
    options = replace(given, keep_float=()) if is_imported else given
    if calibration is None and (plan is not None or options != Plan()):
        what = "a plan is" if plan is not None else "options of int8 are"
        raise CalibrationError(f"{what} for int8 files: give calibration data")
    if is_imported:
        check_options(given, source_name(model))
    elif cut_weights:
        raise Error("cut_weights is for models that are quantized already")
    kept: List[str] = []
    imported: Optional[ImportedModel] = None
    layers: List[LayerWeights] = []
    data = None
    if calibration is not None:
        data = CalibrationSet(calibration, graph.inputs, preprocess)
    prep = _preprocess_fields(graph, preprocess)
    meta = _meta(model, labels)
    if plan is not None:
        meta["plan"] = given.digest() if isinstance(plan, Plan) else plan_name(plan, given)
    if storage not in STORAGE:
        raise Error(f"storage is {storage!r}: it takes {' or '.join(map(repr, STORAGE))}")
    if target_bytes is not None and (is_imported or data is None):
        raise Error("target_bytes chooses integer weights: it needs a float model and calibration")
    if is_imported:
        imported = quantize_imported(graph, data, given, progress, cut_weights)
        lowered, layers, kept = imported.graph, imported.layers, imported.kept
    elif data is not None:
        calibrated = CalibratedModel(graph, data, progress, _memo(cache))
        if target_bytes is None:
            made = calibrated.quantize(given)
        else:
            storage = "smallest"

            def size_of(graph: Graph) -> int:
                size = len(write(graph, meta=meta, preprocess=prep, storage=storage))
                # A digest of 120 bytes an op for each seed, and of each op alone.
                return size + (len(golden_seeds) + 1) * (32 + 120 * len(graph.nodes)) + 128

            made = fit(calibrated, given, target_bytes, size_of, progress)
        lowered, layers, kept = made.graph, made.layers, made.kept
    else:
        lowered = pipeline.lower(graph)
    plain = write(lowered, meta=meta, preprocess=prep)
    goldens = golden_records(lowered, plain, golden_seeds)
    stored: Dict[str, Tuple[int, str]] = {}
    blob = write(
        lowered, meta=meta, preprocess=prep, goldens=goldens, storage=storage, stored=stored
    )
    with load(blob, threads=1) as check:
        arena = check.arena_bytes
        sparse = {step.name for step in check.steps if "_sparse_" in step.kernel}
    _write_whole(target, blob)
    report = _report(model, Path(out), blob, lowered, arena, layers, kept, data, given, stored)
    if imported is not None:
        report = of_imported(report, imported)
    for layer in report.layers:
        if layer.name in zeros:
            found = zeros[layer.name]
            in_file = "file 0%"
            if layer.stored_bits is not None:
                in_file = f"{layer.stored_bits:.1f} bits a weight in the file"
            layer.note = f"{found}: kept dense, {in_file}, time 0"
            if layer.name in sparse:
                layer.note = f"{found}: sparse kernel"
                if found.gain is not None:
                    layer.note += f", about {max(found.gain, 1.0):.1f} times as fast"
    return replace(report, plan=meta.get("plan"))


def _options(
    method: str,
    keep_float: Sequence[str],
    percent: float,
    weights: str,
    lane_group: int,
    weight_bits: Union[int, Mapping[str, int]],
    activation_bits: int,
) -> Plan:
    """The checked options as a plan."""
    uniform, rules = weight_bits, {}
    if not isinstance(uniform, int):
        rules = {rule: LayerPlan(weight_bits=bits) for rule, bits in uniform.items() if rule}
        uniform = uniform.get("", 8)
    keep = (keep_float,) if isinstance(keep_float, str) else tuple(keep_float)
    plan = Plan(
        method,
        percent,
        weights,
        lane_group,
        uniform,
        activation_bits,
        keep_float=keep,
        layers=rules,
    )
    return plan.check()


def _memo(cache: Optional[Union[str, os.PathLike[str]]]) -> Optional[RoundingMemo]:
    if cache is None:
        return None
    if not Path(cache).is_dir():
        raise Error(f"{cache}: no such folder to keep rounded weights in")
    return RoundingMemo(Path(cache))


def plan_name(path: Union[str, os.PathLike[str]], plan: Plan) -> str:
    """How a file tells which plan made it: the name of the plan file and a digest of the plan."""
    return f"{Path(path).name} {plan.digest()}"


def _preprocess_fields(graph: Graph, preprocess: Optional[Preprocess]) -> Dict[str, Dict[str, Any]]:
    """PREP fields for the image input; refuses a recipe whose pixels do not fit the input."""
    if preprocess is None:
        return {}
    images = [port for port in graph.inputs if len(port.shape) == 4 and port.shape[1] in (1, 3)]
    if len(images) != 1:
        raise Error(
            "preprocess needs exactly one input of shape [N, 3 or 1, H, W]; the model has "
            + ", ".join(f"{port.name} {list(port.shape)}" for port in graph.inputs)
        )
    port = images[0]
    size = preprocess.output_size
    wanted = (port.shape[3], port.shape[2])
    if size != wanted:
        made = "pixels of no fixed size" if size is None else f"{size[0]}x{size[1]} pixels"
        raise Error(
            f"pre-processing makes {made}, the input {port.name!r} takes {wanted[0]}x{wanted[1]} "
            f"(width x height): set crop={wanted[0]}x{wanted[1]}, or resize to that size"
        )
    if preprocess.channels != port.shape[1]:
        raise Error(
            f"pre-processing makes {preprocess.channels} channels, the input {port.name!r} takes "
            f"{port.shape[1]}"
        )
    return {port.name: _record(preprocess)}


def _record(preprocess: Preprocess) -> Dict[str, Any]:
    """The fields of the file's PREP record, whose arrays have four entries."""
    spec = preprocess.to_spec()
    names = ("resize_mode", "interpolation", "antialias", "resize_width", "resize_height",
             "crop_width", "crop_height", "color_order")  # fmt: skip
    fields: Dict[str, Any] = dict(zip(names, spec))
    fields["mean"] = [*spec[8:11], 0.0]
    fields["std"] = [*spec[11:14], 1.0]
    fields["fill"] = [*spec[14:17], 0]
    return fields


def _meta(model: Any, labels: Optional[Sequence[str]]) -> Dict[str, str]:
    from edgecv import __version__

    meta = {"producer": f"edgecv {__version__}", "source": source_name(model)}
    if labels is not None:
        if any("\n" in label for label in labels):
            raise InputError("a label holds a line break")
        meta["labels"] = "\n".join(labels)
    return meta


def source_name(model: Any) -> str:
    """The name of a model's file, without folders."""
    return Path(model).name if isinstance(model, (str, os.PathLike)) else "onnx"


def _source_bytes(model: Any) -> int:
    if isinstance(model, (str, os.PathLike)):
        return os.path.getsize(model)
    return len(model) if isinstance(model, bytes) else int(model.ByteSize())


def check_target(out: Path, model: Any) -> Path:
    """The file to write, behind symbolic links; refuses what a rename would destroy."""
    target = Path(os.path.realpath(out))
    if target.exists() and not target.is_file():
        raise Error(f"{out}: is a folder or a device, give the name of a file to write")
    if not target.parent.is_dir():
        raise Error(f"{out}: cannot write here (no such folder: {target.parent})")
    same = isinstance(model, (str, os.PathLike)) and os.path.exists(model) and target.exists()
    if same and os.path.samefile(target, model):
        raise Error(f"{out}: is the model itself, give another name for the .ecv file")
    return target


def _write_whole(path: Path, blob: bytes) -> None:
    """Writes next to the target and renames, so that a failure leaves no partial file."""
    try:
        handle, name = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=str(path.parent))
    except OSError as cause:
        raise Error(f"{path}: cannot write here ({cause.strerror})") from cause
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(blob)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def node_macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of one run of a lowered node."""
    out = int(np.prod(graph.values[node.outputs[0]].shape))
    if node.op in ("Conv2d", "FullyConnected"):
        return out * int(np.prod(graph.values[node.inputs[1]].shape[1:]))
    if node.op == "ConvTranspose2d":
        weights = graph.values[node.inputs[1]].shape
        pixels = int(np.prod(graph.values[node.inputs[0]].shape[:3]))
        return pixels * int(np.prod(weights))
    if node.op == "MatMul":
        return out * graph.values[node.inputs[0]].shape[-1]
    return 0


def _report(
    model: Any,
    path: Path,
    blob: bytes,
    graph: Graph,
    arena: int,
    weighted: Sequence[LayerWeights],
    kept: List[str],
    data: Optional[CalibrationSet],
    plan: Plan,
    stored: Mapping[str, Tuple[int, str]],
) -> ConversionReport:
    by_node = {layer.node: layer for layer in weighted}
    layers = []
    for node in graph.nodes:
        y = graph.values[node.outputs[0]]
        constants = [value for value in graph.inputs_of(node) if value.data is not None]
        size, coding = stored[constants[0].name] if constants else (0, "")
        elements = int(np.prod(constants[0].shape)) if constants else 1
        chosen = by_node.get(node.name)
        layers.append(
            LayerReport(
                node.name, node.op, y.dtype, y.shape, node_macs(graph, node),
                sum(stored[value.name][0] for value in constants),
                chosen.sqnr_db if chosen else None,
                chosen.bits if chosen else None,
                chosen.group if chosen else None,
                chosen.depthwise if chosen else False,
                coding=coding,
                stored_bits=8.0 * size / elements if coding else None,
            )
        )  # fmt: skip
    is_int8 = data is not None
    warnings = []
    if is_int8 and len(data or ()) < 16:
        warnings.append(
            f"only {len(data or ())} calibration samples: ranges may miss what the camera "
            "will show; 64 or more are usual"
        )
    return ConversionReport(
        path=str(path),
        source=source_name(model),
        source_bytes=_source_bytes(model),
        file_bytes=len(blob),
        sha256=hashlib.sha256(blob).hexdigest(),
        precision="int8" if is_int8 else "fp32",
        method=plan.method if is_int8 else None,
        samples=len(data) if data is not None else 0,
        arena_bytes=arena,
        macs=sum(layer.macs for layer in layers),
        weights=plan.weights if is_int8 else None,
        wanted_group=plan.lane_group if is_int8 and plan.weights == "lane-safe" else None,
        activation_bits=plan.activation_bits if is_int8 else None,
        layers=layers,
        float_layers=kept,
        warnings=warnings,
    )
