"""Camera frames: pixels as cameras and video decoders deliver them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Tuple

import numpy as np

from edgecv.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS = ("rgb", "bgr", "grey", "nv12", "nv21", "yuyv")
COLORS = ("bt601", "bt601-full", "bt709", "bt709-full")
Region = Tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Frame:
    """A camera frame, or a region of it, for ``Model.run_image`` and ``Preprocess``.

    ``format`` is ``rgb``, ``bgr``, ``grey``, ``nv12``, ``nv21`` or ``yuyv``. ``data`` is the whole
    frame as the camera gave it (bytes or an array of uint8; the planes of NV12 follow each other
    without a gap), or a sequence of planes, each a uint8 array [rows, bytes] whose rows may have
    gaps between them. Nothing is copied. ``color`` says what Y, U and V mean: ``bt601`` (Y 16 to
    235), ``bt601-full`` (Y 0 to 255: JPEG, many webcams), ``bt709`` or ``bt709-full``. ``region``
    is (left, top, width, height) in pixels, None for all of it.

    docs/preprocess.md ("Camera frames") is the contract, bit for bit. Raises InputError (a
    ValueError) for data that does not fit.
    """

    format: str
    data: Any
    width: int
    height: int
    color: str = "bt601"
    region: Optional[Region] = None

    def __post_init__(self) -> None:
        for what, value, known in (
            ("format", self.format, FORMATS),
            ("color", self.color, COLORS),
        ):
            if value not in known:
                raise InputError(f"{what} {value!r} is unknown: there are {', '.join(known)}")
        if self.width < 1 or self.height < 1:
            raise InputError(f"a frame of {self.width} x {self.height} pixels")
        left, top, width, height = self.region or (0, 0, self.width, self.height)
        inside = 0 <= left < left + width <= self.width and 0 <= top < top + height <= self.height
        if not inside:
            raise InputError(
                f"the region {self.region} (left, top, width, height) does not lie in the frame "
                f"of {self.width} x {self.height} pixels"
            )
        object.__setattr__(self, "_planes", self._split())

    @property
    def size(self) -> Tuple[int, int]:
        """(width, height) of the region."""
        return (self.width, self.height) if self.region is None else self.region[2:]

    def rgb(self) -> NDArray[np.uint8]:
        """Return the region as a picture, HWC RGB uint8."""
        from edgecv import _core

        result: NDArray[np.uint8] = _core.frame_rgb(self.to_core())
        return result

    def to_core(self) -> Tuple[Any, ...]:
        """Return what the private module takes: numbers, then the planes."""
        region = self.region or (0, 0, self.width, self.height)
        planes = self._planes  # type: ignore[attr-defined]
        numbers = (FORMATS.index(self.format), COLORS.index(self.color), self.width, self.height)
        return (*numbers, *region, planes)

    def _sizes(self) -> Tuple[Tuple[int, int], ...]:
        """Rows and bytes a row of each plane."""
        pairs = (self.width + 1) // 2
        if self.format in ("nv12", "nv21"):
            return (self.height, self.width), ((self.height + 1) // 2, 2 * pairs)
        pixel = {"rgb": 3 * self.width, "bgr": 3 * self.width, "grey": self.width}
        return ((self.height, pixel.get(self.format, 4 * pairs)),)

    def _split(self) -> Tuple[NDArray[np.uint8], ...]:
        """The planes as [rows, bytes] arrays."""
        sizes = self._sizes()
        if isinstance(self.data, (list, tuple)):
            planes = tuple(np.asarray(plane) for plane in self.data)
            if len(planes) != len(sizes):
                raise InputError(f"{self.format} has {len(sizes)} plane(s), not {len(planes)}")
            for plane, (rows, row_bytes) in zip(planes, sizes):
                if plane.dtype != np.uint8 or plane.ndim != 2:
                    raise InputError("a plane is an array of uint8 [rows, bytes]")
                if plane.shape[0] < rows or plane.shape[1] < row_bytes:
                    raise InputError(
                        f"a plane of {self.width} x {self.height} pixels of {self.format} has "
                        f"{rows} rows of {row_bytes} bytes, not {list(plane.shape)}"
                    )
            return planes
        if isinstance(self.data, np.ndarray):
            if self.data.dtype != np.uint8 or not self.data.flags.c_contiguous:
                raise InputError("a frame is a contiguous array of uint8; give planes for gaps")
            flat = self.data.reshape(-1)
        else:
            flat = np.frombuffer(self.data, np.uint8)
        wanted = sum(rows * row_bytes for rows, row_bytes in sizes)
        if flat.size != wanted:
            raise InputError(
                f"{self.width} x {self.height} pixels of {self.format} are {wanted} bytes, "
                f"not {flat.size}"
            )
        found = []
        at = 0
        for rows, row_bytes in sizes:
            found.append(flat[at : at + rows * row_bytes].reshape(rows, row_bytes))
            at += rows * row_bytes
        return tuple(found)
