"""Names and settings that FOSCAT and jaxscat share; neither package is imported."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Float

GROUPS = ("s0", "s1", "s2", "s3", "s4")
CROSS_GROUPS = ("s0", "s1", "s2", "s3", "s3p", "s4")
Map = Float[np.ndarray, " p"]
Mask = Float[np.ndarray, " p"] | Float[np.ndarray, "M p"]
Groups = dict[str, np.ndarray]
Geometry = Literal["exact", "foscat"]

# Options of `jaxscat.make_target` for FOSCAT's loss, in which every coefficient counts alike.
FOSCAT_LOSS: dict[str, Any] = {
    "sigma": "foscat",
    "sigma_floor": 0.0,
    "coarsest_nside": 1,
    "weights": "plain",
}
