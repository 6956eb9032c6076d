"""Spherical harmonics on NESTED pixels: tables built on the host, and pure functions of them."""
