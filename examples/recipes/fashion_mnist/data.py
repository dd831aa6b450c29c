"""Fashion-MNIST: 60,000 pictures of clothes to train with and 10,000 to score, 28 x 28 in grey.

They come out of Debian's package dataset-fashion-mnist, which is downloaded (30 MB), never
installed, and kept in edgecv's cache. A network takes a picture as values from 0 to 1.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import DownloadError
from edgecv.zoo import debian, packages

PACKAGE = "dataset-fashion-mnist"
PATH = "usr/share/datasets/fashion-mnist"
MEMBERS = {
    "train-images-idx3-ubyte": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
LABELS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"]
LABELS += ["Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
SIDE = 28
SHIFT = 2  # an augmented picture is moved by up to so many pixels each way

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Pictures:
    """Pictures [N, 28, 28] and their classes [N]."""

    images: Bytes
    labels: Bytes

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> Pictures:
        """The first ``count`` of them; the package's order is random already."""
        return Pictures(self.images[:count], self.labels[:count])

    def inputs(self) -> Floats:
        """What networks take: [N, 1, 28, 28] from 0 to 1."""
        return self.images[:, None].astype(np.float32) / np.float32(255)


def parse_idx(data: bytes) -> Bytes:
    """The array of bytes in an IDX file: 0, 0, type 8, rank, big-endian dims, the bytes."""
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise DownloadError("not an IDX file of bytes")
    rank = data[3]
    dims = np.frombuffer(data, ">u4", rank, 4)
    return np.frombuffer(data, np.uint8, int(np.prod(dims)), 4 + 4 * rank).reshape(tuple(dims))


def load(report: Callable[[str], Any] = print) -> Tuple[Pictures, Pictures]:
    """(training pictures, test pictures), downloaded when the cache lacks them."""
    cache = packages.cache_dir() / "datasets" / "fashion-mnist"
    if any(not (cache / name).is_file() for name in MEMBERS):
        report(f"Debian package {PACKAGE} (MIT licence): downloading 30 MB")
        with debian.unpacked(PACKAGE, "the pictures") as root:
            for name, digest in MEMBERS.items():
                path = root / PATH / f"{name}.gz"
                if not path.is_file() or packages.sha256_of(path) != digest:
                    raise DownloadError(f"{name} of Debian's {PACKAGE} is not the known file")
                packages.write_atomically(cache / name, path.read_bytes())
    train, test = (_read(cache, part) for part in ("train", "t10k"))
    return train, test


def _read(cache: Path, part: str) -> Pictures:
    arrays = []
    for name, digest in MEMBERS.items():
        if name.startswith(part):
            if packages.sha256_of(cache / name) != digest:
                raise DownloadError(f"{cache / name} is damaged: remove it")
            arrays.append(parse_idx(gzip.decompress((cache / name).read_bytes())))
    return Pictures(*arrays)


class View:
    """One augmentation of every picture: mirrored or not, moved by up to two pixels.

    The same (seed, number) gives the same view, so that a teacher's answers to it can be kept.
    """

    def __init__(self, pictures: Pictures, seed: int, number: int) -> None:
        random = np.random.default_rng((seed, number))
        count = len(pictures)
        self._offset = random.integers(0, 2 * SHIFT + 1, (2, count, 1))
        self._mirrored = random.random(count) < 0.5
        border = ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT))
        self._padded = np.pad(pictures.images, border)

    def batch(self, index: Numbers) -> Floats:
        """The pictures of these numbers, [N, 1, 28, 28] from 0 to 1."""
        pixels = np.arange(SIDE)
        rows = self._offset[0][index] + pixels
        columns = np.where(self._mirrored[index][:, None], pixels[::-1], pixels)
        columns = self._offset[1][index] + columns
        taken = self._padded[index[:, None, None], rows[:, :, None], columns[:, None, :]]
        batch: Floats = taken[:, None].astype(np.float32) / np.float32(255)
        return batch

    def batches(self, size: int, order: Sequence[int]) -> Iterator[Tuple[Numbers, Floats]]:
        """(numbers, pictures) in an order by ``order``, but for a rest that fills no batch."""
        numbers = np.random.default_rng(order).permutation(len(self._padded))
        for start in range(0, len(numbers) - size + 1, size):
            index = numbers[start : start + size]
            yield index, self.batch(index)
