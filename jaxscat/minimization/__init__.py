"""L-BFGS for many lanes at once; knows no pyramid and no target."""
