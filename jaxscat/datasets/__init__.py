"""Named maps: downloaded with a checksum, or computed."""
