"""The settings of JAX before its first computation: platform, precision, processes, cache."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

import jax

from jaxscat.cli.compilation_cache import keep_programs
from jaxscat.reasons import reason_of

# JAX's names of the platforms that a config names.
PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}
# Variables of the environment that say which devices JAX looks for.
_VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_NUM_CPU_DEVICES")


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
    _check_coordinator(coordinator, serves=process == 0)
    return {
        "coordinator_address": coordinator,
        "num_processes": processes,
        "process_id": process,
    }


def configure(platform: str, precision: str, cluster: dict[str, Any] | None = None) -> None:
    """Set platform, precision, cluster and compilation cache of JAX before its first computation.

    Raises `ValueError` where JAX has no such platform, which names the setting or the variable of
    the environment that asks for it, or cannot bring the processes together.
    """
    if platform != "default":
        jax.config.update("jax_platforms", PLATFORMS[platform])
    jax.config.update("jax_enable_x64", precision == "float64")
    if cluster is not None:
        try:
            jax.distributed.initialize(**cluster)
        except (RuntimeError, ValueError) as error:
            reason = reason_of(error)
            raise ValueError(f"JAX cannot bring the processes together: {reason}") from None
    require_devices(platform)
    keep_programs()


def reach_coordinator(cluster: Mapping[str, Any] | None, seconds: float = 300.0) -> None:
    """Wait until the first process listens at its address: JAX ends the process if it does not.

    Raises `ValueError` when it has not begun to within a number of seconds, that of JAX by default.
    """
    if not cluster or cluster["process_id"] == 0:
        return
    address = cluster["coordinator_address"]
    host, _, port = address.rpartition(":")
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                message = f"--coordinator: no process 0 listens at {address!r} ({_reason(error)})"
                raise ValueError(message) from None
        time.sleep(min(0.2, seconds))


def require_devices(platform: str = "default") -> None:
    """Have JAX look for its devices, on the platform that it was told or that it chooses.

    Raises `ValueError` where it finds none, which names what asks for them: run.platform, unless
    `platform` is "default", or variables of the environment.
    """
    try:
        if jax.devices():
            return
        reason = "JAX has no such device here"
    except (RuntimeError, ValueError) as error:
        reason = reason_of(error)
    except Exception:  # JAX asserts that there are devices, and fails anyhow under python -O
        reason = "JAX has no such device here"
    asking = [] if platform == "default" else [f"run.platform = {platform!r}"]
    for name in _VARIABLES:
        overridden = name == "JAX_PLATFORMS" and platform != "default"
        if os.environ.get(name) and not overridden:
            asking.append(f"{name} = {os.environ[name]!r}")
    raise ValueError(f"{', '.join(asking) or 'devices'}: {reason}") from None


def _check_coordinator(address: str, *, serves: bool) -> None:
    """Refuse an address that JAX cannot use, since it fails there without an error.

    The process that `serves` at the address, whose host may have several names, needs a free port.
    Raises `ValueError`.
    """
    host, separator, port = address.rpartition(":")
    # An address of IPv6 holds colons of its own, and stands in brackets.
    whole = re.fullmatch(r"\[[^\[\]]+\]|[^:\[\]\s]+", host) and separator
    if not whole or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 2**16:
        raise ValueError(
            f"--coordinator: got {address!r}, expected HOST:PORT with a port from 1 to {2**16 - 1}"
        )
    try:
        socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        if serves:
            _listen(int(port))
    except OSError as error:
        raise ValueError(
            f"--coordinator: got {address!r}, which cannot be used: {_reason(error)}"
        ) from None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).partition(" (")[0]


def _listen(port: int) -> None:
    """Listen at a port for a moment, at all addresses as JAX does; an `OSError` if it is taken."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    socket.create_server(("", port), family=family, dualstack_ipv6=both).close()
