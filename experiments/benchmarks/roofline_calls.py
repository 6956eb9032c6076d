"""The operations of `map_loss` by themselves, level by level, to be timed beside their floors."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
from jaxtyping import Array

import jaxscat
from experiments.benchmarks import roofline_counts as counts
from experiments.benchmarks.harness import compile_apart, repeated
from experiments.benchmarks.roofline_counts import Channels, walk_levels
from jaxscat.operators.product import Table, collect, spread
from jaxscat.statistics.moments import gram, modulus

Call = tuple[Callable[..., Any], tuple[Any, ...]]


def _gram(fields: Array) -> Array:
    return gram(fields, None)


def _gram_reverse(fields: Array, cotangent: Array) -> Any:
    return jax.vjp(_gram, fields)[1](cotangent)


def _modulus_reverse(real: Array, imaginary: Array, cotangent: Array) -> Any:
    return jax.vjp(modulus, real, imaginary)[1](cotangent)


def build_calls(
    channels: Channels, spec: jaxscat.PyramidSpec, maps: int
) -> Iterator[tuple[str, Call]]:
    """Yield the functions of a level with operands, under the names of their operations.

    An operation that is called more than once comes as often.
    """
    level, orientations, sectors = channels.level, spec.orientations, spec.sectors
    keys = iter(jax.random.split(jax.random.key(0), 16))

    def draw(*shape: int) -> Array:
        return jax.random.normal(next(keys), shape, spec.dtype)

    def product(table: Table, names: tuple[str, str], fields: int) -> Iterator[tuple[str, Call]]:
        outputs = table.orientations, table.parts, maps * fields, sectors, table.rows
        yield names[0], (spread, (table, draw(maps * fields, sectors, table.in_rows)))
        yield names[1], (collect, (table, draw(*outputs)))

    for fields in channels.convolved:
        yield from product(level.stencil, (counts.SPREAD, counts.COLLECT), fields)
    if level.downsampling is not None and channels.leaving:
        yield from product(level.downsampling, (counts.DOWN, counts.UP), channels.leaving)
    rows = level.npix // sectors
    size = 2 * channels.paired
    fields = draw(maps, orientations, sectors, size, rows)
    yield counts.GRAM, (_gram, (fields,))
    sums = draw(maps, orientations, sectors, size, size)
    yield counts.GRAM_REVERSE, (_gram_reverse, (fields, sums))
    parts = [draw(orientations, maps, sectors, rows) for _ in range(3)]
    yield counts.MODULUS, (modulus, tuple(parts[:2]))
    yield counts.MODULUS_REVERSE, (_modulus_reverse, tuple(parts))


def time_operations(
    pyramid: jaxscat.Pyramid, covariances: int, maps: int, repeat: int
) -> Iterator[tuple[int, str, float]]:
    """Yield nside, operation and median seconds, compiled and warm, one after the other.

    Args:
        pyramid, covariances, maps: as for `count_work`.
        repeat: number of calls.
    """
    for channels in walk_levels(pyramid, covariances):
        for name, (function, operands) in build_calls(channels, pyramid.spec, maps):
            compiled, _ = compile_apart(function, *operands)
            found = repeated(lambda run=compiled, given=operands: run(*given), repeat)
            yield channels.level.nside, name, found["median_seconds"]
