"""Scattering covariances of maps on the sphere, in JAX."""

from jaxscat.io import load_map as load_map
from jaxscat.io import load_map_and_mask as load_map_and_mask
from jaxscat.io import load_mask as load_mask
from jaxscat.objectives.chi_square import chi_square as chi_square
from jaxscat.objectives.chi_square import map_loss as map_loss
from jaxscat.objectives.target import Target as Target
from jaxscat.objectives.target import make_target as make_target
from jaxscat.operators.apply import convolve_map as convolve_map
from jaxscat.operators.apply import downsample_map as downsample_map
from jaxscat.operators.apply import upsample_map as upsample_map
from jaxscat.operators.pyramid import Pyramid as Pyramid
from jaxscat.operators.pyramid import PyramidSpec as PyramidSpec
from jaxscat.operators.pyramid import build_pyramid as build_pyramid
from jaxscat.operators.storage import load_pyramid as load_pyramid
from jaxscat.operators.storage import save_pyramid as save_pyramid
from jaxscat.starts import white_noise as white_noise
from jaxscat.statistics.coefficients import ScatteringCovariance as ScatteringCovariance
from jaxscat.statistics.scattering import measure as measure
from jaxscat.statistics.scattering import standard_error as standard_error
from jaxscat.synthesis.synthesize import SynthesisResult as SynthesisResult
from jaxscat.synthesis.synthesize import synthesize as synthesize
from jaxscat.validation import validate as validate
