"""What makes the target of jaxscat that of FOSCAT's loss: every coefficient counts alike."""

from typing import Any

FOSCAT_LOSS: dict[str, Any] = {
    "sigma": "foscat",
    "sigma_floor": 0.0,
    "coarsest_nside": 1,
    "weights": "plain",
}
