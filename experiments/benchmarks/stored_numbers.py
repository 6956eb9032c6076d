"""Numbers of a CPU, kept in the repository, with which those of another device are compared.

They are the coefficients of a drawn map at nside 16, and the loss and gradient of a start, in
float64; beside them stands how far float32 on that CPU is from them. A device passes in float64 if
it agrees to `FLOAT64_BOUND`, in float32 if it is no further away than a few times the CPU.
"""

import io
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxscat
from experiments.benchmarks.problems import LAYOUTS, drawn_map
from jaxscat.io.archive import write_bytes

PATH = Path(__file__).with_name("cpu_numbers.npz")
NSIDE = 16
GROUPS = ("s0", "s1", "s2", "s3", "s4")
QUANTITIES = (*GROUPS, "loss", "gradient")
FLOAT64_BOUND = 1e-10
# Another order of sums changes rounding; a wrong precision of products costs a factor of 100.
FLOAT32_FACTOR = 10
Numbers = dict[str, np.ndarray]


def compute_numbers(original: np.ndarray, start: np.ndarray, layout: Any, dtype: str) -> Numbers:
    """Return all quantities on the default device, in float64 or complex128."""
    nside = round((original.size / 12) ** 0.5)
    pyramid = jaxscat.build_pyramid(nside, layout=layout, dtype=dtype)
    map = jnp.asarray(original, dtype)
    statistics = jaxscat.measure(map, pyramid)
    target = jaxscat.make_target(map, pyramid)
    both = jax.jit(jax.value_and_grad(jaxscat.map_loss))
    loss, gradient = both(jnp.asarray(start, dtype), pyramid, target)
    found = {name: getattr(statistics, name) for name in GROUPS}
    found |= {"loss": loss, "gradient": gradient}
    return {
        name: np.asarray(values, np.result_type(values.dtype, np.float64))
        for name, values in found.items()
    }


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the norm of the difference over that of what is expected."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def make_file(path: Path = PATH, nside: int = NSIDE) -> None:
    """Compute the numbers and write them; JAX has to be on a CPU, in 64-bit mode.

    Raises:
        ValueError: it is not.
    """
    if jax.default_backend() != "cpu" or not jax.config.jax_enable_x64:  # pyright: ignore
        raise ValueError("stored numbers: expected JAX_PLATFORMS=cpu and JAX_ENABLE_X64=1")
    original = drawn_map(nside)
    start = jaxscat.white_noise(original, 1).astype(np.float32)
    expected = compute_numbers(original, start, "rows", "float64")
    content: dict[str, Any] = {"original": original, "start": start, **expected}
    for layout in LAYOUTS:
        rounded = compute_numbers(original, start, layout, "float32")
        for name in QUANTITIES:
            content[f"float32_{layout}_{name}"] = difference(rounded[name], expected[name])
    stream = io.BytesIO()
    np.savez_compressed(stream, **content)
    write_bytes(path, stream.getvalue())


def compare(layout: str, dtype: str, path: Path = PATH) -> dict[str, Any]:
    """Compare the default device with the stored numbers.

    Returns:
        `differences` of all quantities, the `bounds` for them, and those that `exceed` theirs; a
        number that is not finite does.
    """
    with np.load(path) as stored:
        found = compute_numbers(stored["original"], stored["start"], layout, dtype)
        differences = {name: difference(found[name], stored[name]) for name in QUANTITIES}
        bounds = {
            name: FLOAT64_BOUND
            if dtype == "float64"
            else FLOAT32_FACTOR * float(stored[f"float32_{layout}_{name}"])
            for name in QUANTITIES
        }
    exceeding = [name for name in QUANTITIES if not differences[name] <= bounds[name]]
    return {"differences": differences, "bounds": bounds, "exceeding": exceeding}
