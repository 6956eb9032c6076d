"""Orientation alignment: orientations relative to the locally dominant one."""

from collections.abc import Iterator
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float, Int

from jaxscat.operators.apply import convolve_level, downsample_level
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.operators.symmetry import unfold
from jaxscat.statistics.checks import prepare_mask, stack_maps
from jaxscat.statistics.convolved import WholeFields
from jaxscat.statistics.hidden import Hidden, check_hidden, prepare_shown
from jaxscat.statistics.moments import modulus
from jaxscat.statistics.scales import Scale, enter_flat, standardize
from jaxscat.statistics.weights import ScaleWeights, Weights

Compatibility = Literal["foscat"] | None


class Turn(eqx.Module):
    """Rotation of the orientations of every pixel, interpolated between whole orientations.

    Attributes:
        whole: number of orientations to rotate by, from 0 to L - 1.
        near: weight of the rotation by `whole`.
        far: weight of the rotation by `whole + 1`; both weights sum to one.
    """

    whole: Int[Array, "*shape p"]
    near: Float[Array, "*shape p"]
    far: Float[Array, "*shape p"]

    def apply(self, fields: Array, axis: int) -> Array:
        """Rotate the orientations on a (negative) axis of fields whose last axis is pixels."""
        orientations = fields.shape[axis]
        steps = jnp.arange(orientations, dtype=self.whole.dtype)
        steps = steps.reshape(*[1] * (fields.ndim + axis), -1, *[1] * (-axis - 1))
        missing = tuple(range(fields.ndim - 1 - self.whole.ndim))

        def expanded(values: Array) -> Array:
            return jnp.expand_dims(values, (*missing, axis))

        first = steps + expanded(self.whole)
        first, second = first % orientations, (first + 1) % orientations
        near, far = (expanded(weight).astype(fields.dtype) for weight in (self.near, self.far))
        one, other = (
            jnp.take_along_axis(fields, jnp.broadcast_to(at, fields.shape), axis)
            for at in (first, second)
        )
        return near * one + far * other


class Alignment(eqx.Module):
    """Rotations to the dominant orientation at every scale, found in one map and applied to any.

    Attributes:
        outer: rotations `[p]` of the coefficients, one per scale.
        inner: rotations of `l2` of the convolved moduli, `[j2, l3, p]`, one per scale `j3`; with
            `compatibility="foscat"` the axis of `j2` has length one.

    Source: FOSCAT's `stat_cfft`; `docs/conventions.md`, "Orientation alignment".
    """

    outer: tuple[Turn, ...]
    inner: tuple[Turn, ...]

    def finest(self, scales: int) -> "Alignment":
        """Return the rotations of the finest scales only."""
        return Alignment(self.outer[:scales], self.inner[:scales])


def align_orientations(
    map: Float[ArrayLike, " p"],
    pyramid: Pyramid,
    *,
    mask: Float[ArrayLike, "*M p"] | None = None,
    hidden: Hidden = "exclude",
    compatibility: Compatibility = None,
) -> Alignment:
    """Find the locally dominant orientation of a map at every scale.

    Args:
        map: real NESTED map.
        pyramid: operators for its nside.
        mask, hidden: as for `measure`; weights do not matter, only which pixels are hidden.
        compatibility: None; or "foscat" to derive the rotation of every convolved modulus from
            the modulus of the same scale `j3`, and to round weights to float32, as the FOSCAT
            package does.

    Returns:
        alignment for `measure(..., alignment=...)`, a constant under differentiation.

    Raises:
        ValueError: a bad map or mask (as `measure`), or an unknown compatibility.

    Source: FOSCAT's `stat_cfft`; `docs/conventions.md`, "Orientation alignment".
    """
    if compatibility not in (None, "foscat"):
        raise ValueError(f"compatibility: got {compatibility!r}, expected None or 'foscat'")
    spec = check_pyramid(pyramid)
    weights = prepare_mask(mask, spec)
    check_hidden(hidden, weights)
    maps, _ = stack_maps([prepare_shown(map, weights, spec, hidden)])
    return _find_turns(maps, pyramid, compatibility == "foscat")


@eqx.filter_jit
def _find_turns(maps: Float[Array, "1 p"], pyramid: Pyramid, foscat: bool) -> Alignment:
    spec = pyramid.spec
    field = enter_flat(standardize(jax.lax.stop_gradient(maps)), pyramid)
    moduli = jnp.zeros((0, spec.orientations, field.shape[-1]), field.dtype)
    outer, inner = [], []
    for scale, level in enumerate(pyramid.levels):
        coefficients = convolve_level(field[0], level, spec)
        strength = jnp.abs(coefficients)
        turn = _dominant_turn(strength, axis=-2)
        if foscat:
            seen = turn.apply(strength, axis=-2)[None]
        else:
            aligned = turn.apply(coefficients, axis=-2)
            newest = modulus(aligned.real, aligned.imag)
            seen = moduli = jnp.concatenate([moduli, newest[None]])
        # Axes j2, l2, l3, pixel: l2 is rotated, for every l3 on its own.
        again = _dominant_turn(jnp.abs(convolve_level(seen, level, spec)), axis=-3)
        outer.append(_rounded(turn) if foscat else turn)
        inner.append(_rounded(again) if foscat else again)
        if scale + 1 < len(pyramid.levels):
            field = downsample_level(field, level, spec)
            if not foscat:
                moduli = downsample_level(moduli, level, spec)
    return Alignment(tuple(outer), tuple(inner))


