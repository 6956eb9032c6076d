"""Quality of new maps, config by config, and the runs that make them."""
