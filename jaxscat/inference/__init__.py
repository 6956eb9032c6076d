"""Inference: simulations in bulk, derivatives, covariances, Fisher matrices and compression."""

from jaxscat.inference.covariances import Covariance as Covariance
from jaxscat.inference.covariances import covariance as covariance
from jaxscat.inference.derivatives import Jacobian as Jacobian
from jaxscat.inference.derivatives import jacobian as jacobian
from jaxscat.inference.gaussian_maps import GaussianMaps as GaussianMaps
from jaxscat.inference.information import fisher as fisher
from jaxscat.inference.information import fisher_noise as fisher_noise
from jaxscat.inference.information import moped as moped
from jaxscat.inference.simulations import measure_many as measure_many
from jaxscat.inference.storage import Simulations as Simulations
from jaxscat.inference.storage import load_simulations as load_simulations
from jaxscat.inference.storage import save_simulations as save_simulations
from jaxscat.inference.summaries import Summary as Summary
