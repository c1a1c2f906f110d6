"""Stages, runs, notebooks: when a result is fresh, how it is computed, where it is shown. No fashion."""


class ConfigError(ValueError):
    """A setting or option that does not exist or cannot have the value given; the message says what can."""
