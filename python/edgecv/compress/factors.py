"""Low-rank forms of a layer's weights: singular values, spatial and Tucker-2 factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class Factors:
    """Weights in the order the layers run. ``error``: what is lost, as a share of the norm."""

    method: str
    ranks: Tuple[int, ...]
    weights: List[Array]
    error: float

    @property
    def rank_text(self) -> str:
        """The ranks as reports show them."""
        return "x".join(map(str, self.ranks))


def rank_for(singular: Array, energy: float, snap: int = 1) -> int:
    """The smallest rank that keeps this share of the energy, rounded up to a multiple of snap."""
    squares = np.square(singular, dtype=np.float64)
    left = np.cumsum(squares[::-1])[::-1]  # left[r]: what goes when r values stay
    allowed = (1 - energy) * left[0] if len(left) else 0.0
    rank = int(np.sum(left > allowed * (1 + 1e-12)))
    return min(len(singular), max(1, -(-max(rank, 1) // snap) * snap))


def split_matrix(matrix: Array, rank: int) -> Tuple[Array, Array, float]:
    """(A, B, error) with A @ B near matrix; the scale is shared evenly."""
    u, s, vt = np.linalg.svd(np.asarray(matrix, np.float64), full_matrices=False)
    root = np.sqrt(s[:rank])
    norm = float(np.sqrt(np.square(s).sum()))
    lost = float(np.sqrt(np.square(s[rank:]).sum()))
    return u[:, :rank] * root, root[:, None] * vt[:rank], lost / norm if norm else 0.0


def singular_values(matrix: Array) -> Array:
    """The singular values, largest first, to about 1e-8 of the largest.

    Through the eigenvalues of the smaller Gram matrix, which is many times faster than an SVD.
    """
    matrix = np.asarray(matrix, np.float64)
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))


def _leading(matrix: Array, rank: int) -> Array:
    """The left singular vectors of the largest values, as columns."""
    return np.asarray(np.linalg.eigh(matrix @ matrix.T)[1][:, ::-1][:, :rank])


def pointwise(w: Array, rank: int) -> Factors:
    """W [O, I, 1, 1] as I -> rank -> O."""
    a, b, error = split_matrix(w.reshape(w.shape[:2]), rank)
    tail = (1,) * (w.ndim - 2)
    weights = [b.reshape(*b.shape, *tail), a.reshape(*a.shape, *tail)]
    return Factors("svd", (rank,), weights, error)


def spatial_matrix(w: Array) -> Array:
    """W [O, I, h, w] as a matrix of (O, w) by (I, h)."""
    o, i, h, k = w.shape
    return w.transpose(0, 3, 1, 2).reshape(o * k, i * h)


def spatial(w: Array, rank: int) -> Factors:
    """W [O, I, h, w] as a column of h, I -> rank, and a row of w, rank -> O."""
    o, i, h, k = w.shape
    a, b, error = split_matrix(spatial_matrix(w), rank)
    column = b.reshape(rank, i, h, 1)
    row = a.reshape(o, k, rank).transpose(0, 2, 1).reshape(o, rank, 1, k)
    return Factors("spatial", (rank,), [column, row], error)


def unfold(w: Array, axis: int) -> Array:
    """W as a matrix whose rows are positions of an axis."""
    return np.moveaxis(w, axis, 0).reshape(w.shape[axis], -1)


def tucker(w: Array, ranks: Sequence[int]) -> Factors:
    """W [O, I, h, w] as 1x1 I -> r_in, h x w r_in -> r_out, 1x1 r_out -> O (HOSVD)."""
    out_rank, in_rank = ranks
    w = np.asarray(w, np.float64)
    outer, inner = _leading(unfold(w, 0), out_rank), _leading(unfold(w, 1), in_rank)
    core = np.einsum("oihw,or,is->rshw", w, outer, inner, optimize=True)
    back = np.einsum("rshw,or,is->oihw", core, outer, inner, optimize=True)
    norm = float(np.linalg.norm(w))
    error = float(np.linalg.norm(w - back)) / norm if norm else 0.0
    weights = [inner.T[:, :, None, None], core, outer[:, :, None, None]]
    return Factors("tucker-2", (out_rank, in_rank), weights, error)


@dataclass
class Form:
    """A low-rank form before it is computed: what its weights will be like."""

    method: str
    ranks: Tuple[int, ...]
    shapes: List[Tuple[int, ...]]

    def compute(self, w: Array) -> Factors:
        """The factors of a layer."""
        if self.method == "svd":
            return pointwise(w, self.ranks[0])
        if self.method == "spatial":
            return spatial(w, self.ranks[0])
        return tucker(w, self.ranks)


def forms(w: Array, energy: float, snap: int, methods: Sequence[str]) -> List[Form]:
    """The forms of a layer [O, I, ...] that keep so much energy; ranks are below the full ones."""
    found = []
    o, i = w.shape[:2]
    if all(size == 1 for size in w.shape[2:]):
        if "svd" in methods:
            rank = rank_for(singular_values(w.reshape(o, i)), energy, snap)
            if rank < min(o, i):
                tail = w.shape[2:]
                found.append(Form("svd", (rank,), [(rank, i, *tail), (o, rank, *tail)]))
        return found
    if w.ndim != 4:
        return found
    h, k = w.shape[2:]
    if "spatial" in methods and h > 1 and k > 1:
        matrix = spatial_matrix(w)
        rank = rank_for(singular_values(matrix), energy, snap)
        if rank < min(matrix.shape):
            found.append(Form("spatial", (rank,), [(rank, i, h, 1), (o, rank, 1, k)]))
    if "tucker" in methods:
        # Each of the two modes may lose half of what may go.
        half = 1 - (1 - energy) / 2
        a, b = (rank_for(singular_values(unfold(w, axis)), half, snap) for axis in (0, 1))
        if a < o or b < i:
            found.append(Form("tucker-2", (a, b), [(b, i, 1, 1), (a, b, h, k), (o, a, 1, 1)]))
    return found
