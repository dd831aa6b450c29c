"""Turns a model that came in quantized into int8, with the parameters it brings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Optional

from edgecv.errors import Error
from edgecv.graph.ir import Graph
from edgecv.graph.passes import pipeline
from edgecv.graph.passes.quantize import LayerWeights, QuantizePass
from edgecv.graph.passes.settle import WEIGHTED, settle
from edgecv.quant.calibration import calibrate
from edgecv.quant.data import CalibrationSet
from edgecv.quant.plan import Plan
from edgecv.quant.precision import matching_nodes
from edgecv.quant.progress import Progress
from edgecv.quant.ranges import Range
from edgecv.report import ConversionReport


@dataclass
class ImportedModel:
    """The lowered graph with its integers, how the weights of layers came to be, the names of the
    nodes that are f32, what could not be taken over as it was, and warnings.
    """

    graph: Graph
    layers: List[LayerWeights]
    kept: List[str]
    remarks: List[str]
    warnings: List[str]


def check_options(plan: Plan, source: str) -> None:
    """Raises Error when a plan says more than what a quantized model leaves open."""
    left = Plan(plan.method, plan.percent, keep_float=plan.keep_float)
    if replace(plan, model="", fingerprint="") != left:
        raise Error(
            f"{source} is quantized already, and its own parameters are kept: it takes method, "
            "percent and keep_float, no other option of int8"
        )


def quantize_imported(
    graph: Graph,
    data: Optional[CalibrationSet] = None,
    plan: Optional[Plan] = None,
    progress: Optional[Progress] = None,
    cut_weights: bool = False,
) -> ImportedModel:
    """Quantizes a decluttered graph for which ``is_quantized`` holds.

    data: for the ranges of what has no parameters; without it that stays f32.
    plan: whose ``keep_float``, ``method`` ("auto" is minmax) and ``percent`` hold.
    cut_weights: weights of -128 become -127, so that no layer reads its input twice for their sake.
    """
    ranges: Optional[Dict[str, Range]] = None
    plan = plan or Plan()
    if data is not None:
        method = "minmax" if plan.method == "auto" else plan.method
        ranges = calibrate(graph, data, method, percent=plan.percent, progress=progress)
    lowered = pipeline.lower(graph)
    chosen = set()
    for rule in plan.keep_float:
        chosen |= matching_nodes(lowered, rule, "keep_float")
    chosen = settle(lowered, chosen, ranges)
    quantizer = QuantizePass(ranges or {}, chosen, progress=progress, cut_weights=cut_weights)
    lowered = quantizer.run(lowered)
    kept = [node.name for node in lowered.nodes if node.name in chosen]
    remarks = list(dict.fromkeys(lowered.remarks))
    layers = [node.name for node in lowered.nodes if node.name in chosen and node.op in WEIGHTED]
    if layers and data is None and not plan.keep_float:
        remarks.append(
            f"{len(layers)} layers stay f32, since their weights, or what they read or write, have "
            "no parameters of at most 8 bits in the model; with calibration data they become int8"
        )
    warnings = []
    if quantizer.split:
        named = ", ".join(quantizer.split[:4]) + (", ..." if len(quantizer.split) > 4 else "")
        warnings.append(
            f"{len(quantizer.split)} layers have weights beyond [-127, 127] and read their input "
            f"twice: exact, but slower ({named}); with cut_weights "
            "(--cut-weights) -128 becomes -127 instead"
        )
    return ImportedModel(lowered, quantizer.layers, kept, remarks, warnings)


def of_imported(report: ConversionReport, model: ImportedModel) -> ConversionReport:
    """The report of an imported model: nothing was chosen but what the remarks tell."""
    is_int8 = any(layer.dtype == "s8" for layer in report.layers)
    layers = [
        replace(layer, sqnr_db=None if layer.sqnr_db == float("inf") else layer.sqnr_db)
        for layer in report.layers
    ]
    return replace(
        report,
        layers=layers,
        precision="int8" if is_int8 else "fp32",
        weights=None,
        wanted_group=None,
        activation_bits=None,
        parameters="from the model",
        remarks=model.remarks,
        warnings=[*report.warnings, *model.warnings],
    )
