"""Spherical harmonics on NESTED pixels: tables made on the host, and pure functions of them."""