def _dominant_turn(strength: Float[Array, "*shape p"], axis: int) -> Turn:
    """Return the rotation that brings the dominant orientation to the first place of an axis."""
    orientations = strength.shape[axis]
    angles = 2 * np.pi * np.arange(orientations) / orientations
    strength = jnp.moveaxis(strength, axis, -1)
    angles = angles.reshape(*[1] * (strength.ndim - 1), -1)
    along, across = (
        (strength * jnp.asarray(wave(angles), strength.dtype)).mean(-1) for wave in (np.cos, np.sin)
    )
    # An angle just below zero can round to a full turn.
    place = orientations * (jnp.arctan2(across, along) % (2 * np.pi)) / (2 * np.pi)
    whole = jnp.minimum(jnp.floor(place), orientations - 1)
    angle = np.pi / 2 * (place - whole)
    return Turn(whole.astype(jnp.int32), near=jnp.cos(angle) ** 2, far=jnp.sin(angle) ** 2)


def _rounded(turn: Turn) -> Turn:
    near, far = (weight.astype(jnp.float32) for weight in (turn.near, turn.far))
    return Turn(turn.whole, near.astype(turn.near.dtype), far.astype(turn.far.dtype))


def walk_aligned(
    maps: Float[Array, "m p"],
    pyramid: Pyramid,
    masks: Iterator[ScaleWeights],
    covariances: int,
    alignment: Alignment,
) -> Iterator[Scale]:
    """Yield every scale as `walk_scales` does, with aligned orientations.

    Fields are not folded (their axis of sectors has length one): aligned orientations are the same
    in all sectors.

    Raises:
        ValueError: the alignment belongs to other scales, pixels or orientations.
    """
    spec = pyramid.spec
    _check_fit(alignment, pyramid)
    field = enter_flat(standardize(maps), pyramid)
    moduli = jnp.zeros((field.shape[0], 0, spec.orientations, field.shape[-1]), field.dtype)
    for scale, (level, weights) in enumerate(zip(pyramid.levels, masks, strict=True)):
        coefficients = alignment.outer[scale].apply(convolve_level(field, level, spec), axis=-2)
        newest = modulus(coefficients.real, coefficients.imag)
        fields = coefficients[:, :, None]  # map, l3, field, pixel
        if scale < covariances:
            moduli = jnp.concatenate([moduli, newest[:, None]], axis=1)
            again = convolve_level(moduli, level, spec)
            again = alignment.inner[scale].apply(again, axis=-3)
            again = again.transpose(0, 3, 1, 2, 4).reshape(*fields.shape[:2], -1, fields.shape[-1])
            fields = jnp.concatenate([fields, again], axis=2)
        parts = jnp.concatenate([fields.real, fields.imag], axis=2)
        yield Scale(
            weights=_unfolded_weights(weights.weights, spec),
            coefficients=_in_parts(coefficients),
            newest=newest[:, :, None],
            convolved=WholeFields(parts[:, :, None], _unfolded_weights(weights.pair_weights, spec)),
        )
        if scale + 1 < len(pyramid.levels):
            field = downsample_level(field, level, spec)
            if scale + 1 < covariances:
                moduli = downsample_level(moduli, level, spec)


def _check_fit(alignment: Alignment, pyramid: Pyramid) -> None:
    pixels = [level.npix for level in pyramid.levels]
    turned = [turn.whole.shape[-1] for turn in alignment.outer]
    orientations = {turn.whole.shape[-2] for turn in alignment.inner}
    if turned != pixels or orientations != {pyramid.spec.orientations}:
        raise ValueError(
            f"alignment: got turns of {sorted(orientations)} orientations at scales of {turned} "
            f"pixels, expected {pyramid.spec.orientations} orientations and {pixels} pixels"
        )


def _in_parts(coefficients: Complex[Array, "m L p"]) -> Float[Array, "L 1 2 m p"]:
    parts = jnp.stack([coefficients.real, coefficients.imag])
    return parts.transpose(2, 0, 1, 3)[:, None]


def _unfolded_weights(weights: Weights, spec: PyramidSpec) -> Weights:
    if weights.rows is None:
        return weights
    return Weights(unfold(weights.rows, spec.row_major)[:, None], weights.total)
