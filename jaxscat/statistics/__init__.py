"""Numbers that describe a map: scattering covariances and their standard errors."""
