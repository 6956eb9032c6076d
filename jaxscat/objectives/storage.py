"""Targets on disk: one `.npz` without pickle, written atomically."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxscat.io.archive import check_archive_name, read_archive, write_archive
from jaxscat.maps import check_kind, check_path
from jaxscat.objectives.target import GroupWeights, Normalization, Target, check_is_target, positive
from jaxscat.operators.spec import PyramidSpec
from jaxscat.reasons import reason_of
from jaxscat.statistics.alignment import Alignment, Turn
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.hidden import check_hidden
from jaxscat.statistics.indices import scale_pairs, scale_triples
from jaxscat.statistics.reduction import ReducedCovariance, Reduction
from jaxscat.statistics.storage import check_spec, spec_of

CONTENT, VERSION = "target", 1
_REDUCTIONS: dict[str, type[Reduction]] = {
    one.__name__: one for one in (IsotropicMean, FourierHarmonics)
}
_ARRAYS = ("mask", "second", "second_offset", "mask_threshold")


def save_target(path: str | os.PathLike[str], target: Target, spec: PyramidSpec) -> None:
    """Write a target to a `.npz` file, atomically.

    Args:
        path: file to write; an existing file is replaced once the new one is complete.
        target: from `make_target` or `target_from_statistics`.
        spec: spec of the pyramid it was made with, `pyramid.spec`.

    Raises:
        ValueError: a target of several fields, or of another pyramid; a reduction of one's own,
            which no file can hold; a name with another suffix than .npz, or what is there is no
            regular file.
        OSError: the folder is missing or cannot be written.

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> map = np.random.default_rng(0).gamma(2.0, size=192)
        >>> target = jaxscat.make_target(map, pyramid)
        >>> jaxscat.save_target("target.npz", target, pyramid.spec)
        >>> loaded = jaxscat.load_target("target.npz", pyramid.spec)
        >>> bool(jaxscat.map_loss(-map, pyramid, loaded) == jaxscat.map_loss(-map, pyramid, target))
        True

    Source: `docs/conventions.md`, "Files of coefficients".
    """
    check_path(path)
    check_archive_name(path)
    check_is_target(target)
    check_kind(spec, PyramidSpec, "spec", "the spec of a pyramid, pyramid.spec")
    _check_fit(target, spec, "target")
    arrays: dict[str, Any] = {}
    for name, groups in (("mean", target.mean), ("sigma", target.sigma)):
        arrays |= {f"{name}_{group.lower()}": array for group, array in groups.groups().items()}
    arrays |= {name: getattr(target, name) for name in _ARRAYS}
    if target.normalization is not None:
        arrays["power"] = target.normalization.power
        arrays["second_power"] = target.normalization.second_power
    if target.alignment is not None:
        for kind in ("outer", "inner"):
            for at, turn in enumerate(getattr(target.alignment, kind)):
                of_turn = {name: getattr(turn, name) for name in ("whole", "near", "far")}
                arrays |= {f"{kind}_{at}_{name}": array for name, array in of_turn.items()}
    header = {
        "spec": dataclasses.asdict(spec),
        "kind": target.mean.kind,
        "both_triangles": target.mean.both_triangles,
        "weights": target.weights,
        "hidden": target.hidden,
        "normalized": target.normalization is not None,
        "reduction": _describe_reduction(target.reduction),
        "aligned": None if target.alignment is None else len(target.alignment.outer),
    }
    there = {name: np.asarray(array) for name, array in arrays.items() if array is not None}
    write_archive(path, CONTENT, VERSION, header, there)


def load_target(path: str | os.PathLike[str], spec: PyramidSpec | None = None) -> Target:
    """Read the target of a file written by `save_target`.

    Args:
        path: file to read.
        spec: spec of the pyramid that the target is to be used with; None accepts any.

    Returns:
        the target, to the last bit; its arrays are NumPy's where JAX, in 32-bit mode, has no such
        type.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, of another format or has other contents; or the target was
            made with another pyramid than `spec`.

    Source: `docs/conventions.md`, "Files of coefficients".
    """
    check_path(path)
    check_kind(spec, PyramidSpec | None, "spec", "the spec of a pyramid, pyramid.spec, or None")
    header, arrays = read_archive(path, CONTENT, VERSION)
    try:
        found = spec_of(header)
        target = _build(header, arrays)
        _check_fit(target, found, "target")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"path: got {path}, whose header and arrays do not fit this version of jaxscat "
            f"({reason_of(error)})"
        ) from error
    check_spec(path, found, spec)
    return target


def _build(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Target:
    """Return the target of a file's header and arrays; whatever is wrong raises an exception."""
    left = dict(arrays)

    def take(name: str) -> Any:
        array = left.pop(name, None)
        if array is None:
            return None
        held = jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype
        return jnp.asarray(array) if held else array

    def groups(name: str) -> dict[str, Any]:
        of_it = [key for key in left if key.startswith(f"{name}_s")]
        return {key.removeprefix(f"{name}_"): take(key) for key in of_it}

    reduction = _build_reduction(header["reduction"])
    how: dict[str, Any] = {"both_triangles": header["both_triangles"]}
    if not isinstance(how["both_triangles"], bool):
        raise ValueError(f"both_triangles: got {how['both_triangles']!r}")
    kind: Any = ScatteringCovariance
    if reduction is not None:
        kind, how = ReducedCovariance, {**how, "reduction": reduction}
    mean, sigma = kind(**groups("mean"), **how), kind(**groups("sigma"), **how)
    if header["kind"] != mean.kind:
        raise ValueError(f"kind: got {header['kind']}, expected {mean.kind} as the arrays are")
    normalization = None
    if header["normalized"]:
        normalization = Normalization(take("power"), take("second_power"))
    alignment = None
    if header["aligned"] is not None:
        turns = {
            kind: tuple(
                Turn(**{name: take(f"{kind}_{at}_{name}") for name in ("whole", "near", "far")})
                for at in range(header["aligned"])
            )
            for kind in ("outer", "inner")
        }
        alignment = Alignment(**turns)
        if len(jax.tree.leaves(alignment)) < 3 * 2 * header["aligned"]:
            raise ValueError(f"aligned: got {header['aligned']}, expected the rotations of each")
    target = Target(
        mean=mean,
        sigma=sigma,
        **{name: take(name) for name in _ARRAYS},
        normalization=normalization,
        reduction=reduction,
        alignment=alignment,
        weights=header["weights"],
        hidden=header["hidden"],
    )
    if left:
        raise ValueError(f"got arrays {', '.join(sorted(left))} that are not known")
    return target


