"""Scattering covariances of maps on the sphere, in JAX."""

from importlib import metadata as _metadata

from jaxscat.datasets.registry import dataset_names as dataset_names
from jaxscat.fields.field_noise import FieldNoise as FieldNoise
from jaxscat.fields.field_starts import gaussian_fields as gaussian_fields
from jaxscat.fields.field_starts import white_fields as white_fields
from jaxscat.fields.gaussian import GaussianNoise as GaussianNoise
from jaxscat.fields.gaussianization import Gaussianization as Gaussianization
from jaxscat.fields.gaussianization import gaussianize as gaussianize
from jaxscat.fields.noise import Noise as Noise
from jaxscat.fields.noise import NoiseMaps as NoiseMaps
from jaxscat.fields.polarization_noise import PolarizationNoise as PolarizationNoise
from jaxscat.fields.starts import gaussian_noise as gaussian_noise
from jaxscat.fields.starts import reference_noise as reference_noise
from jaxscat.fields.starts import white_noise as white_noise
from jaxscat.harmonics.polarization import EBMaps as EBMaps
from jaxscat.harmonics.polarization import QUMaps as QUMaps
from jaxscat.harmonics.polarization import eb_from_qu as eb_from_qu
from jaxscat.harmonics.polarization import qu_from_eb as qu_from_eb
from jaxscat.harmonics.polarization_transform import (
    PolarizationTransform as PolarizationTransform,
)
from jaxscat.io.arrays import from_healpy as from_healpy
from jaxscat.io.arrays import to_healpy as to_healpy
from jaxscat.io.maps import load_map as load_map
from jaxscat.io.maps import load_map_and_mask as load_map_and_mask
from jaxscat.io.maps import load_mask as load_mask
from jaxscat.io.maps import save_maps as save_maps
from jaxscat.io.pixel_order import PixelOrderWarning as PixelOrderWarning
from jaxscat.io.sky import Sky as Sky
from jaxscat.io.sky import load_sky as load_sky
from jaxscat.minimization.checkpoints import Checkpoints as Checkpoints
from jaxscat.minimization.lane import Lane as Lane
from jaxscat.minimization.lane import Minimizer as Minimizer
from jaxscat.minimization.lbfgs import LBFGS as LBFGS
from jaxscat.minimization.minimize import Batching as Batching
from jaxscat.minimization.minimize import minimize as minimize
from jaxscat.minimization.result import Result as Result
from jaxscat.minimization.result import SynthesisResult as SynthesisResult
from jaxscat.objectives.chi_square import chi_square as chi_square
from jaxscat.objectives.field_scattering import FieldScattering as FieldScattering
from jaxscat.objectives.field_scattering import fields_loss as fields_loss
from jaxscat.objectives.field_target import FieldTarget as FieldTarget
from jaxscat.objectives.make_field_target import make_field_target as make_field_target
from jaxscat.objectives.make_target import make_target as make_target
from jaxscat.objectives.objective import Objective as Objective
from jaxscat.objectives.scattering import MeanScattering as MeanScattering
from jaxscat.objectives.scattering import Scattering as Scattering
from jaxscat.objectives.scattering import map_loss as map_loss
from jaxscat.objectives.scattering import mean_loss as mean_loss
from jaxscat.objectives.statistics_target import (
    target_from_statistics as target_from_statistics,
)
from jaxscat.objectives.storage import load_target as load_target
from jaxscat.objectives.storage import save_target as save_target
from jaxscat.objectives.target import Normalization as Normalization
from jaxscat.objectives.target import Target as Target
from jaxscat.objectives.term import Term as Term
from jaxscat.operators.apply import convolve_map as convolve_map
from jaxscat.operators.apply import downsample_map as downsample_map
from jaxscat.operators.apply import upsample_map as upsample_map
from jaxscat.operators.batching import grouped_vmap as grouped_vmap
from jaxscat.operators.pyramid import Pyramid as Pyramid
from jaxscat.operators.pyramid import build_pyramid as build_pyramid
from jaxscat.operators.pyramid_cache import cached_pyramid as cached_pyramid
from jaxscat.operators.shard import shard_pyramid as shard_pyramid
from jaxscat.operators.spec import PyramidSpec as PyramidSpec
from jaxscat.operators.storage import load_pyramid as load_pyramid
from jaxscat.operators.storage import save_pyramid as save_pyramid
from jaxscat.parametrizations.components import Components as Components
from jaxscat.parametrizations.components import Stacked as Stacked
from jaxscat.parametrizations.harmonic import Harmonic as Harmonic
from jaxscat.parametrizations.harmonic import harmonic_form as harmonic_form
from jaxscat.parametrizations.harmonic_fields import HarmonicFields as HarmonicFields
from jaxscat.parametrizations.harmonic_fields import harmonic_fields_form as harmonic_fields_form
from jaxscat.parametrizations.parametrization import Parametrization as Parametrization
from jaxscat.parametrizations.pixels import FreePixels as FreePixels
from jaxscat.parametrizations.pixels import Pixels as Pixels
from jaxscat.reconstruction.channels import combination_weights as combination_weights
from jaxscat.reconstruction.channels import combine_channels as combine_channels
from jaxscat.reconstruction.channels import joint_wiener_filter as joint_wiener_filter
from jaxscat.reconstruction.denoise import denoise as denoise
from jaxscat.reconstruction.denoise_fields import denoise_fields as denoise_fields
from jaxscat.reconstruction.field_result import FieldReconstruction as FieldReconstruction
from jaxscat.reconstruction.fills import diffusive_fill as diffusive_fill
from jaxscat.reconstruction.fills import gaussian_mean_fill as gaussian_mean_fill
from jaxscat.reconstruction.fills import gaussian_realization_fill as gaussian_realization_fill
from jaxscat.reconstruction.inpaint import inpaint as inpaint
from jaxscat.reconstruction.options import Renewals as Renewals
from jaxscat.reconstruction.options import TermOptions as TermOptions
from jaxscat.reconstruction.result import Reconstruction as Reconstruction
from jaxscat.reconstruction.separate import separate as separate
from jaxscat.reconstruction.spectra import estimate_spectrum as estimate_spectrum
from jaxscat.reconstruction.template_filter import template_weights as template_weights
from jaxscat.reconstruction.template_filter import template_wiener_filter as template_wiener_filter
from jaxscat.reconstruction.wiener import constrained_realization as constrained_realization
from jaxscat.reconstruction.wiener import square_root_wiener_filter as square_root_wiener_filter
from jaxscat.reconstruction.wiener import wiener_filter as wiener_filter
from jaxscat.statistics.alignment import Alignment as Alignment
from jaxscat.statistics.alignment import align_orientations as align_orientations
from jaxscat.statistics.angular import FourierHarmonics as FourierHarmonics
from jaxscat.statistics.angular import IsotropicMean as IsotropicMean
from jaxscat.statistics.angular import isotropic_spread as isotropic_spread
from jaxscat.statistics.coefficient_maps import CoefficientMaps as CoefficientMaps
from jaxscat.statistics.coefficient_maps import coefficient_maps as coefficient_maps
from jaxscat.statistics.coefficients import ScatteringCovariance as ScatteringCovariance
from jaxscat.statistics.comparison import compare_statistics as compare_statistics
from jaxscat.statistics.errors import standard_error as standard_error
from jaxscat.statistics.field_covariances import FieldCovariances as FieldCovariances
from jaxscat.statistics.fields import fields_standard_error as fields_standard_error
from jaxscat.statistics.fields import measure_fields as measure_fields
from jaxscat.statistics.interior import Coverage as Coverage
from jaxscat.statistics.interior import coverage as coverage
from jaxscat.statistics.normalization import normalize as normalize
from jaxscat.statistics.power import wavelet_power as wavelet_power
from jaxscat.statistics.reduction import ReducedCovariance as ReducedCovariance
from jaxscat.statistics.reduction import Reduction as Reduction
from jaxscat.statistics.scattering import measure as measure
from jaxscat.statistics.storage import StoredStatistics as StoredStatistics
from jaxscat.statistics.storage import load_statistics as load_statistics
from jaxscat.statistics.storage import save_statistics as save_statistics
from jaxscat.synthesis.fields import synthesize_fields as synthesize_fields
from jaxscat.synthesis.levels import synthesize_levels as synthesize_levels
from jaxscat.synthesis.options import SynthesisOptions as SynthesisOptions
from jaxscat.synthesis.synthesize import synthesize as synthesize
from jaxscat.synthesis.synthesize import synthesize_many as synthesize_many
from jaxscat.validation import validate as validate

