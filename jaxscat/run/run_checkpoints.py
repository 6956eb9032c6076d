"""Where the minimizations of a run keep their state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.run.config import Config
from jaxscat.run.folder import RunFolder


def build_checkpoints(
    config: Config,
    run: RunFolder,
    checksums: Mapping[str, str],
    *,
    process: int = 0,
    identity: Mapping[str, Any] | None = None,
) -> Checkpoints | None:
    """Return where a process keeps its state, or None if the config wants no checkpoints.

    Args:
        config: the settings.
        run: the run that is begun.
        checksums: of the inputs, by name, which must be the same to go on.
        process: number of this one.
        identity: what else must be the same.
    """
    settings = config.checkpoints
    never = not settings.every_steps and not settings.every_minutes
    if never and not run.has_checkpoints():
        return None
    return Checkpoints(
        run.checkpoints(process),
        every_steps=settings.every_steps or None,
        # Those that are there are read even if no more are wanted.
        every_minutes=math.inf if never else settings.every_minutes or None,
        identity={
            **(identity or {}),
            **{f"checksum of {name}": value for name, value in checksums.items()},
        },
    )
