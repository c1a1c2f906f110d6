"""Pixels and labels → a trained multi-head model → predictions.

`recipe` holds the settings and imports no torch, so that a configuration can be read without it.
"""
