"""Pyramids whose operators are shared among several devices, for maps too large for one."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxscat.maps import describe
from jaxscat.operators.dense import DenseTable
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.product import Table
from jaxscat.operators.pyramid import Level, Pyramid, check_pyramid
from jaxscat.operators.rows import RowTable
from jaxscat.operators.shared_faces import SharedFaceTable, can_share_faces, share_faces
from jaxscat.operators.shared_rows import AXIS, SharedRowTable, can_share_rows, share_rows

_DENSE_ROWS = PartitionSpec(None, None, None, AXIS)
_WHOLE = PartitionSpec()


def shard_pyramid(
    pyramid: Pyramid,
    devices: Sequence[jax.Device] | None = None,  # pyright: ignore[reportInvalidTypeForm]
) -> Pyramid:
    """Share the operators of a pyramid among devices, each of which computes a part of every map.

    `measure`, `map_loss`, their derivatives and all else that takes a pyramid then run on all of
    the devices: operators and intermediate fields are divided among them. Only what is as small as
    a few maps, and the coarsest scales, are whole on each. Results differ by rounding only.

    Args:
        pyramid: operators of the full sky. Where they do not fit on one device, build or load them
            on the host, within `with jax.default_device(jax.devices("cpu")[0])`.
        devices: devices of this process, all of one kind; None takes all of the default kind. Their
            number has to divide the finest scale, as a power of two does, or three times one.

    Returns:
        the pyramid on the devices, with the same specification.

    Raises:
        ValueError: no pyramid, one of a patch or one that is shared already; no devices, one that
            is listed twice, that belongs to another process or is of another kind than the first;
            or as many as the finest scale cannot be shared among.

    Examples:
        >>> import jax, jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(8)
        >>> map = np.random.default_rng(0).normal(size=768)
        >>> shared = jaxscat.shard_pyramid(pyramid, jax.local_devices())
        >>> statistics = jaxscat.measure(map, shared)

    Source: `docs/conventions.md`, "Several devices".
    """
    spec = check_pyramid(pyramid)
    if spec.cell_count is not None:
        raise ValueError("pyramid: got one of a patch, expected one of the full sky")
    if is_shared(pyramid):
        raise ValueError("pyramid: got one that is shared among devices already")
    chosen = _check_devices(devices)
    if len(chosen) == 1:
        return jax.device_put(pyramid, chosen[0])
    finest = pyramid.levels[0].stencil
    fitting = [count for count in range(1, len(chosen) + 1) if _can_share(finest, count)]
    if fitting[-1] != len(chosen):
        raise ValueError(
            f"devices: got {len(chosen)}, among which the {finest.rows} rows of a sector of the "
            f"finest scale cannot be shared, expected a number such as {fitting[-1]}"
        )
    mesh = Mesh(np.asarray(chosen), (AXIS,))
    levels = [
        Level(
            _share(level.stencil, mesh),
            None if level.downsampling is None else _share(level.downsampling, mesh),
            None,
            level.nside,
        )
        for level in pyramid.levels
    ]
    order = None
    if pyramid.order is not None:
        order = jax.device_put(pyramid.order, NamedSharding(mesh, _WHOLE))
    return Pyramid(tuple(levels), order, spec)


def is_shared(pyramid: Pyramid) -> bool:
    """Return whether the tables of a pyramid are made for several devices."""
    return isinstance(pyramid.levels[0].stencil, SharedRowTable | SharedFaceTable)


def _check_devices(devices: Any) -> list[Any]:
    if devices is None:
        return jax.local_devices()
    wanted = "expected a list of JAX devices such as jax.local_devices(), or None"
    if not isinstance(devices, Sequence) or not devices or isinstance(devices, str):
        raise ValueError(f"devices: got {describe(devices)}, {wanted}")
    strange = [device for device in devices if not isinstance(device, jax.Device)]
    if strange:
        raise ValueError(f"devices: got {describe(strange[0])} among them, {wanted}")
    if len(set(devices)) < len(devices):
        raise ValueError(f"devices: got a device twice among {devices!r}, expected different ones")
    for device in devices:
        if device.process_index != jax.process_index():
            raise ValueError(f"devices: got {device} of another process, expected this one's")
        if device.platform != devices[0].platform:
            raise ValueError(
                f"devices: got {devices[0].platform} and {device.platform}, expected one kind"
            )
    return list(devices)


def _can_share(table: Table, devices: int) -> bool:
    if isinstance(table, RowTable):
        return can_share_rows(table, devices)
    if isinstance(table, FaceTable):
        return can_share_faces(table, devices)
    return table.rows % devices == 0


def _share(table: Table, mesh: Mesh) -> Table:
    """Share a table if it can be done, and put it whole on every device otherwise."""
    if not _can_share(table, mesh.size):
        return jax.device_put(table, NamedSharding(mesh, _WHOLE))
    if isinstance(table, RowTable):
        return share_rows(table, mesh)
    if isinstance(table, FaceTable):
        return share_faces(table, mesh)
    # A product of dense matrices is one that the partitioner divides by itself.
    assert isinstance(table, DenseTable)
    return jax.device_put(table, NamedSharding(mesh, _DENSE_ROWS))
