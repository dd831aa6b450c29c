"""Calibration data: a folder of pictures, a .npz/.npy file, or an iterable of arrays, as model
inputs one at a time.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import CalibrationError
from edgecv.graph.ir import Port
from edgecv.preprocess import Preprocess

Sample = Dict[str, NDArray[np.float32]]
Source = Union[str, "os.PathLike[str]", Iterable[Any]]


class CalibrationSet:
    """A re-iterable list of samples, each a dict of f32 arrays in the model's own (ONNX) shapes.

    ``source`` is a folder of pictures (needs ``preprocess``), a ``.npy`` file holding one array
    with samples along axis 0, a ``.npz`` with one array an input, or an iterable of arrays or dicts
    of arrays. Arrays may hold several samples along axis 0; they are split to the model's batch
    size, a rest being dropped only when it does not fill a batch.

    Raises CalibrationError for missing or empty sources and wrong shapes, naming what was expected.
    """

    def __init__(
        self, source: Source, ports: Sequence[Port], preprocess: Optional[Preprocess]
    ) -> None:
        self._ports = list(ports)
        self._preprocess = preprocess
        self._files: List[Path] = []
        self._samples: List[Sample] = []
        if isinstance(source, (str, os.PathLike)):
            self._open(Path(source))
        elif isinstance(source, np.ndarray):
            self._add(source, "the array")
        elif not isinstance(source, Iterable):
            raise CalibrationError(
                "calibration data are a folder, a .npz or .npy file or arrays, "
                f"not {type(source).__name__}"
            )
        else:
            for i, item in enumerate(source):
                self._add(item, f"item {i}")
        if len(self) == 0:
            raise CalibrationError("the calibration data are empty: no sample was found")

    def __len__(self) -> int:
        return len(self._files) // self._batch() if self._files else len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        if not self._files:
            yield from self._samples
            return
        from edgecv.images import read_image

        assert self._preprocess is not None
        port, batch = self._ports[0], self._batch()
        for start in range(0, len(self) * batch, batch):
            images = []
            for path in self._files[start : start + batch]:
                planes = self._preprocess.apply(read_image(path))  # HWC f32
                images.append(np.ascontiguousarray(planes.transpose(2, 0, 1)))
            sample = np.stack(images)
            if sample.shape != port.shape:
                raise CalibrationError(
                    f"pre-processing gives shape {sample.shape}, the input {port.name!r} is "
                    f"{port.shape}: set resize and crop to the model's input size"
                )
            yield {port.name: sample}

    def _batch(self) -> int:
        return self._ports[0].shape[0]

    def _open(self, path: Path) -> None:
        if path.is_dir():
            self._open_folder(path)
        elif not path.exists():
            raise CalibrationError(f"{path}: no such file or folder of calibration data")
        elif path.suffix == ".npz":
            try:
                with np.load(path, allow_pickle=False) as archive:
                    arrays = {name: archive[name] for name in archive.files}
            except Exception as cause:
                raise CalibrationError(f"{path}: not a readable .npz file ({cause})") from cause
            if len(arrays) == 1 and len(self._ports) == 1:
                self._add(next(iter(arrays.values())), str(path))
            else:
                self._add(arrays, str(path))
        elif path.suffix == ".npy":
            try:
                array = np.load(path, allow_pickle=False)
            except Exception as cause:
                raise CalibrationError(f"{path}: not a readable .npy file ({cause})") from cause
            self._add(array, str(path))
        else:
            raise CalibrationError(
                f"{path}: calibration data are a folder of pictures, a .npz or a .npy file"
            )

    def _open_folder(self, path: Path) -> None:
        from edgecv.images import list_images

        if self._preprocess is None:
            raise CalibrationError(
                f"{path} is a folder of pictures: say how to turn one into the model's input "
                "with preprocess= (--preprocess), for example resize=256,crop=224,mean=127,std=128"
            )
        if len(self._ports) != 1:
            raise CalibrationError(
                f"the model has {len(self._ports)} inputs: calibrate it from a .npz file with "
                "one array an input"
            )
        port = self._ports[0]
        if len(port.shape) != 4 or port.shape[1] not in (1, 3):
            raise CalibrationError(
                f"pictures need an input of shape [N, 3 or 1, H, W]; {port.name!r} is {port.shape}"
            )
        self._files = list_images(path)

    def _add(self, item: Any, where: str) -> None:
        arrays: Mapping[str, Any]
        if isinstance(item, Mapping):
            arrays = item
            names = {port.name for port in self._ports}
            if set(arrays) != names:
                raise CalibrationError(
                    f"{where}: the arrays are named {sorted(map(str, arrays))}, the model's inputs "
                    f"{sorted(names)}"
                )
        elif len(self._ports) == 1:
            arrays = {self._ports[0].name: item}
        else:
            raise CalibrationError(
                f"{where}: the model has {len(self._ports)} inputs, give a dict of arrays"
            )
        split = {port.name: self._split(arrays[port.name], port, where) for port in self._ports}
        counts = {len(parts) for parts in split.values()}
        if len(counts) != 1:
            raise CalibrationError(f"{where}: the inputs hold different numbers of samples")
        for i in range(counts.pop()):
            self._samples.append({name: parts[i] for name, parts in split.items()})

    def _split(self, data: Any, port: Port, where: str) -> List[NDArray[np.float32]]:
        try:
            array = np.asarray(data, dtype=np.float32)
        except (TypeError, ValueError) as cause:
            raise CalibrationError(f"{where}: not an array of numbers ({cause})") from cause
        if array.ndim == len(port.shape) - 1:
            array = array[None]
        if array.shape[1:] != port.shape[1:] or array.ndim != len(port.shape):
            raise CalibrationError(
                f"{where}: shape {array.shape} does not fit the input {port.name!r} of shape "
                f"{port.shape} (samples along axis 0)"
            )
        if not np.isfinite(array).all():
            raise CalibrationError(f"{where}: the calibration data hold a NaN or an infinity")
        batch = port.shape[0]
        if len(array) < batch:
            raise CalibrationError(f"{where}: {len(array)} samples do not fill a batch of {batch}")
        return [
            np.ascontiguousarray(array[i : i + batch])
            for i in range(0, len(array) - batch + 1, batch)
        ]


def check_varied(ranges: Iterable[Tuple[float, float]]) -> None:
    """Raises CalibrationError when inputs of those ranges, over all samples, hold one value alone:
    it would give every activation the range of nothing that the model was made for.
    """
    known = list(ranges)
    low, high = min(pair[0] for pair in known), max(pair[1] for pair in known)
    if low == high:
        raise CalibrationError(
            f"the calibration data are {low:g} everywhere: give samples like those that the model "
            "will see"
        )
