"""Reading picture files into HWC RGB uint8 arrays; needs Pillow (``edgecv[image]``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Union

import numpy as np

from edgecv.errors import Error

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip

PathLike = Union[str, "os.PathLike[str]"]


def read_image(path: PathLike) -> NDArray[np.uint8]:
    """Return the picture in a file as HWC RGB uint8, upright.

    The EXIF orientation is applied, transparency is laid on white, palettes and grey become RGB,
    16-bit grey is rounded to 8 bits, of an animation the first frame is taken.

    Raises edgecv.Error (one line) when Pillow is missing or the file is not a readable picture.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise Error("reading pictures needs Pillow: pip install edgecv[image]") from None
    if not os.path.isfile(path):
        kind = "a folder, not a picture" if os.path.isdir(path) else "no such file"
        raise Error(f"{os.fspath(path)}: {kind}")
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            return _to_rgb(image if upright is None else upright)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many kinds on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Error(f"{os.fspath(path)}: not a readable picture ({reason})") from error


def list_images(folder: PathLike, *, recursive: bool = False) -> List[Path]:
    """Return the picture files of a folder (by suffix, hidden ones left out), sorted by path.

    Raises edgecv.Error when the folder does not exist or holds no picture.
    """
    root = Path(folder)
    if not root.is_dir():
        kind = "not a folder" if root.exists() else "no such folder"
        raise Error(f"{root}: {kind}")
    found = [
        path
        for path in (root.rglob("*") if recursive else root.iterdir())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise Error(f"{root}: no pictures in this folder (looked for {', '.join(SUFFIXES)})")
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _to_rgb(image: Any) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode.startswith("I"):  # 16-bit grey: 65535 / 255 = 257, rounded
        wide = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        grey = ((wide + 128) // 257).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        if image.mode in ("RGBa", "La"):
            image = image.convert(image.mode.upper())
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, picture)
    # np.array copies: the result is writable and outlives the file.
    return np.array(image.convert("RGB"), dtype=np.uint8)
