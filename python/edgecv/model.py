"""Loading and running ``.ecv`` files. Needs numpy alone."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from edgecv import _core
from edgecv.errors import FormatError, InputError, InputTypeError, StateError
from edgecv.frames import Frame
from edgecv.infos import (
    DTYPES,
    OpInfo,
    StepInfo,
    TensorInfo,
    VerifyReport,
    make_inputs,
    make_picture,
    shape_text,
    tensor_info,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecv.preprocess import Preprocess

    Array = NDArray[Any]
    Source = Union[str, os.PathLike[str], bytes, bytearray, memoryview, int]
    Feed = Union[Array, Mapping[str, Array]]

_CHAINS = {"auto": 1, "off": 2, "all": 3}


def load(
    source: Source,
    *,
    threads: Optional[int] = None,
    isa: Optional[str] = None,
    chains: Optional[str] = None,
) -> Model:
    """Load an ``.ecv`` file from a path, its bytes or an open file descriptor (which stays open).

    threads: of one run; None: all CPUs this process may use.
    isa: use kernels up to this instruction set ("reference", "avx2", ...); None: what the
        environment variable EDGECV_FORCE_ISA says, or the best of this CPU.
    chains: run consecutive layers a stripe of rows at a time where that is faster ("auto"), nowhere
        ("off") or wherever it is possible ("all"); None: what the environment variable
        EDGECV_CHAINS says, or "auto". Results are the same bits.

    A path is mapped, not read: to replace the file while a model is loaded, rename a new one over
    it; never write into it.

    Raises FormatError for a file that is damaged or none, FileError when it cannot be read,
    InputError for wrong ``threads`` or ``chains`` or an unknown or absent ``isa``.
    """
    return Model(source, threads=threads, isa=isa, chains=chains)


class Model:
    """A loaded model; made by :func:`load`. Threads may share it. A context manager: or close() it.

    Results are the same bits on every CPU and for every number of threads, up to the first float
    op.
    """

    def __init__(
        self,
        source: Source,
        *,
        threads: Optional[int] = None,
        isa: Optional[str] = None,
        chains: Optional[str] = None,
    ) -> None:
        core = _load(source, threads, isa, chains)
        self._core: Optional[_core.Model] = core
        self._lock = threading.Lock()
        self._free: List[_core.Session] = []
        self._info = core.info()
        self._ports = core.ports(True)
        self._inputs = tuple(tensor_info(port) for port in self._ports)
        self._outputs = tuple(tensor_info(port) for port in core.ports(False))
        self._meta = core.meta()

    @property
    def inputs(self) -> Tuple[TensorInfo, ...]:
        """The graph's inputs, in the order of the ONNX graph."""
        return self._inputs

    @property
    def outputs(self) -> Tuple[TensorInfo, ...]:
        """The graph's outputs, in the order of the ONNX graph."""
        return self._outputs

    @property
    def name(self) -> str:
        """The graph's name."""
        return self._meta.get("name", "")

    @property
    def meta(self) -> Dict[str, str]:
        """What the file says about itself (docs/format.md, META)."""
        return dict(self._meta)

    @property
    def labels(self) -> Optional[List[str]]:
        """Class names in order, or None when the file holds none."""
        labels = self._meta.get("labels")
        return None if labels is None else labels.split("\n")

    @property
    def preprocess(self) -> Optional[Preprocess]:
        """How a picture becomes the first input, or None when the file does not say."""
        from edgecv.preprocess import Preprocess

        index = self._ports[0]["preprocess"]
        return None if index < 0 else Preprocess.from_spec(self._open().preprocess(index))

    @property
    def threads(self) -> int:
        """Threads of one run."""
        return int(self._info["threads"])

    @property
    def isa(self) -> str:
        """The instruction set kernels were chosen for."""
        return str(self._info["isa"])

    @property
    def arena_bytes(self) -> int:
        """Memory for the activations of one run."""
        return int(self._info["arena_bytes"])

    @property
    def info(self) -> Dict[str, Any]:
        """Sizes and counts of the plan: file_bytes, packed_bytes, scratch_bytes, macs, ..."""
        return dict(self._info)

    @property
    def steps(self) -> List[StepInfo]:
        """The plan: one entry a kernel call, in order."""
        core = self._open()
        result = []
        for index in range(self._info["steps"]):
            step = core.step(index)
            op = core.op(step["op"])
            result.append(
                StepInfo(
                    name=op["name"],
                    op=op["code"],
                    kernel=step["kernel"],
                    family=step["family"],
                    isa=step["isa"],
                    shape=core.tensor(step["output"])["shape"],
                    macs=step["macs"],
                    packed_bytes=step["packed_bytes"],
                    scratch_bytes=step["scratch_bytes"],
                    parallel=step["parallel"],
                    chain=step["chain"],
                )
            )
        return result

    @property
    def ops(self) -> List[OpInfo]:
        """The ops of the file, in the order they run."""
        core = self._open()
        tensors = [core.tensor(i) for i in range(self._info["tensors"])]
        result = []
        for index in range(self._info["ops"]):
            op = core.op(index)
            output = tensors[op["output"]]
            result.append(
                OpInfo(
                    name=op["name"],
                    op=op["code"],
                    inputs=tuple(None if i is None else tensors[i]["name"] for i in op["inputs"]),
                    output=output["name"],
                    shape=output["shape"],
                    dtype=DTYPES[output["dtype"]],
                    steps=tuple(range(op["first_step"], op["first_step"] + op["steps"])),
                    macs=op["macs"],
                )
            )
        return result

    def run(self, x: Feed, *, raw: bool = False) -> Dict[str, Array]:
        """Run once: one array for a model with one input, or a dict by input name.

        Arrays are float of ``TensorInfo.shape``; outputs are float32 likewise (int32 where the
        model gives indices). With ``raw``, inputs of the stored dtype have ``raw_shape`` (int8
        inputs may still be float of ``shape``), and outputs come as stored, in ``raw_shape``.

        Raises InputError for a wrong name, shape, dtype or a NaN, naming what was expected.
        """
        arrays = make_inputs(self._inputs, x, raw)
        with self._session() as session:
            for index, (array, is_raw) in enumerate(arrays):
                session.set_input(index, array, is_raw)
            session.run()
            return self._collect(session, raw)

    def run_image(self, image: Any, *, raw: bool = False) -> Dict[str, Array]:
        """Run on a picture, or a list with one a batch entry, through the stored pre-processing.

        image: a path (needs Pillow), an array of shape [height, width, 3], RGB, uint8, or a
        camera frame (``edgecv.Frame``).
        """
        index = self._image_input()
        batch = self._ports[index]["stored_shape"][0]
        images = list(image) if isinstance(image, (list, tuple)) else [image]
        if len(images) != batch:
            raise InputError(
                f"input {self._inputs[index].name!r} takes {batch} picture(s) a run, "
                f"not {len(images)}"
            )
        pictures = [one if isinstance(one, Frame) else make_picture(one) for one in images]
        with self._session() as session:
            for i, picture in enumerate(pictures):
                if isinstance(picture, Frame):
                    session.set_frame(index, i, picture.to_core())
                else:
                    session.set_image(index, i, picture)
            session.run()
            return self._collect(session, raw)

    def preprocess_image(self, image: Any) -> NDArray[np.float32]:
        """Return what ``run`` takes for a picture: float32 of the input's shape.

        image: as ``run_image``.
        """
        from edgecv.preprocess import Preprocess

        index = self._image_input()
        pre = Preprocess.from_spec(self._open().preprocess(self._ports[index]["preprocess"]))
        images = list(image) if isinstance(image, (list, tuple)) else [image]
        stored = np.stack(
            [pre.apply(one if isinstance(one, Frame) else make_picture(one)) for one in images]
        )
        info = self._inputs[index]
        if stored.shape != info.raw_shape:
            raise InputError(
                f"input {info.name!r} takes {shape_text(info.raw_shape)}, "
                f"the pictures give {shape_text(stored.shape)}"
            )
        return np.ascontiguousarray(stored.transpose(info.perm))

    def example_inputs(self, seed: int = 0) -> Dict[str, NDArray[Any]]:
        """Random inputs for ``run``: the whole range of int8 inputs, [-1, 1) for float ones."""
        random = np.random.default_rng(seed)
        feed: Dict[str, NDArray[Any]] = {}
        for info in self._inputs:
            if info.dtype == np.int32:
                feed[info.name] = np.zeros(info.shape, np.int32)
            elif info.quantization is None:
                feed[info.name] = random.uniform(-1, 1, info.shape).astype(np.float32)
            else:
                q = random.integers(-128, 128, info.shape)
                real = (q - info.quantization.zero_point) * np.float32(info.quantization.scale)
                feed[info.name] = real.astype(np.float32)
        return feed

    def verify(self) -> VerifyReport:
        """Run the golden inputs stored in the file and compare the digest of every op."""
        report = self._open().verify()
        return VerifyReport(
            passed=report["failed"] == 0 and report["digests"] > 0,
            goldens=report["goldens"],
            digests=report["digests"],
            failed=report["failed"],
            op=report["name"],
            kernel=report["kernel"],
            message=report["text"],
        )

    def trace(self, x: Feed, *, raw: bool = False) -> Dict[str, Array]:
        """Run once and return every activation by tensor name, in the stored layout.

        int8 values are dequantized to float32 unless ``raw``, which changes inputs as in ``run``.
        """
        core = self._open()
        arrays = make_inputs(self._inputs, x, raw)
        session = _core.Session(core, True)
        for index, (array, is_raw) in enumerate(arrays):
            session.set_input(index, array, is_raw)
        inputs, outputs = session.run_traced()
        ids = [port["tensor"] for port in self._ports]
        ids += [core.op(index)["output"] for index in range(self._info["ops"])]
        result: Dict[str, Array] = {}
        for tensor_id, array in zip(ids, [*inputs, *outputs]):
            tensor = core.tensor(tensor_id)
            if array.dtype == np.int8 and not raw:
                centred = array.astype(np.int32) - tensor["zero_point"]
                array = centred.astype(np.float32) * np.float32(tensor["scale"])
            result[tensor["name"]] = array
        return result

    def profile(self, x: Feed, runs: int = 20) -> List[StepInfo]:
        """Return the steps with the median of their times over ``runs`` runs, after one more."""
        if runs < 1:
            raise InputError(f"runs is {runs}: it takes at least 1")
        arrays = make_inputs(self._inputs, x, False)
        times: List[Sequence[int]] = []
        with self._session() as session:
            session.set_timing(True)
            try:
                for _ in range(runs + 1):
                    for index, (array, is_raw) in enumerate(arrays):
                        session.set_input(index, array, is_raw)
                    session.run()
                    times.append(session.step_times())
            finally:
                session.set_timing(False)
        medians = [float(np.median(step)) / 1e6 for step in zip(*times[1:])]
        return [replace(step, milliseconds=ms) for step, ms in zip(self.steps, medians)]

    def close(self) -> None:
        """Give the memory back; runs under way finish first. Afterwards only the properties of the
        graph work.
        """
        with self._lock:
            self._core = None
            self._free.clear()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Model cannot be pickled or copied: load the file in each process")

    def __repr__(self) -> str:
        state = ", closed" if self._core is None else ""
        return f"<edgecv.Model {self.name!r}, {self._info['ops']} ops, {self.isa}{state}>"

    def _open(self) -> _core.Model:
        core = self._core
        if core is None:
            raise StateError("the model is closed")
        return core

    @contextmanager
    def _session(self) -> Iterator[_core.Session]:
        """A session of one's own: a free one, or one more."""
        core = self._open()
        with self._lock:
            session = self._free.pop() if self._free else None
        if session is None:
            session = _core.Session(core, False)
        try:
            yield session
        finally:
            with self._lock:
                if self._core is not None:
                    self._free.append(session)

    def _collect(self, session: _core.Session, raw: bool) -> Dict[str, Array]:
        return {info.name: session.get_output(i, raw) for i, info in enumerate(self._outputs)}

    def _image_input(self) -> int:
        if len(self._inputs) != 1:
            raise StateError(
                f"the model has {len(self._inputs)} inputs: run_image needs exactly one"
            )
        if self._ports[0]["preprocess"] < 0:
            raise StateError(
                f"the file holds no pre-processing for input {self._inputs[0].name!r}: "
                "convert with preprocess=..., or call run()"
            )
        return 0


def _load(
    source: Source, threads: Optional[int], isa: Optional[str], chains: Optional[str]
) -> _core.Model:
    if threads is not None and (
        isinstance(threads, bool) or not isinstance(threads, int) or threads < 1
    ):
        raise InputError(f"threads is {threads!r}: it takes a number of at least 1, or None")
    if chains is not None and chains not in _CHAINS:
        raise InputError(f"chains is {chains!r}: it takes {', '.join(map(repr, _CHAINS))} or None")
    count = min(threads or 0, 1 << 16)
    mode = 0 if chains is None else _CHAINS[chains]
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _core.Model.load_bytes(source, count, isa, False, mode)
    if isinstance(source, int) and not isinstance(source, bool):
        return _core.Model.load_fd(source, count, isa, False, mode)
    if isinstance(source, (str, os.PathLike)):
        path = os.fsencode(source)
        if b"\0" in path:
            raise InputError("the path holds a NUL character")
        try:
            return _core.Model.load_path(path, count, isa, False, mode)
        except FormatError as error:
            raise FormatError(f"{os.fspath(source)}: {error}", error.status) from None
    raise InputTypeError(
        f"a model is loaded from a path, bytes or a file descriptor, not {type(source).__name__}"
    )
