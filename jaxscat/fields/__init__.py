"""Random fields: noise with the spectrum of a map, and Gaussianization of histograms."""
