"""Tests run in float64, unless they ask for float32."""

import jax

jax.config.update("jax_enable_x64", True)