def _check_fit(target: Target, spec: PyramidSpec, name: str) -> None:
    """Refuse a target whose arrays do not fit a spec and each other with a `ValueError`."""
    expected = _shapes(target, spec)
    for of, groups in (("mean", target.mean), ("sigma", target.sigma)):
        if groups.groups().keys() != expected.keys():
            raise ValueError(f"{name}: got {list(groups.groups())} as its {of}")
        for group, array in groups.groups().items():
            if array.shape != expected[group]:
                raise ValueError(
                    f"{name}: got {group} of shape {tuple(array.shape)} as its {of}, expected "
                    f"{expected[group]} for {spec.scales} scales and {spec.orientations} "
                    "orientations of the spec"
                )
            real = of == "sigma" or group in ("S0", "S1", "S2")
            if array.dtype.kind != ("f" if real else "c"):
                raise ValueError(f"{name}: got {group} of {array.dtype} as its {of}")
    positive(target.sigma, name)
    for pixels in (target.mask, target.second):
        if pixels is not None and pixels.shape[-1] != spec.npix:
            raise ValueError(
                f"{name}: got {pixels.shape[-1]} pixels, expected {spec.npix} as in the spec"
            )
    if (target.mean.kind == "cross") != (target.second is not None):
        raise ValueError(f"{name}: got {target.mean.kind} coefficients and another number of maps")
    if target.mean.both_triangles and target.second is None:
        raise ValueError(f"{name}: got both triangles of S4 of one map, expected one")
    check_hidden(target.hidden, target.mask)
    if target.weights not in get_args(GroupWeights):
        raise ValueError(f"weights: got {target.weights!r}, expected {get_args(GroupWeights)}")


def _shapes(target: Target, spec: PyramidSpec) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the groups that a target of a spec has."""
    # Hidden pixels may have left the coarsest scales out.
    scales = min(target.mean.scales, spec.scales) if target.hidden == "interior" else spec.scales
    kept, steps = target.covariance_scales, spec.orientations
    masks = () if target.mask is None else target.mask.shape[:-1]
    pairs = (len(scale_pairs(kept)), steps, steps)
    triples = (len(scale_triples(kept, target.mean.both_triangles)), steps, steps, steps)

    def group(*shape: int, dtype: Any = np.float32) -> Any:
        return jax.ShapeDtypeStruct((*masks, *shape), dtype)

    crossed = {} if target.second is None else {"s3p": group(*pairs, dtype=np.complex64)}
    whole = ScatteringCovariance(
        s0=group(2),
        s1=group(scales, steps),
        s2=group(scales, steps),
        s3=group(*pairs, dtype=np.complex64),
        s4=group(*triples, dtype=np.complex64),
        both_triangles=target.mean.both_triangles,
        **crossed,
    )
    found = whole if target.reduction is None else jax.eval_shape(target.reduction.mean, whole)
    return {name: tuple(array.shape) for name, array in found.groups().items()}


def _describe_reduction(reduction: Reduction | None) -> dict[str, Any] | None:
    if reduction is None:
        return None
    name = type(reduction).__name__
    if _REDUCTIONS.get(name) is not type(reduction):
        raise ValueError(
            f"target: got the reduction {name}, which a file cannot hold, expected one of "
            f"{', '.join(_REDUCTIONS)}; save the target without it, and reduce what is loaded"
        )
    return {"name": name, **dataclasses.asdict(reduction)}  # pyright: ignore[reportArgumentType]


def _build_reduction(described: Mapping[str, Any] | None) -> Reduction | None:
    if described is None:
        return None
    settings = dict(described)
    return _REDUCTIONS[settings.pop("name")](**settings)
