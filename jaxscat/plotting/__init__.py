"""Figures: the only package that draws, and imports matplotlib only when it does."""

from jaxscat.plotting.coefficients import plot_coefficients as plot_coefficients
from jaxscat.plotting.ensemble import plot_ensemble as plot_ensemble
from jaxscat.plotting.field_coefficients import (
    plot_field_coefficients as plot_field_coefficients,
)
from jaxscat.plotting.maps import mollweide_image as mollweide_image
from jaxscat.plotting.polarization import plot_polarization as plot_polarization
from jaxscat.plotting.saving import as_label as as_label
from jaxscat.plotting.saving import figure_png as figure_png
from jaxscat.plotting.saving import render_figure as render_figure
from jaxscat.plotting.saving import write_figure as write_figure
from jaxscat.plotting.summary import STYLES as STYLES
from jaxscat.plotting.summary import plot_summary as plot_summary
from jaxscat.plotting.validation import plot_validation as plot_validation
from jaxscat.plotting.validation import validation_figures as validation_figures
