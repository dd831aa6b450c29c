"""How a picture becomes a model's input: the pre-processing stored in an ``.ecv`` file.

Calibration, evaluation and run share this one description and the one implementation behind it, in
the C++ core. docs/preprocess.md is the contract, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Sequence, Tuple, Union

import numpy as np

from edgecv.errors import Error
from edgecv.frames import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

Size = Union[int, Tuple[int, int]]
PerChannel = Union[float, Sequence[float]]
Picture = Union["NDArray[np.uint8]", Frame]
Spec = Tuple[Any, ...]  # 17 numbers, see Preprocess.to_spec

RESIZE_MODES = ("none", "shorter", "stretch", "letterbox")
INTERPOLATIONS = ("bilinear", "bicubic")
ORDERS = ("rgb", "bgr", "grey")
MAX_SIDE = 8192  # of a resized or cropped picture

_KEYS = "resize, letterbox, crop, interp, antialias, order, mean, std, fill"
_EXAMPLE = "'resize=256,crop=224,mean=127,std=128'"


class PreprocessError(Error, ValueError):
    """A pre-processing description breaks a rule, or a picture does not fit it."""


@dataclass(frozen=True)
class Preprocess:
    """Resize, then centre crop, then colour order, then ``(value - mean) / std``.

    Sizes are (width, height) in pixels, (0, 0) for none. ``resize_mode`` is ``none``, ``shorter``
    (the shorter side becomes ``resize``, which then holds it twice), ``stretch`` (exactly
    ``resize``) or ``letterbox`` (fits into ``resize``, the rest is ``fill``). ``interpolation`` is
    ``bilinear`` or ``bicubic``; ``antialias`` widens it when the picture shrinks, as Pillow does.
    ``order`` is ``rgb``, ``bgr`` or ``grey``. ``mean`` and ``std`` are in grey levels (0 to 255),
    one number a channel in the order the model sees, rounded to float32; one alone stands for all.
    ``fill`` is an RGB colour.

    Raises PreprocessError (a ValueError) when a field breaks a rule.
    """

    resize_mode: str = "none"
    resize: Tuple[int, int] = (0, 0)
    interpolation: str = "bilinear"
    antialias: bool = True
    crop: Tuple[int, int] = (0, 0)
    order: str = "rgb"
    mean: Tuple[float, ...] = ()
    std: Tuple[float, ...] = ()
    fill: Tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        _choice("resize_mode", self.resize_mode, RESIZE_MODES)
        _choice("interpolation", self.interpolation, INTERPOLATIONS)
        _choice("order", self.order, ORDERS)
        none = self.resize_mode == "none"
        _set(self, "resize", _check_size("resize", self.resize, none))
        _set(self, "crop", _check_size("crop", self.crop, tuple(self.crop) == (0, 0)))
        if self.resize_mode == "shorter" and self.resize[0] != self.resize[1]:
            raise PreprocessError(f"resize {self.resize}: give the shorter side's length twice")
        if self.resize_mode == "letterbox" and self.crop != (0, 0):
            raise PreprocessError("a letterbox already has the output's size: leave out crop")
        _set(self, "antialias", bool(self.antialias))
        _set(self, "mean", _check_channels("mean", self.mean or (0.0,), self.channels, -65536.0))
        _set(self, "std", _check_channels("std", self.std or (1.0,), self.channels, 2.0**-20))
        fill = tuple(int(v) for v in self.fill)
        if len(fill) != 3 or not all(0 <= v <= 255 for v in fill):
            raise PreprocessError(f"fill {self.fill}: an RGB colour is three numbers from 0 to 255")
        _set(self, "fill", fill)

    @classmethod
    def imagenet(cls, size: int = 224, resize: Optional[int] = None, **changes: Any) -> Preprocess:
        """Return the usual ImageNet evaluation: shorter side to ``resize``, centre crop ``size``.

        ``resize`` is size * 256 / 224 unless given. Bilinear, RGB, ImageNet's mean and std;
        ``changes`` are other fields of the class.
        """
        side = size * 256 // 224 if resize is None else resize
        base = cls(
            resize_mode="shorter",
            resize=(side, side),
            crop=(size, size),
            mean=(123.675, 116.28, 103.53),
            std=(58.395, 57.12, 57.375),
        )
        return replace(base, **changes)

    @classmethod
    def yolo(cls, size: Size = 640, **changes: Any) -> Preprocess:
        """Return the usual input of YOLO: letterboxed on grey 114, values from 0 to 1."""
        pair = size if isinstance(size, tuple) else (size, size)
        base = cls(resize_mode="letterbox", resize=pair, std=(255.0,), fill=(114, 114, 114))
        return replace(base, **changes)

    @classmethod
    def parse(cls, text: str) -> Preprocess:
        """Read the text form: comma-separated ``key=value``, optionally after a preset's name.

        ``resize=256`` (shorter side) or ``resize=640x480`` (exactly), ``letterbox=640`` or
        ``640x480``, ``crop=224`` or ``320x240``, ``interp=bilinear|bicubic``, ``antialias=on|off``,
        ``order=rgb|bgr|grey``, ``mean=127`` or ``123.675/116.28/103.53``, ``std`` likewise,
        ``fill=114`` or ``255/255/255``. Presets: ``imagenet``, ``yolo``.

        Raises PreprocessError (a ValueError) naming what is wrong and what would be right.
        """
        changes: Dict[str, Any] = {}
        base: Optional[Preprocess] = None
        for number, item in enumerate(text.split(",")):
            key, equals, value = (part.strip().lower() for part in item.partition("="))
            if not equals:
                if number == 0 and key in _PRESETS:
                    base = _PRESETS[key]()
                    continue
                raise PreprocessError(_not_understood(item.strip(), text))
            if key not in _PARSERS:
                raise PreprocessError(f"pre-processing has no key {key!r}: there are {_KEYS}")
            for name, parsed in _PARSERS[key](value).items():
                if name in changes:
                    raise PreprocessError(f"pre-processing {text!r} sets {name} twice")
                changes[name] = parsed
        if base is None:
            return cls(**changes)
        if changes.get("resize_mode") == "letterbox":
            changes.setdefault("crop", (0, 0))
        if changes.get("order") == "grey":  # the preset's three numbers are for colours
            for name, numbers in (("mean", base.mean), ("std", base.std)):
                if name not in changes and len(set(numbers)) != 1:
                    raise PreprocessError(f"{text!r}: in grey, give a mean and a std of your own")
                changes.setdefault(name, numbers[:1])
        return replace(base, **changes)

    def to_text(self) -> str:
        """Return the text form, which parses to an equal description."""
        width, height = self.resize
        parts = []
        if self.resize_mode == "shorter":
            parts.append(f"resize={width}")
        elif self.resize_mode != "none":
            key = "letterbox" if self.resize_mode == "letterbox" else "resize"
            parts.append(f"{key}={width}x{height}")
        if self.crop != (0, 0):
            same = self.crop[0] == self.crop[1]
            parts.append(f"crop={self.crop[0]}" if same else f"crop={self.crop[0]}x{self.crop[1]}")
        parts.append(f"interp={self.interpolation}")
        if not self.antialias:
            parts.append("antialias=off")
        parts.append(f"order={self.order}")
        parts.append("mean=" + _join(self.mean))
        parts.append("std=" + _join(self.std))
        if self.fill != (0, 0, 0):
            parts.append("fill=" + _join(self.fill))
        return ",".join(parts)

    @property
    def channels(self) -> int:
        """Channels of the result: 3, or 1 for grey."""
        return 1 if self.order == "grey" else 3

    @property
    def output_size(self) -> Optional[Tuple[int, int]]:
        """(width, height) of every result, or None when it depends on the picture."""
        if self.crop != (0, 0):
            return self.crop
        return self.resize if self.resize_mode in ("stretch", "letterbox") else None

    def to_spec(self) -> Spec:
        """Return the fields as 17 numbers, in the order of the file's PREP record.

        resize_mode, interpolation, antialias, resize width and height, crop width and height,
        order, mean x 3, std x 3, fill x 3; channels that do not exist have mean 0 and std 1.
        """
        pad = 3 - self.channels
        return (
            RESIZE_MODES.index(self.resize_mode),
            INTERPOLATIONS.index(self.interpolation),
            int(self.antialias),
            *self.resize,
            *self.crop,
            ORDERS.index(self.order),
            *(self.mean + (0.0,) * pad),
            *(self.std + (1.0,) * pad),
            *self.fill,
        )

    @classmethod
    def from_spec(cls, spec: Sequence[Any]) -> Preprocess:
        """Inverse of to_spec; raises PreprocessError for numbers that break a rule."""
        if len(spec) != 17:
            raise PreprocessError(f"a pre-processing record holds 17 numbers, not {len(spec)}")
        names = []
        for what, index, known in (
            ("resize mode", spec[0], RESIZE_MODES),
            ("interpolation", spec[1], INTERPOLATIONS),
            ("antialias", spec[2], ("off", "on")),
            ("colour order", spec[7], ORDERS),
        ):
            if not 0 <= index < len(known):
                raise PreprocessError(f"unknown {what} {index} in a pre-processing record")
            names.append(known[index])
        channels = 1 if names[3] == "grey" else 3
        if any(v != 0.0 for v in spec[8 + channels : 11]) or any(
            v != 1.0 for v in spec[11 + channels : 14]
        ):
            raise PreprocessError("a pre-processing record has a mean or std of a missing channel")
        return cls(
            resize_mode=names[0],
            interpolation=names[1],
            antialias=names[2] == "on",
            resize=(int(spec[3]), int(spec[4])),
            crop=(int(spec[5]), int(spec[6])),
            order=names[3],
            mean=tuple(spec[8 : 8 + channels]),
            std=tuple(spec[11 : 11 + channels]),
            fill=(int(spec[14]), int(spec[15]), int(spec[16])),
        )

    def apply(self, image: Picture) -> NDArray[np.float32]:
        """Return the float model input, HWC f32, of an HWC RGB uint8 picture or a camera Frame.

        Raises PreprocessError for an array of another shape or dtype, or above a size limit.
        """
        result: NDArray[np.float32] = self._run("f32", image)
        return result

    def pixels(self, image: Picture) -> NDArray[np.uint8]:
        """Return the resized and cropped picture, HWC uint8 in ``order``; raises as apply does."""
        result: NDArray[np.uint8] = self._run("u8", image)
        return result

    def quantize(self, image: Picture, scale: float, zero_point: int) -> NDArray[np.int8]:
        """Return the raw model input, HWC s8 with scale and zero_point; raises as apply does."""
        result: NDArray[np.int8] = self._run("s8", image, float(scale), int(zero_point))
        return result

    def _run(self, kind: str, image: Picture, *arguments: Any) -> Any:
        if isinstance(image, Frame):
            return _call(f"frame_{kind}", self.to_spec(), image.to_core(), *arguments)
        return _call(f"preprocess_{kind}", self.to_spec(), _picture(image), *arguments)


def _set(self: Preprocess, name: str, value: Any) -> None:
    object.__setattr__(self, name, value)


def _choice(what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise PreprocessError(f"{what} {value!r} is unknown: there are {', '.join(known)}")


def _check_size(what: str, value: Tuple[int, int], none: bool) -> Tuple[int, int]:
    pair = tuple(value)
    if len(pair) != 2 or any(int(v) != v for v in pair):
        raise PreprocessError(f"{what} {value}: a size is (width, height) in whole pixels")
    low = 0 if none else 1
    if not all(low <= v <= (0 if none else MAX_SIDE) for v in pair):
        if none:
            raise PreprocessError(f"{what} {value} without a resize mode")
        raise PreprocessError(f"{what} {pair[0]}x{pair[1]}: a side is 1 to {MAX_SIDE} pixels")
    return int(pair[0]), int(pair[1])


def _check_channels(
    what: str, value: Sequence[float], channels: int, low: float
) -> Tuple[float, ...]:
    numbers = tuple(float(v) for v in value)
    if len(numbers) == 1:
        numbers *= channels
    if len(numbers) != channels:
        raise PreprocessError(f"{what} has {len(numbers)} numbers, the input {channels} channel(s)")
    if not all(low <= v <= 65536.0 for v in numbers):
        given = "/".join(f"{v:g}" for v in numbers)
        raise PreprocessError(f"{what} {given}: allowed are {low:g} to 65536, in grey levels")
    # Adding 0 makes 0 of -0: equal descriptions have equal bytes.
    return tuple(float(np.float32(v)) + 0.0 for v in numbers)


def _join(numbers: Sequence[float]) -> str:
    """One number when all are equal, else a/b/c; the shortest text that gives the same float32."""
    short = [str(v) if isinstance(v, int) else str(np.float32(v)) for v in numbers]
    short = [v[:-2] if v.endswith(".0") else v for v in short]
    return short[0] if len(set(short)) == 1 else "/".join(short)


def _not_understood(item: str, text: str) -> str:
    if not text.strip():
        return f"the pre-processing is empty: write for example {_EXAMPLE}, or 'imagenet'"
    try:
        float(item)
    except ValueError:
        presets = ", ".join(sorted(_PRESETS))
        return (
            f"pre-processing {item!r} is not key=value: the keys are {_KEYS}; "
            f"a preset ({presets}) may come first"
        )
    return f"pre-processing {item!r}: separate the channels with '/', as in mean=124/116/104"


def _parse_size(key: str, value: str) -> Tuple[Tuple[int, int], bool]:
    """Return (width, height) and whether both were given."""
    sides = value.split("x")
    if len(sides) > 2 or not all(s.isdecimal() and 1 <= int(s) <= MAX_SIDE for s in sides):
        raise PreprocessError(
            f"{key}={value}: write a side of 1 to {MAX_SIDE} pixels, as in {key}=224, "
            f"or WIDTHxHEIGHT, as in {key}=320x240"
        )
    return (int(sides[0]), int(sides[-1])), len(sides) == 2


def _parse_resize(value: str) -> Dict[str, Any]:
    if value == "none":
        return {"resize_mode": "none", "resize": (0, 0)}
    size, both = _parse_size("resize", value)
    return {"resize_mode": "stretch" if both else "shorter", "resize": size}


def _parse_letterbox(value: str) -> Dict[str, Any]:
    return {"resize_mode": "letterbox", "resize": _parse_size("letterbox", value)[0]}


def _parse_crop(value: str) -> Dict[str, Any]:
    return {"crop": (0, 0) if value == "none" else _parse_size("crop", value)[0]}


def _parse_word(key: str, name: str, words: Dict[str, Any]) -> Callable[[str], Dict[str, Any]]:
    def parse(value: str) -> Dict[str, Any]:
        if value not in words:
            raise PreprocessError(f"{key}={value}: write {' or '.join(words)}")
        return {name: words[value]}

    return parse


def _parse_numbers(key: str) -> Callable[[str], Dict[str, Any]]:
    def parse(value: str) -> Dict[str, Any]:
        try:
            numbers = tuple(float(part) for part in value.split("/"))
        except ValueError:
            numbers = ()
        if len(numbers) not in (1, 3):
            raise PreprocessError(
                f"{key}={value}: write one number, or one a channel with '/' between, "
                f"as in {key}=124/116/104"
            )
        if key == "std" and any(0.0 < v < 1.0 for v in numbers):
            times = "/".join(f"{255.0 * v:g}" for v in numbers)
            raise PreprocessError(
                f"std={value} looks like a fraction of white: mean and std are in grey levels "
                f"0 to 255, so multiply both by 255 (std={times})"
            )
        return {key: numbers}

    return parse


def _parse_fill(value: str) -> Dict[str, Any]:
    parts = value.split("/")
    if len(parts) not in (1, 3) or not all(p.isdecimal() and int(p) <= 255 for p in parts):
        raise PreprocessError(f"fill={value}: write a grey level 0 to 255, or red/green/blue")
    return {"fill": tuple(int(p) for p in parts) * (1 if len(parts) == 3 else 3)}


_PRESETS: Dict[str, Callable[[], Preprocess]] = {
    "imagenet": Preprocess.imagenet,
    "yolo": Preprocess.yolo,
}
_PARSERS: Dict[str, Callable[[str], Dict[str, Any]]] = {
    "resize": _parse_resize,
    "letterbox": _parse_letterbox,
    "crop": _parse_crop,
    "interp": _parse_word("interp", "interpolation", {name: name for name in INTERPOLATIONS}),
    "antialias": _parse_word("antialias", "antialias", {"on": True, "off": False}),
    "order": _parse_word(
        "order", "order", {"rgb": "rgb", "bgr": "bgr", "grey": "grey", "gray": "grey"}
    ),
    "mean": _parse_numbers("mean"),
    "std": _parse_numbers("std"),
    "fill": _parse_fill,
}


def _picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise PreprocessError(
            "a picture is an array of shape [height, width, 3], RGB, uint8; "
            f"this one is {list(array.shape)} {array.dtype}"
        )
    return array


def _call(name: str, *arguments: Any) -> Any:
    from edgecv import _core

    try:
        return getattr(_core, name)(*arguments)
    except (ValueError, Error) as error:
        raise PreprocessError(str(error)) from None
