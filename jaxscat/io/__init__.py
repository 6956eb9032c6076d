"""Files: archives of arrays, and maps and masks in the formats of the field."""
