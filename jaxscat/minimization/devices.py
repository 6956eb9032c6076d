"""The lanes of a batch shared out among devices; each device goes on with its own by itself."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from jaxtyping import Array, Bool, Float, Int

from jaxscat.minimization.lanes import Lanes, begin, replace_lanes, take_lanes
from jaxscat.minimization.lbfgs import advance
from jaxscat.objectives.target import Target
from jaxscat.operators.memory import available_bytes
from jaxscat.operators.pyramid import Pyramid
from jaxscat.parametrizations.form import Form, maps_of_lanes

_AXIS = "lanes"
_LANES, _WHOLE, _ROWS = PartitionSpec(_AXIS), PartitionSpec(), PartitionSpec(None, _AXIS)
_NONE: Mapping[str, Any] = MappingProxyType({})


class Devices:
    """Several devices, or the default one, with equally many lanes on each.

    What is done to lanes is what `jaxscat.minimization.lanes` and `lbfgs` do, on every device to
    its own lanes, by `jax.shard_map`. No device waits for another before `advance` has ended.

    Attributes:
        count: number of devices.

    Source: `docs/conventions.md`, "Devices and hosts".
    """

    def __init__(
        self,
        devices: Sequence[jax.Device] | None = None,  # pyright: ignore[reportInvalidTypeForm]
    ) -> None:
        # One device needs no mesh, and the default device may be one that JAX was told.
        given = [] if devices is None else list(devices)
        self._mesh = Mesh(np.asarray(given), (_AXIS,)) if len(given) > 1 else None
        self._device = given[0] if len(given) == 1 else None
        self.count = max(1, len(given))

    def copied(self, tree: Any) -> Any:
        """Put a whole pytree on every device."""
        if self._mesh is not None:
            return jax.device_put(tree, NamedSharding(self._mesh, _WHOLE))
        return tree if self._device is None else jax.device_put(tree, self._device)

    def shared_out(self, tree: Any) -> Any:
        """Put a pytree whose leading axis counts lanes on the devices, each its own lanes."""
        if self._mesh is not None:
            return jax.device_put(tree, NamedSharding(self._mesh, _LANES))
        return jax.device_put(tree, self._device)

    def begin(
        self, starts: Float[np.ndarray, "B *shape"], used: Bool[np.ndarray, " B"], memory: int
    ) -> Lanes:
        """Return lanes whose first evaluation is that of their start; unused ones have ended."""
        shared = self.shared_out((starts, used))
        return begin(*shared, memory) if self._mesh is None else _begin(*shared, memory, self._mesh)

    def advance(
        self,
        lanes: Lanes,
        pyramid: Pyramid,
        target: Target,
        unit: np.floating,
        count: np.integer,
        max_steps: np.integer,
        gradient_tolerance: np.floating,
        chunk: int,
        options: Mapping[str, Any] = _NONE,
    ) -> tuple[Lanes, Float[Array, "chunk B"], Int[Array, "chunk B"]]:
        """Evaluate all lanes up to `count` times, as `jaxscat.minimization.lbfgs.advance`.

        `options` are those of its last operands that are asked for, by their names.
        """
        operands = (lanes, pyramid, target, unit, count, max_steps, gradient_tolerance)
        if self._mesh is None:
            return advance(*operands, chunk, **options)
        return _advance(dict(options), *operands, chunk, self._mesh)

    def step_bytes(
        self,
        starts: jax.ShapeDtypeStruct,
        memory: int,
        pyramid: Pyramid,
        target: Target,
        chunk: int,
        options: Mapping[str, Any] = _NONE,
    ) -> int | None:
        """Return the bytes that `advance` takes on each device beside pyramid, target and form.

        It is compiled for that, and not again when it is called.

        Args:
            starts: shape and type of one start for every lane of all devices.
            memory, pyramid, target, chunk, options: as for `begin` and `advance`.

        Returns:
            what the compiler says; None where it says nothing.

        Source: `docs/conventions.md`, "Batches and memory".
        """
        used = jax.ShapeDtypeStruct(starts.shape[:1], bool)
        lanes = jax.eval_shape(partial(begin, memory=memory), starts, used)
        sharding = None
        if self._mesh is not None:
            sharding = NamedSharding(self._mesh, _LANES)
        elif self._device is not None:
            sharding = SingleDeviceSharding(self._device)
        lanes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), lanes
        )
        real, integer = starts.dtype.type(1), np.int32(1)
        operands = (lanes, pyramid, target, real, integer, integer, real)
        if self._mesh is None:
            compiled = advance.lower(*operands, chunk, **options).compile()
        else:
            compiled = _advance.lower(dict(options), *operands, chunk, self._mesh).compile()
        found: Any = compiled.memory_analysis()
        if found is None:
            return None
        # Not all arguments: the program has none of the tables that it does not use.
        carried = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(lanes))
        together = carried // self.count + found.output_size_in_bytes
        return together - found.alias_size_in_bytes + found.temp_size_in_bytes

    def free_bytes(self) -> int | None:
        """Return how many bytes are free on each device, or None where it does not tell."""
        if self.platform == "cpu":
            free = available_bytes()
            return None if free is None else free // self.count
        figures = [device.memory_stats() for device in self._all()]
        if not all(stats and "bytes_limit" in stats for stats in figures):
            return None
        return min(stats["bytes_limit"] - stats["bytes_in_use"] for stats in figures)

    @property
    def platform(self) -> str:
        """What the devices are: "cpu", "gpu" or "tpu"."""
        return self._all()[0].platform

    def _all(self) -> list[Any]:
        if self._mesh is not None:
            return list(self._mesh.devices.flat)
        return list(jax.device_put(np.int32(0), self._device).devices())

    def maps_of_lanes(
        self, fields: Float[Array, "B *shape"], form: Form
    ) -> Float[Array, "B *shape"]:
        """Return the map or the maps of every lane, as `form.maps_of_lanes`."""
        if self._mesh is None:
            return maps_of_lanes(fields, form)
        return _maps_of_lanes(fields, form, self._mesh)

    def replace_lanes(
        self,
        lanes: Lanes,
        chosen: Bool[np.ndarray, " B"],
        starts: Float[np.ndarray, "B *shape"],
    ) -> Lanes:
        """Let other syntheses begin in some of the lanes."""
        shared = self.shared_out((chosen, starts))
        if self._mesh is None:
            return replace_lanes(lanes, *shared)
        return _replace_lanes(lanes, *shared, self._mesh)

    def take_lanes(self, lanes: Lanes, indices: Int[np.ndarray, "devices K"]) -> Lanes:
        """Return a batch of some lanes of every device, by their numbers on the device."""
        shared = self.shared_out(indices.reshape(-1))
        if self._mesh is None:
            return take_lanes(lanes, shared)
        return _take_lanes(lanes, shared, self._mesh)


@partial(jax.jit, static_argnames=("memory", "mesh"))
def _begin(starts: Array, used: Array, memory: int, mesh: Mesh) -> Lanes:
    function = partial(begin, memory=memory)
    return jax.shard_map(function, mesh=mesh, in_specs=_LANES, out_specs=_LANES, check_vma=False)(
        starts, used
    )


@partial(jax.jit, static_argnames=("chunk", "mesh"), donate_argnames="lanes")
def _advance(
    options: dict[str, Any],
    lanes: Lanes,
    pyramid: Pyramid,
    target: Target,
    unit: Array,
    count: Array,
    max_steps: Array,
    gradient_tolerance: Array,
    chunk: int,
    mesh: Mesh,
) -> tuple[Lanes, Array, Array]:
    return jax.shard_map(
        lambda options, *operands: advance(*operands, chunk, **options),
        mesh=mesh,
        in_specs=(_WHOLE, _LANES, *[_WHOLE] * 6),
        out_specs=(_LANES, _ROWS, _ROWS),
        check_vma=False,  # the loops of the devices have lengths of their own
    )(options, lanes, pyramid, target, unit, count, max_steps, gradient_tolerance)


@partial(jax.jit, static_argnames="mesh")
def _maps_of_lanes(fields: Array, form: Form, mesh: Mesh) -> Array:
    return jax.shard_map(
        maps_of_lanes, mesh=mesh, in_specs=(_LANES, _WHOLE), out_specs=_LANES, check_vma=False
    )(fields, form)


@partial(jax.jit, static_argnames="mesh", donate_argnames="lanes")
def _replace_lanes(lanes: Lanes, chosen: Array, starts: Array, mesh: Mesh) -> Lanes:
    return jax.shard_map(
        replace_lanes, mesh=mesh, in_specs=_LANES, out_specs=_LANES, check_vma=False
    )(lanes, chosen, starts)


@partial(jax.jit, static_argnames="mesh")
def _take_lanes(lanes: Lanes, indices: Array, mesh: Mesh) -> Lanes:
    return jax.shard_map(take_lanes, mesh=mesh, in_specs=_LANES, out_specs=_LANES, check_vma=False)(
        lanes, indices
    )


def local_devices() -> list[Any] | None:
    """Return the devices of this process, or None (the default one) where there is no choice."""
    devices = jax.local_devices()
    chosen = jax.config.jax_default_device is not None  # pyright: ignore
    return None if chosen or len(devices) == 1 else devices
