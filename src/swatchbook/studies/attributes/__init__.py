"""The attributes study: colour, pattern, material and texture off one photograph, and how far to trust it."""
