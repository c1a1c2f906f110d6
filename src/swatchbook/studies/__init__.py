"""One file or folder a study: its settings, stages, tables, figures, claims and notebooks.

A profile names a way to run a study. Nothing heavy is imported here: a command line is read at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from swatchbook.names import unknown
from swatchbook.pipeline import ConfigError

if TYPE_CHECKING:
    from swatchbook.pipeline.spec import Spec

DEFAULT_PROFILE = "demo"
#: Profile → the study, a module of this package, that it is a way to run.
PROFILES = {
    **dict.fromkeys(("demo", "published", "folder", "paper", "best"), "attributes"),
    "labeller": "labeller",
    **dict.fromkeys(("challenge", "challenge-best", "challenge-paper"), "challenge"),
    **dict.fromkeys(("retrieval", "retrieval-best", "retrieval-paper"), "retrieval"),
    **dict.fromkeys(("landmarks", "landmarks-best", "landmarks-paper"), "landmarks"),
}


def spec_of(profile: str) -> Spec:
    """The study that a profile belongs to.

    Raises:
        ConfigError: If there is no such profile.
    """
    if profile not in PROFILES:
        raise ConfigError(unknown("profile", profile, PROFILES))
    return import_module(f"{__name__}.{PROFILES[profile]}").STUDY
