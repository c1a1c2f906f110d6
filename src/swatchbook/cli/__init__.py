"""The `swatchbook` command."""
