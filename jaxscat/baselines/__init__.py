"""Linear and Gaussian estimates of maps, which stand beside reconstructions."""
