"""Which numbers are unknown, and the maps that follow from them."""
