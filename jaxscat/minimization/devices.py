"""The lanes of a batch sharded over devices; each device advances its own by itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from jaxtyping import Bool, Float, Int

from jaxscat.minimization import lanes as batched
from jaxscat.minimization.lane import Lane, Minimizer
from jaxscat.minimization.problem import Problem
from jaxscat.operators.memory import available_bytes

_AXIS = "lanes"
_LANES, _WHOLE, _ROWS = PartitionSpec(_AXIS), PartitionSpec(), PartitionSpec(None, _AXIS)


class Devices:
    """Several devices, or the default one, with equally many lanes on each.

    Lanes are changed by the functions of `jaxscat.minimization.lanes`, on every device for its own
    lanes, by `jax.shard_map`. No device waits for another before `advance` has ended.

    Args:
        devices: those over which lanes are sharded; None for the default one.
        shared: the devices among which the operators of the loss are shared; they advance all
            lanes together.

    Attributes:
        count: number of devices.

    Source: `docs/conventions.md`, "Devices and hosts".
    """

    def __init__(
        self,
        devices: Sequence[jax.Device] | None = None,  # pyright: ignore[reportInvalidTypeForm]
        shared: Mesh | None = None,
    ) -> None:
        # One device needs no mesh, and the default device may be one that JAX was told.
        given = [] if devices is None else list(devices)
        self._shared = None if shared is None else NamedSharding(shared, _WHOLE)
        self._mesh = Mesh(np.asarray(given), (_AXIS,)) if len(given) > 1 else None
        self._device = given[0] if len(given) == 1 else None
        self.count = max(1, len(given))

    @property
    def platform(self) -> str:
        """Kind of the devices: "cpu", "gpu" or "tpu"."""
        return self._all()[0].platform

    def replicate(self, tree: Any) -> Any:
        """Put a whole pytree on every device."""
        if self._mesh is not None:
            return jax.device_put(tree, NamedSharding(self._mesh, _WHOLE))
        return tree if self._device is None else jax.device_put(tree, self._device)

    def shard(self, tree: Any) -> Any:
        """Put a pytree whose leading axis counts lanes on the devices, each its own lanes."""
        if self._mesh is not None:
            return jax.device_put(tree, NamedSharding(self._mesh, _LANES))
        return jax.device_put(tree, self._shared or self._device)

    def begin(
        self, starts: Float[np.ndarray, "B n"], used: Bool[np.ndarray, " B"], minimizer: Minimizer
    ) -> Lane:
        """Return lanes whose first evaluation is that of their start; unused ones have ended."""
        function = self._on_devices(batched.begin, (_LANES, _LANES, _WHOLE), _LANES)
        return function(*self.shard((starts, used)), minimizer)

    def advance(
        self, lanes: Lane, problem: Problem, count: np.integer, chunk: int
    ) -> tuple[Lane, batched.Records]:
        """Evaluate all lanes up to `count` times, as `jaxscat.minimization.lanes.advance`."""
        if self._mesh is None:
            return batched.advance(lanes, problem, count, chunk)
        shared, own = replace(problem, own=None), problem.own
        return self._sharded_advance(chunk)(lanes, shared, count, own)

    def replace_lanes(
        self,
        lanes: Lane,
        chosen: Bool[np.ndarray, " B"],
        starts: Float[np.ndarray, "B n"],
        minimizer: Minimizer,
    ) -> Lane:
        """Let other minimizations begin in some of the lanes."""
        specs = (_LANES, _LANES, _LANES, _WHOLE)
        function = self._on_devices(batched.replace_lanes, specs, _LANES, donate=True)
        return function(lanes, *self.shard((chosen, starts)), minimizer)

    def take_lanes(self, lanes: Lane, indices: Int[np.ndarray, "devices K"]) -> Lane:
        """Return a batch of some lanes of every device, by their numbers on the device."""
        function = self._on_devices(batched.take_lanes, (_LANES, _LANES), _LANES)
        return function(lanes, self.shard(indices.reshape(-1)))

    def step_bytes(self, starts: jax.ShapeDtypeStruct, problem: Problem, chunk: int) -> int | None:
        """Return the number of bytes that `advance` takes on each device beside the problem.

        It is compiled for that, and not again when it is called.

        Args:
            starts: shape and type of the parameters of all lanes of all devices.
            problem, chunk: as for `advance`; what lanes have for themselves may be shapes only.

        Returns:
            figure of the compiler; None if it has none.

        Source: `docs/conventions.md`, "Batches and memory".
        """
        used = jax.ShapeDtypeStruct(starts.shape[:1], bool)
        lanes = jax.eval_shape(batched.begin, starts, used, problem.minimizer)
        sharding = None
        if self._mesh is not None:
            sharding = NamedSharding(self._mesh, _LANES)
        elif self._shared is not None:
            sharding = self._shared
        elif self._device is not None:
            sharding = SingleDeviceSharding(self._device)
        lanes, own = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            (lanes, problem.own),
        )
        shared = replace(problem, own=None)
        if self._mesh is None:
            lowered = batched.advance.lower(lanes, replace(problem, own=own), np.int32(1), chunk)
        else:
            lowered = self._sharded_advance(chunk).lower(lanes, shared, np.int32(1), own)
        found: Any = lowered.compile().memory_analysis()
        if found is None:
            return None
        # Not all arguments: the program has none of the tables that it does not use.
        carried = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(lanes))
        together = carried // self.count + found.output_size_in_bytes
        return together - found.alias_size_in_bytes + found.temp_size_in_bytes

    def free_bytes(self) -> int | None:
        """Return the number of free bytes on each device, or None if it is not known."""
        if self.platform == "cpu":
            free = available_bytes()
            return None if free is None else free // len(self._all())
        figures = [device.memory_stats() for device in self._all()]
        if not all(stats and "bytes_limit" in stats for stats in figures):
            return None
        return min(stats["bytes_limit"] - stats["bytes_in_use"] for stats in figures)

    def _all(self) -> list[Any]:
        if self._mesh is not None:
            return list(self._mesh.devices.flat)
        return list(self.shard(np.int32(0)).devices())

    def _sharded_advance(self, chunk: int) -> Any:
        specs = (_LANES, _WHOLE, _WHOLE, _LANES)
        return self._on_devices(_advance_in_chunks(chunk), specs, (_LANES, _ROWS), donate=True)

    def _on_devices(
        self, function: Callable[..., Any], inputs: Any, outputs: Any, *, donate: bool = False
    ) -> Any:
        """Return a jitted function as it is, or for every device and its own lanes."""
        if self._mesh is None:
            return function
        return _sharded(function, self._mesh, inputs, outputs, donate)


@cache
def _advance_in_chunks(chunk: int) -> Callable[..., Any]:
    """Return the step for a length of its records: the same object each time, compiled once."""

    def advance_in_chunks(lanes: Lane, problem: Problem, count: Any, own: Any) -> Any:
        return batched.advance(lanes, replace(problem, own=own), count, chunk)

    return advance_in_chunks


@cache
def _sharded(
    function: Callable[..., Any], mesh: Mesh, inputs: Any, outputs: Any, donate: bool
) -> Any:
    # The loops of the devices have lengths of their own.
    mapped = jax.shard_map(function, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False)
    return jax.jit(mapped, donate_argnums=(0,) if donate else ())


def local_devices() -> list[Any] | None:
    """Return the devices of this process, or None (the default one) where there is no choice."""
    devices = jax.local_devices()
    chosen = jax.config.jax_default_device is not None  # pyright: ignore
    return None if chosen or len(devices) == 1 else devices


def choose_devices(devices: Sequence[Any] | None, problem: Problem, count: int) -> Devices:
    """Return the devices over which lanes are sharded, at most as many as there are lanes.

    Args:
        devices: those that were asked for, or None for all of this process.
        problem: a loss that is on several devices itself has all lanes on each of them.
        count: number of lanes.

    Raises:
        ValueError: devices were asked for, but the loss is on several itself.
    """
    placed = [getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(problem)]
    meshes = [sharding.mesh for sharding in placed if isinstance(sharding, NamedSharding)]
    shared = next((mesh for mesh in meshes if isinstance(mesh, Mesh) and mesh.size > 1), None)
    if shared is not None:
        if devices is not None:
            raise ValueError(
                f"devices: got {len(devices)} for lanes of a loss that is on several devices "
                "itself, expected None"
            )
        return Devices(shared=shared)
    chosen = local_devices() if devices is None else list(devices)
    return Devices(None if chosen is None else chosen[:count])
