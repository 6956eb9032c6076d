"""The installed FOSCAT as a reference: statistics, standard errors, losses and syntheses."""
