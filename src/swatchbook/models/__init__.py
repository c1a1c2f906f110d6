"""Pixels and targets → a trained model → predictions: one loop, and a task for each thing that is trained.

`recipe` holds the settings and imports no torch, so that a configuration can be read without it.
"""
