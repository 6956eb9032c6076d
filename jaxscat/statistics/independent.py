"""Which numbers of S0 to S4 are independent, and how the others follow from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

# Rows of weights whose remainder is below this part of them depend on the rows before.
_DEPENDENT = 1e-5
# Weights this near to 0, 1 or -1 are these numbers but for rounding.
_ROUNDING = 1e-6

# Combines orientations on the last axis; it may add an axis in their place.
Combination = Callable[[Array], Array]


class Dependence(NamedTuple):
    """The numbers of a group of coefficients as combinations of those that are independent.

    The numbers of a real group are its coefficients, in their order; those of a complex group are
    real and imaginary part of the first, of the second, and so on.

    Attributes:
        source: independent numbers from which each follows, by their positions in the group; an
            independent number follows from itself.
        weight: their weights; 0 where there are fewer.
    """

    source: Int[np.ndarray, "k m"]
    weight: Float[np.ndarray, "k m"]

    @property
    def kept(self) -> Int[np.ndarray, " n"]:
        """Positions of the independent numbers."""
        itself = self.source[:, 0] == np.arange(len(self.source))
        return np.flatnonzero(itself & (self.weight[:, 0] == 1))


def all_independent(size: int) -> Dependence:
    """Return the dependence of numbers none of which follows from others."""
    return Dependence(np.arange(size)[:, None], np.ones((size, 1)))


def hermitian(triples: Sequence[tuple[int, int, int]], orientations: int) -> Dependence:
    """Return the dependence of S4 of one map, which is Hermitian where j1 = j2.

    There the coefficient of `(l2, l1, l3)` is the conjugate of that of `(l1, l2, l3)`, and those
    of l1 = l2 are real. Kept are l2 <= l1 and no imaginary part for l1 = l2.

    Args:
        triples: scales along the first axis.
        orientations: number of orientations.

    Source: `docs/conventions.md`, "Vector of coefficients".
    """
    shape = (len(triples), *[orientations] * 3)
    at, l2, l1, l3 = np.indices(shape).reshape(4, -1)
    equal = np.array([j1 == j2 for j1, j2, _ in triples], dtype=bool)[at]
    conjugate = equal & (l2 > l1)
    first = np.ravel_multi_index((at, np.minimum(l1, l2), np.maximum(l1, l2), l3), shape)
    source = np.where(equal, first, np.arange(at.size))
    real, imaginary = np.ones(at.size), np.where(conjugate, -1.0, 1.0)
    imaginary[equal & (l1 == l2)] = 0
    return Dependence(
        np.stack([2 * source, 2 * source + 1], axis=-1).reshape(-1, 1),
        np.stack([real, imaginary], axis=-1).reshape(-1, 1),
    )


def combined(
    combine: Combination, fibres: int, orientations: int, of_complex: bool, is_complex: bool
) -> Dependence:
    """Return the dependence of a group whose coefficients were combined over orientations.

    Args:
        combine: what was done with the last axis, of length `orientations`.
        fibres: number of coefficients on the other axes.
        orientations: number of orientations.
        of_complex: whether complex coefficients were combined.
        is_complex: whether the results are.
    """
    rows = _weights(combine, orientations, of_complex)
    local = _independent_rows(_numbers(rows, is_complex))
    starts = len(local.source) * np.arange(fibres)[:, None, None]
    source = (starts + local.source).reshape(-1, local.source.shape[1])
    return Dependence(source, np.tile(local.weight, (fibres, 1)))


def combined_hermitian(
    combine: Combination, triples: Sequence[tuple[int, int, int]], orientations: int
) -> Dependence:
    """Return the dependence of S4 of one map after its orientations were combined.

    Where j1 = j2, the orientations combined at `(d1, d2)` are the conjugates of those combined at
    `(-d1, d2 - d1)`, which is the later one of the two or, for d1 = 0, the same.

    Args:
        combine: what was done with `l2` on the last axis.
        triples: scales along the first axis.
        orientations: number of orientations.

    Source: `docs/conventions.md`, "Vector of coefficients".
    """
    steps, weights = orientations, _weights(combine, orientations, True)
    whole = combined(combine, len(triples) * steps**2, steps, True, True)
    size = len(whole.source) // (len(triples) * steps**2)
    width = 2 * size  # of a pair of fibres, all numbers may be combined
    source = np.zeros((len(whole.source), width), dtype=int)
    weight = np.zeros(source.shape)
    source[:, : whole.source.shape[1]] = whole.source
    weight[:, : whole.weight.shape[1]] = whole.weight
    equal = np.array([at for at, (j1, j2, _) in enumerate(triples) if j1 == j2], dtype=int)
    number = np.arange(size)
    for d1 in range(steps):
        real, imaginary = weights[:steps], weights[steps:]
        if d1 == 0:
            found = _independent_rows(_numbers(real, True))
        else:
            conjugate = np.concatenate(
                [np.roll(real, -d1, axis=0), -np.roll(imaginary, -d1, axis=0)]
            )
            both = [_numbers(weights, True), _numbers(conjugate, True)]
            found = _independent_rows(np.concatenate(both))
        for d2 in range(steps):
            one, other = (d1, d2), (-d1 % steps, (d2 - d1) % steps)
            if other < one:
                continue
            fibres = [one] if one == other else [one, other]
            starts = [(equal * steps + e1) * steps + e2 for e1, e2 in fibres]
            place = (np.stack(starts, axis=1)[..., None] * size + number).reshape(len(equal), -1)
            terms = found.source.shape[1]
            source[place, :terms] = place[:, found.source]
            weight[place] = 0
            weight[place, :terms] = found.weight
    terms = max(1, int((weight != 0).sum(1).max(initial=0)))
    return Dependence(source[:, :terms], weight[:, :terms])


def _weights(combine: Combination, orientations: int, of_complex: bool) -> np.ndarray:
    """Return what the real parts and then the imaginary parts contribute, `[part l, harmonic]`.

    Raises:
        ValueError: the combination is not linear.
    """
    unit = np.eye(orientations)
    parts = np.concatenate([unit, 1j * unit]) if of_complex else unit
    probe = np.cos(np.arange(len(parts)) ** 2)  # any numbers
    with jax.ensure_compile_time_eval():
        found = np.asarray(combine(jnp.asarray(parts))).reshape(len(parts), -1)
        expected = np.asarray(combine(jnp.asarray(probe @ parts))).reshape(-1)
    if not np.allclose(probe @ found, expected, rtol=0, atol=1e-4 * np.abs(found).max()):
        raise ValueError(
            "reduction: got one that is not linear, expected weighted sums over orientations, for "
            "which it is known what is independent"
        )
    return found


def _numbers(weights: np.ndarray, is_complex: bool) -> Float[np.ndarray, "numbers parts"]:
    """Return the weights of the real numbers of a fibre: real and imaginary parts in turn."""
    if not is_complex:
        return np.real(weights).T
    return np.stack([np.real(weights), np.imag(weights)], axis=-1).reshape(len(weights), -1).T


def _independent_rows(rows: Float[np.ndarray, "k parts"]) -> Dependence:
    """Return which rows are independent of those before them, and the others from these."""
    return _independent_rows_of(rows.astype(np.float64).tobytes(), rows.shape)


@lru_cache(maxsize=256)
def _independent_rows_of(data: bytes, shape: tuple[int, ...]) -> Dependence:
    rows = np.frombuffer(data).reshape(shape)
    size = np.linalg.norm(rows, axis=1).max(initial=0)
    kept: list[int] = []
    directions = np.zeros((0, shape[1]))
    for at, row in enumerate(rows):
        rest = row - directions.T @ (directions @ row)
        if (length := np.linalg.norm(rest)) > _DEPENDENT * size:
            kept.append(at)
            directions = np.vstack([directions, rest / length])
    weights = np.linalg.lstsq(rows[kept].T, rows.T, rcond=None)[0].T if kept else rows[:, :0]
    near = np.round(weights)
    weights = np.where(np.abs(weights - near) < _ROUNDING, near, weights)
    terms = max(1, int((weights != 0).sum(1).max(initial=0)))
    source, weight = np.zeros((len(rows), terms), dtype=int), np.zeros((len(rows), terms))
    for at, row in enumerate(weights):
        used = np.flatnonzero(row)
        source[at, : used.size], weight[at, : used.size] = (
            np.array(kept, dtype=int)[used],
            row[used],
        )
    return Dependence(source, weight)
