"""Signals from maps with noise, gaps or other components, by their scattering covariance."""
