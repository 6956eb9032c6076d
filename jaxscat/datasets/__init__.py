"""Maps that are known by name: downloaded with a checksum, or computed."""
