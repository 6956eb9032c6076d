"""Statistics of maps: scattering covariances and their standard errors."""
