"""Validation of new maps against the original, on the host in float64."""

from jaxscat.harmonics.spectra import angular_power_spectrum
from jaxscat.validation.gaussian import gaussian_control
from jaxscat.validation.report import validate
from jaxscat.validation.rows import finite_or_none

__all__ = ["validate", "finite_or_none", "angular_power_spectrum", "gaussian_control"]
