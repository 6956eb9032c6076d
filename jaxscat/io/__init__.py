"""Files: archives of arrays, and maps and masks as `.npy` or HEALPix FITS."""
