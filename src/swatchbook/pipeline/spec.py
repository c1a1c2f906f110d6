"""What a study consists of, in one object: its settings, profiles, stages, results, figures and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swatchbook.pipeline.stage import Stage
from swatchbook.schema import Schema


@dataclass(frozen=True)
class Profile:
    """A named way to run a study: overrides of its settings, and the notebooks that tell it.

    Attributes:
        description: One line for `swatchbook profiles`.
        overrides: Dotted key → value, applied to the study's default settings.
        notebooks: Numbers of the notebooks that a run executes, in order.
        inputs: Option of the command line (``source``, ``images``, ``audit``) → the setting that it sets.
        required: Options without which the profile cannot run.
        takes: What a run of it costs, such as ``about four minutes on two cores``.
    """

    description: str
    overrides: Mapping[str, object] = field(default_factory=dict)
    notebooks: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    takes: str = "hours, and a GPU"


def no_aliases(_: object) -> dict[str, str]:
    """Every figure goes by its own name."""
    return {}


@dataclass(frozen=True)
class Spec:
    """A study.

    Attributes:
        name: Its name.
        config: The frozen dataclass of its settings, whose defaults are a full configuration. It has
            ``profile`` and ``seed``.
        profiles: Name → profile.
        stages: Configuration → the stages of a run, in the order of the story.
        results: Name → (artefact, what it holds): what a run offers by name, where its stages produce it.
        schema: Configuration → what is asked of an image.
        report: ``module:function``, called with a `Trace`: the arguments of `report.page.write_page` that are
            the study's own.
        report_code: Files and folders of the package that these arguments depend on, but its own module.
        aliases: Configuration → alias → name of a figure, where the name depends on a setting.
        private: Settings that are paths of one machine, left out of the report.
    """

    name: str
    config: type[Any]
    profiles: Mapping[str, Profile]
    stages: Callable[[Any], tuple[Stage, ...]]
    results: Mapping[str, tuple[str, str]]
    schema: Callable[[Any], Schema]
    report: str
    report_code: tuple[str, ...] = ()
    aliases: Callable[[Any], dict[str, str]] = no_aliases
    private: tuple[str, ...] = ("source",)
