"""One file or folder a study: its settings, stages, tables, figures, claims and notebooks."""
