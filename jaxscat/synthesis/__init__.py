"""Making maps that satisfy an objective."""
