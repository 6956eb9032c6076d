"""Times and memory of jaxscat: beside FOSCAT, of many seeds, and of two checkouts."""