try:
    __version__ = _metadata.version("jaxscat")
except _metadata.PackageNotFoundError:  # a copy of the sources that is not installed
    __version__ = "unknown"

__all__ = [
    "__version__",
    "align_orientations",
    "Alignment",
    "Batching",
    "build_pyramid",
    "cached_pyramid",
    "Checkpoints",
    "chi_square",
    "coefficient_maps",
    "CoefficientMaps",
    "combination_weights",
    "combine_channels",
    "compare_statistics",
    "Components",
    "constrained_realization",
    "convolve_map",
    "Coverage",
    "coverage",
    "dataset_names",
    "denoise",
    "denoise_fields",
    "diffusive_fill",
    "downsample_map",
    "eb_from_qu",
    "EBMaps",
    "estimate_spectrum",
    "FieldCovariances",
    "FieldNoise",
    "FieldReconstruction",
    "fields_loss",
    "fields_standard_error",
    "FieldScattering",
    "FieldTarget",
    "FourierHarmonics",
    "FreePixels",
    "from_healpy",
    "gaussian_fields",
    "gaussian_mean_fill",
    "gaussian_noise",
    "gaussian_realization_fill",
    "Gaussianization",
    "gaussianize",
    "GaussianNoise",
    "grouped_vmap",
    "Harmonic",
    "harmonic_fields_form",
    "harmonic_form",
    "HarmonicFields",
    "inpaint",
    "isotropic_spread",
    "IsotropicMean",
    "joint_wiener_filter",
    "Lane",
    "LBFGS",
    "load_map",
    "load_map_and_mask",
    "load_mask",
    "load_pyramid",
    "load_sky",
    "load_statistics",
    "load_target",
    "make_field_target",
    "make_target",
    "map_loss",
    "mean_loss",
    "MeanScattering",
    "measure",
    "measure_fields",
    "minimize",
    "Minimizer",
    "Noise",
    "NoiseMaps",
    "Normalization",
    "normalize",
    "Objective",
    "Parametrization",
    "PixelOrderWarning",
    "Pixels",
    "PolarizationNoise",
    "PolarizationTransform",
    "Pyramid",
    "PyramidSpec",
    "qu_from_eb",
    "QUMaps",
    "Reconstruction",
    "ReducedCovariance",
    "Reduction",
    "reference_noise",
    "Renewals",
    "Result",
    "save_maps",
    "save_pyramid",
    "save_statistics",
    "save_target",
    "Scattering",
    "ScatteringCovariance",
    "separate",
    "shard_pyramid",
    "Sky",
    "square_root_wiener_filter",
    "Stacked",
    "standard_error",
    "StoredStatistics",
    "SynthesisOptions",
    "SynthesisResult",
    "synthesize",
    "synthesize_fields",
    "synthesize_levels",
    "synthesize_many",
    "Target",
    "target_from_statistics",
    "template_weights",
    "template_wiener_filter",
    "Term",
    "TermOptions",
    "to_healpy",
    "upsample_map",
    "validate",
    "wavelet_power",
    "white_fields",
    "white_noise",
    "wiener_filter",
]
