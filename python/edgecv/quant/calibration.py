"""Runs the float model over calibration data and returns the range of every activation."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional

from edgecv.errors import CalibrationError
from edgecv.graph.ir import Graph
from edgecv.quant.data import CalibrationSet, Sample, check_varied
from edgecv.quant.progress import Progress
from edgecv.quant.ranges import METHODS, Range, Statistics, needs_histogram


class _Observer:
    """onnxruntime on a decluttered graph, with every f32 activation as an output."""

    def __init__(self, graph: Graph) -> None:
        import onnxruntime

        from edgecv.onnx.exporter import export

        inputs = {port.value for port in graph.inputs}
        produced = [name for node in graph.nodes for name in node.outputs if name]
        self.names: List[str] = [
            name
            for name in dict.fromkeys(produced)
            if graph.values[name].dtype == "f32" and not graph.values[name].is_constant
        ]
        self._inputs = {port.name: port.value for port in graph.inputs}
        self.input_names = [name for name in inputs if graph.values[name].dtype == "f32"]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        model = export(graph, outputs=self.names)
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, sample: Sample) -> Iterable[Any]:
        feed = {self._inputs[name]: array for name, array in sample.items()}
        yield from feed.items()
        if self.names:  # a net may have no f32 activation but its inputs
            yield from zip(self.names, self._session.run(self.names, feed))


def calibrate(
    graph: Graph,
    data: CalibrationSet,
    method: str = "minmax",
    *,
    percent: float = 99.99,
    progress: Optional[Progress] = None,
) -> Dict[str, Range]:
    """The range (low, high), in real units, of every f32 activation of a decluttered graph, by
    value name.

    Raises CalibrationError when an activation becomes NaN or infinite, naming it.
    """
    if method not in METHODS:
        raise CalibrationError(
            f"unknown calibration method {method!r}: choose one of {', '.join(METHODS)}"
        )
    if not 50.0 < percent <= 100.0:
        raise CalibrationError(f"percent is {percent}: it takes more than 50, at most 100")
    statistics = observe(graph, data, needs_histogram(method), progress)
    return {name: choose_range(stats, method, percent) for name, stats in statistics.items()}


def choose_range(stats: Statistics, method: str, percent: float) -> Range:
    """The range of one activation by a method."""
    choose = METHODS[method]
    return choose(stats, percent) if method == "percentile" else choose(stats)


def observe(
    graph: Graph, data: CalibrationSet, histograms: bool, progress: Optional[Progress] = None
) -> Dict[str, Statistics]:
    """What every f32 activation of a decluttered graph is over the data, by value name.

    Raises CalibrationError when an activation becomes NaN or infinite, naming it, or
    when the data hold one value alone.
    """
    observer = _Observer(graph)
    statistics: Dict[str, Statistics] = {}
    passes = 2 if histograms else 1
    done, total = 0, passes * len(data)
    for number in range(passes):
        for sample in data:
            for name, array in observer.run(sample):
                stats = statistics.setdefault(name, Statistics())
                if number == 1:
                    stats.see_values(array)
                elif not stats.see_range(array):
                    raise CalibrationError(
                        f"calibration sample {done}: the activation {name!r} holds a NaN or "
                        "an infinity"
                    )
            done += 1
            if progress is not None:
                progress("calibrate", done, total)
        if number == 0 and observer.input_names:
            check_varied((statistics[n].low, statistics[n].high) for n in observer.input_names)
    return statistics
