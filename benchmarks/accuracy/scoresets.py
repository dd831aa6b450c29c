"""The picture sets that accuracy is measured on, exactly composed.

| set | pictures | labels | from |
|---|---|---|---|
| tux139 | photo cut-outs on white | accepted ImageNet-1k classes | Debian tuxpaint-stamps-default |
| foolbox20 | ImageNet pictures | class | Python package foolbox |
| calib64 | natural photographs | none: for calibration only, never scored | four packages |
| natural108 | natural photographs | none: for agreement between models | two Debian packages |

In the package of wallpapers, several sizes of a picture are links to one file: 42 of calib64 and
76 of natural108 are distinct.

Lists are in ``data/``, a SHA-256 for each picture; the pictures are fetched into edgecv's cache
(``EDGECV_CACHE`` or ~/.cache/edgecv) and never stored in the project. Debian packages come by
``apt-get download``, which needs no root; of each only the listed pictures are kept.

The reference pre-processing is Pillow's: the short side resized to ``short`` pixels (bicubic),
then the centre 224 x 224. Stamps are first composited on a white square of 1.15 times their
longest side, rounded down.

Run as a program it fetches every set, or writes one into a folder:
``python benchmarks/accuracy/scoresets.py [SET FOLDER]``.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edgecv.errors import DownloadError
from edgecv.zoo import debian, packages
from edgecv.zoo.catalog import SCIKIT_IMAGE

DATA = Path(__file__).resolve().parent / "data"
CROP = 224
CANVAS = 1.15

FOOLBOX = packages.Package(
    name="foolbox",
    version="3.3.4",
    filename="foolbox-3.3.4-py3-none-any.whl",
    sha256="11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
    licence="MIT",
    contents="20 ImageNet pictures with labels",
)
PYTHON_PACKAGES = {package.name: package for package in (SCIKIT_IMAGE, FOOLBOX)}
DEBIAN_LICENCES = {
    "mate-backgrounds": "GPL-2+",
    "opencv-doc": "Apache-2.0 and BSD-3-Clause",
    "plasma-workspace-wallpapers": "GPL-2+",
    "tuxpaint-data": "GPL-2+",
    "tuxpaint-stamps-default": "GPL-2",
}


@dataclass(frozen=True)
class Picture:
    """One picture: the package and the file in it, its SHA-256 and the classes accepted."""

    package: str
    member: str
    sha256: str
    accepted: tuple[int, ...] = ()

    @property
    def path(self) -> Path:
        """Where the cache keeps the picture."""
        return packages.cache_dir() / "scoresets" / self.package / self.member

    @property
    def name(self) -> str:
        """A short name that is unique within its set."""
        parts = [part for part in self.member.split("/") if part not in ("contents", "images")]
        return re.sub(r"[^A-Za-z0-9.-]+", "_", "_".join(parts[-3:]))


@dataclass(frozen=True)
class ScoreSet:
    """Pictures in a fixed order, already fetched. ``short``: short side before the crop."""

    name: str
    short: int
    pictures: tuple[Picture, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def accepted(self) -> tuple[tuple[int, ...], ...]:
        """The accepted ImageNet-1k class ids of each picture (empty when unlabelled)."""
        return tuple(picture.accepted for picture in self.pictures)

    def image(self, index: int) -> np.ndarray:
        """Return the composed picture in full size: HxWx3 RGB, uint8."""
        return np.asarray(self._composed(index))

    def _composed(self, index: int) -> Image.Image:
        with Image.open(self.pictures[index].path) as image:
            return on_white_square(image) if self.name == "tux139" else image.convert("RGB")

    def reference(self, index: int) -> np.ndarray:
        """Return the picture as Pillow pre-processes it: 224x224x3 RGB, uint8."""
        return reference_crop(self._composed(index), self.short)

    def references(self) -> np.ndarray:
        """Return all pre-processed pictures: Nx224x224x3 RGB, uint8 (kept in the cache)."""
        made_by = repr((self, Image.__version__)).encode() + Path(__file__).read_bytes()
        digest = hashlib.sha256(made_by).hexdigest()[:16]
        path = packages.cache_dir() / "scoresets" / f"{self.name}-{digest}.npy"
        if path.is_file():
            kept: np.ndarray = np.load(path)
            return kept
        array = np.stack([self.reference(index) for index in range(len(self))])
        buffer = io.BytesIO()
        np.save(buffer, array)
        packages.write_atomically(path, buffer.getvalue())
        return array

    def export(self, folder: packages.PathLike) -> Path:
        """Write the composed pictures into ``folder``, in order (000_..., 001_...); return it.

        A JPEG or PNG that needs no composing is copied as it is; everything else becomes PNG.
        """
        out = Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(self.pictures):
            stem = f"{index:03d}_{Path(picture.name).stem}"
            suffix = Path(picture.member).suffix.lower()
            if self.name != "tux139" and suffix in (".jpg", ".png"):
                shutil.copyfile(picture.path, out / (stem + suffix))
            else:
                self._composed(index).save(out / (stem + ".png"), compress_level=1)
        return out


def on_white_square(image: Image.Image) -> Image.Image:
    """Composite a picture with transparency in the middle of a white square, as RGB."""
    image = image.convert("RGBA")
    side = int(CANVAS * max(image.size))
    canvas = Image.new("RGBA", (side, side), (255, 255, 255, 255))
    corner = ((side - image.width) // 2, (side - image.height) // 2)
    canvas.alpha_composite(image, corner)
    return canvas.convert("RGB")


def reference_crop(image: Image.Image, short: int) -> np.ndarray:
    """Resize the short side to ``short`` (bicubic) and return the centre 224x224x3, uint8."""
    factor = short / min(image.size)
    size = (max(short, round(image.width * factor)), max(short, round(image.height * factor)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (image.width - CROP) // 2, (image.height - CROP) // 2
    return np.asarray(image.crop((left, top, left + CROP, top + CROP)))


def read_list(name: str) -> tuple[Picture, ...]:
    """Return the pictures of ``data/NAME.tsv``: package, file, SHA-256 and, if any, classes."""
    pictures = []
    for line in (DATA / f"{name}.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            package, member, digest, *classes = line.split("\t")
            ids = tuple(int(number) for number in classes[0].split(",")) if classes else ()
            pictures.append(Picture(package, member, digest, ids))
    return tuple(pictures)


SETS = {"tux139": 224, "foolbox20": 256, "calib64": 256, "natural108": 256}


def load(name: str, report: packages.Report | None = None) -> ScoreSet:
    """Return a score set, fetching what the cache lacks.

    ``report`` is called with lines of text that name packages and licences. Raises
    :class:`edgecv.errors.DownloadError` when a package cannot be had or a picture is another one.
    """
    pictures = read_list(name)
    for package in dict.fromkeys(picture.package for picture in pictures):
        missing = [
            picture
            for picture in pictures
            if picture.package == package and not picture.path.is_file()
        ]
        if missing and package in PYTHON_PACKAGES:
            wheel = packages.fetch(PYTHON_PACKAGES[package], report=report)
            for picture in missing:
                _keep(picture, packages.read_member(wheel, picture.member))
        elif missing:
            if report is not None:
                report(f"Debian package {package}, {DEBIAN_LICENCES[package]}: downloading")
            _fetch_debian(package)
    return ScoreSet(name, SETS[name], pictures)


def _keep(picture: Picture, data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest != picture.sha256:
        raise DownloadError(
            f"{picture.package}: {picture.member} has SHA-256 {digest}, not {picture.sha256}"
        )
    packages.write_atomically(picture.path, data)


def _fetch_debian(package: str) -> None:
    """Download a Debian package and keep the pictures of it that any set lists."""
    with debian.unpacked(package, "the pictures") as root:
        for picture in {picture for name in SETS for picture in read_list(name)}:
            if picture.package == package:
                path = Path(root, picture.member).resolve()  # some are links to others
                if root not in path.parents or not path.is_file():
                    raise DownloadError(f"Debian package {package} lacks {picture.member}")
                _keep(picture, path.read_bytes())


def main() -> int:
    """Fetch every set, or write one set into a folder."""
    if len(sys.argv) not in (1, 3):
        print("usage: scoresets.py [SET FOLDER]", file=sys.stderr)
        return 2
    try:
        if len(sys.argv) == 3:
            print(load(sys.argv[1], print).export(sys.argv[2]))
        else:
            for name in SETS:
                print(f"{name}: {len(load(name, print))} pictures")
    except (DownloadError, OSError) as error:
        print(f"scoresets.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
