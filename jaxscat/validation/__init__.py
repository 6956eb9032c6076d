"""Is the new map right? Comparisons with the original that run on the host, in float64."""

from jaxscat.validation.gaussian import gaussian_control
from jaxscat.validation.report import finite_or_none, validate
from jaxscat.validation.spectra import angular_power_spectrum

__all__ = ["validate", "finite_or_none", "angular_power_spectrum", "gaussian_control"]
