"""What is in force in a reconstruction where a setting is left out."""

from collections.abc import Collection
from typing import Any

from jaxscat.fields.noise import check_realizations
from jaxscat.reconstruction.options import Renewals
from jaxscat.reconstruction.starts import Start

# Of gaps, where targets change little after the first ones.
GAP_RENEWALS = Renewals(number=3)
# Realizations of the solution of a seed, however many seeds there are: more make none better.
_OF_EACH = 32


def default_start(several: bool, terms: Collection[str] = ()) -> Start:
    """Return the start of a reconstruction from noisy data.

    Several solutions, or a residual like noise, need what the noise hides to be drawn.

    Args:
        several: whether there are seeds.
        terms: names of the terms.

    Source: `docs/reconstruction.md`, "Ensembles".
    """
    return "constrained" if several or "residual" in terms else "square-root wiener"


def count_realizations(given: Any, noise: Any, *, several: bool) -> int:
    """Return how many realizations of the noise a target is measured of.

    Args:
        given: the setting, or None.
        noise: noise model.
        several: whether there are seeds.

    Raises:
        ValueError: a bad number, or more realizations than there are.

    Source: `docs/reconstruction.md`, "Renewals".
    """
    count = check_realizations(given, noise)
    return min(count, _OF_EACH) if given is None and several else count
