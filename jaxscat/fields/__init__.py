"""Random fields to start from, and fields with a Gaussian histogram."""
