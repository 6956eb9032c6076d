"""How fast devices copy and calculate: the one at hand measured, others from public figures."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.benchmarks.harness import seconds
from experiments.benchmarks.roofline_counts import Work

# Numbers of the array that is copied, and sides of the matrices: beyond caches, and still quick.
_SIZES = {"cpu": (1 << 26, 2048)}
_LARGE_SIZES = (1 << 28, 8192)


class Rates(NamedTuple):
    """What a device can do at best.

    Attributes:
        name: of the device.
        bandwidth: bytes read and written in a second.
        matrix: float32 flops of matrix products in a second, at the precision that is used.
        vector: float32 flops of all else in a second.
        source: where the figures come from.
    """

    name: str
    bandwidth: float
    matrix: float
    vector: float
    source: str

    def floor(self, work: Work) -> float:
        """Return the seconds that an operation takes at least, if nothing stays in a cache."""
        return max(work.bytes / self.bandwidth, work.flops / getattr(self, work.unit))


H200 = Rates(
    "H200",
    4.3e12,
    40e12,
    40e12,
    "assumed of plain float32 code, where NVIDIA's data sheet says 4.8 TB/s and 67 Tflop/s",
)
TPU_V5E = Rates(
    "TPU v5e",
    0.819e12,
    # A float32 product of precision "highest" is six of bfloat16.
    197e12 / 6,
    # 8 x 128 lanes of 4 units at 1.5 GHz, the clock that 197 Tflop/s of 4 x 128^2 units imply.
    4 * 8 * 128 * 1.5e9,
    "cloud.google.com/tpu/docs/v5e (819 GB/s, 197 Tflop/s in bfloat16), six products of bfloat16 "
    "for one of float32; vector unit: jax-ml.github.io/scaling-book/tpus (8 x 128 x 4 units)",
)
NAMED = (H200, TPU_V5E)


def measure_rates(repeat: int = 5) -> Rates:
    """Measure how fast the default device copies, and multiplies float32 matrices."""
    device = jax.devices()[0]
    numbers, side = _SIZES.get(device.platform, _LARGE_SIZES)
    # In place: new memory is slow to get, and no measure of bandwidth.
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    array = add(jnp.zeros(numbers, jnp.float32))

    def copy() -> None:
        nonlocal array
        array = jax.block_until_ready(add(array))

    multiply = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    matrix = jax.random.normal(jax.random.key(0), (side, side), jnp.float32)
    rate = 2 * side**3 / _fastest(lambda: jax.block_until_ready(multiply(matrix)), repeat)
    return Rates(
        device.device_kind,
        2 * array.nbytes / _fastest(copy, repeat),
        rate,
        rate,
        f"measured: {array.nbytes / 1e9:.2g} GB changed in place, and {side} x {side} matrices",
    )


def _fastest(call: Callable[[], None], repeat: int) -> float:
    """Return the least seconds of some calls: other work on the machine does not lower a floor."""
    call()
    return min(seconds(call) for _ in range(repeat))
