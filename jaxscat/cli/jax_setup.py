"""The settings of JAX before its first computation: platform, precision, other processes."""

from __future__ import annotations

from typing import Any

import jax

# JAX's names of the platforms that a config names.
PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


def read_cluster(
    detected: bool, coordinator: str | None, processes: int | None, process: int | None
) -> dict[str, Any] | None:
    """Read the options about other processes as arguments of `jax.distributed.initialize`.

    Returns None for a process alone. Raises `ValueError` for options that do not go together.
    """
    given = (coordinator, processes, process)
    if given == (None, None, None):
        return {} if detected else None
    if detected or coordinator is None or processes is None or process is None:
        raise ValueError(
            "--coordinator, --processes, --process: expected all three of them, or --distributed "
            "alone"
        )
    if processes < 1:
        raise ValueError(f"--processes: got {processes}, expected at least 1")
    if not 0 <= process < processes:
        raise ValueError(f"--process: got {process}, expected 0 to {processes - 1}")
    return {
        "coordinator_address": coordinator,
        "num_processes": processes,
        "process_id": process,
    }


def configure(platform: str, precision: str, cluster: dict[str, Any] | None = None) -> None:
    """Set the platform, the precision and the cluster of JAX before its first computation.

    Raises `ValueError` where JAX has no such platform or cannot bring the processes together.
    """
    if platform != "default":
        jax.config.update("jax_platforms", PLATFORMS[platform])
    jax.config.update("jax_enable_x64", precision == "float64")
    if cluster is not None:
        try:
            jax.distributed.initialize(**cluster)
        except (RuntimeError, ValueError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(f"JAX cannot bring the processes together: {reason}") from None
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that a platform has devices
        reason = (str(error) or "no such device").splitlines()[0]
        raise ValueError(f"run.platform = {platform!r}: {reason}") from None
