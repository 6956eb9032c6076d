"""Wavelet and resolution operators: tables built on the host, and pure functions to apply them."""
