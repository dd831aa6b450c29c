"""Reads the encodings that AIMET writes beside a float ONNX model: JSON of versions 0.4 to 0.6.1,
1.0.0 and 2.0.0.

All versions become one form: integers of the signed type, so that unsigned ones lose half of their
range in integers and zero point alike, which changes no real value. 0.x and 1.x count integers from
0 and have an offset (real = scale * (q + offset)) whether or not they are symmetric.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, NoReturn, Optional, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import FormatError

Array = NDArray[Any]
EncodingsSource = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Encoding:
    """How a tensor is coded: real = scale * (q - zero), with q signed integers of ``bits``.

    ``scale`` and ``zero`` are of one shape: one number, one a channel, or, with ``block`` above 0,
    one a block on ``axis``. ``axis`` None: the output channels of the layer that reads it.
    """

    name: str
    bits: int
    scale: Array
    zero: Array
    axis: Optional[int] = None
    block: int = 0

    @property
    def bounds(self) -> Tuple[int, int]:
        """The least and the largest integer."""
        return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1


def read_encodings(path: EncodingsSource) -> List[Encoding]:
    """Returns the integer encodings of a file of up to 16 bits; others belong to biases (32 bits)
    or say that a tensor is float.

    Raises FormatError with one line for a file that is none, and for a scale or offset that means
    nothing, naming the tensor.
    """
    where = str(path)
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"{where}: {error.strerror or 'cannot be read'}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: is no encodings file: it is not JSON") from error
    return _Reader(where).read(data)


class _Reader:
    def __init__(self, where: str) -> None:
        self._where = where

    def read(self, data: Any) -> List[Encoding]:
        if not isinstance(data, dict):
            raise FormatError(f"{self._where}: is no encodings file: it is no JSON object")
        version = str(data.get("version", "0.4.0"))
        major = version.split(".")[0]
        if major not in ("0", "1", "2"):
            raise FormatError(
                f"{self._where}: has encodings of version {version}; 0.4 to 0.6.1, 1.0.0 and 2.0.0 "
                "are known"
            )
        parts = ("encodings",) if major == "2" else ("activation_encodings", "param_encodings")
        if not any(part in data for part in parts):
            raise FormatError(f"{self._where}: is no encodings file: it has no {parts[0]!r}")
        forms = {"0": self._listed, "1": self._counted, "2": self._typed}
        found: Dict[str, Encoding] = {}
        count = 0
        for part in parts:
            for name, entry in self._entries(data.get(part) or [], part, major):
                count += 1
                if name in found:
                    self._fail(name, "is there twice")
                try:
                    encoding = forms[major](name, entry)
                except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                    lost = f": {error.args[0]!r} is missing" if isinstance(error, KeyError) else ""
                    raise FormatError(
                        f"{self._where}: the encoding of {name!r} is not understood{lost}"
                    ) from error
                if encoding is not None:
                    found[name] = self._checked(encoding)
        if not found:
            what = "of integers of up to 16 bits" if count else "at all"
            raise FormatError(f"{self._where}: holds no encodings {what}")
        return list(found.values())

    def _fail(self, name: str, what: str) -> NoReturn:
        raise FormatError(f"{self._where}: the encoding of {name!r} {what}")

    def _entries(self, table: Any, part: str, major: str) -> List[Tuple[str, Any]]:
        if isinstance(table, dict) and major == "0":
            return [(str(name), entry) for name, entry in table.items()]
        if not isinstance(table, list) or not all(
            isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in table
        ):
            raise FormatError(
                f"{self._where}: is no encodings file: {part!r} is not as in its version"
            )
        return [(entry["name"], entry) for entry in table]

    def _listed(self, name: str, entry: Any) -> Optional[Encoding]:
        """0.x: a list of encodings, one a channel."""
        parts = entry if isinstance(entry, list) else [entry]
        if not parts:
            self._fail(name, "is empty")
        if str(parts[0].get("dtype", "int")).lower() != "int":
            return None
        bits = {part["bitwidth"] for part in parts}
        if len(bits) != 1:
            self._fail(name, "has channels of unequal bitwidth")
        scale, offset = ([part[key] for part in parts] for key in ("scale", "offset"))
        return self._from_offset(name, bits.pop(), scale, offset)

    def _counted(self, name: str, entry: Any) -> Optional[Encoding]:
        """1.0.0: lists of scales and offsets."""
        if str(entry["dtype"]).upper() != "INT":
            return None
        kind = entry.get("enc_type", "PER_TENSOR")
        if kind not in ("PER_TENSOR", "PER_CHANNEL"):
            self._fail(name, f"is {kind}; write scales of blocks as version 2.0.0")
        if np.any(entry.get("zero_point_shift", 0.0)):
            self._fail(name, "has steps that none of stands for zero (zero_point_shift)")
        return self._from_offset(name, entry["bw"], entry["scale"], entry["offset"])

    def _from_offset(self, name: str, bits: Any, scale: Any, offset: Any) -> Optional[Encoding]:
        bits = int(bits)
        if bits > 16:
            return None
        zero = -np.array(offset, np.float64).reshape(-1) - 2.0 ** (bits - 1)
        return Encoding(name, bits, np.array(scale, np.float64).reshape(-1), zero)

    def _typed(self, name: str, entry: Any) -> Optional[Encoding]:
        """2.0.0: the parameters of QuantizeLinear."""
        kind = re.fullmatch(r"(u?)int(\d+)", str(entry["output_dtype"]))
        if kind is None or int(kind[2]) > 16:
            return None
        if "per_block_int_scale" in entry:
            self._fail(name, "has scales of two levels (LPBQ), which are not supported")
        scale = np.array(entry["y_scale"], np.float64)
        given = entry.get("y_zero_point")
        zero = np.zeros(scale.shape) if given is None else np.array(given, np.float64)
        bits, axis = int(kind[2]), entry.get("axis")
        zero = zero - (2.0 ** (bits - 1) if kind[1] else 0.0)
        block = int(entry.get("block_size") or 0)
        if not block:
            scale, zero = scale.reshape(-1), zero.reshape(-1)
        return Encoding(name, bits, scale, zero, None if axis is None else int(axis), block)

    def _checked(self, encoding: Encoding) -> Encoding:
        name, scale, zero = encoding.name, encoding.scale, encoding.zero
        if not 2 <= encoding.bits <= 16:
            self._fail(name, f"is of {encoding.bits} bits; 2 to 16 are possible")
        if scale.size == 0 or scale.shape != zero.shape:
            self._fail(name, f"has {scale.size} scales and {zero.size} offsets")
        if not (np.abs(scale) <= float(np.finfo(np.float32).max)).all():
            self._fail(name, "has a scale that is not finite")
        if (scale <= 0).any():
            self._fail(name, f"has a scale of {scale.min():g}; it must be above 0")
        if (scale < 2.0**-100).any():
            self._fail(name, f"has a scale of {scale.min():g}, below 2^-100")
        low, high = encoding.bounds
        if not (np.isfinite(zero).all() and (zero == np.rint(zero)).all()):
            self._fail(name, "has an offset that is no integer")
        if ((zero < low) | (zero > high)).any():
            self._fail(name, f"has an offset beyond its {encoding.bits} bits")
        return Encoding(
            name, encoding.bits, scale, zero.astype(np.int64), encoding.axis, encoding.block
        )
