"""The page that a run writes for people to read."""
