"""Stages, runs, notebooks: when a result is fresh, how it is computed, where it is told. No fashion."""
