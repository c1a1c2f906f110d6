"""What a run does: frozen settings and the profiles, each a full configuration plus overrides.

>>> configure("published", {"evaluation.bootstrap": 500}).evaluation.bootstrap
500
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass

from swatchbook.labeller import TOWER
from swatchbook.studies.settings import Config, ConfigError


@dataclass(frozen=True)
class Profile:
    """A named way to run the study.

    Attributes:
        description: One line for `swatchbook profiles`.
        overrides: Dotted key → value, applied to `Config()`.
        notebooks: Numbers of the notebooks that a run executes, in order.
    """

    description: str
    overrides: Mapping[str, object]
    notebooks: tuple[str, ...]


# What runs on two cores without a network: the labeller in the box, and one small network twice, started from
# the labeller's own image tower and from scratch.
LAPTOP: dict[str, object] = {
    "model": "tower",
    "baseline": "scratch",
    "labelling.labeller": "bundled",
    "backbones.model": TOWER,
    "backbones.baseline": TOWER,
    "backbones.baseline_pretrained": False,
    "training.image_size": 96,
    "training.epochs": 15,
    "training.backbone_lr": 2e-3,
    "training.head_lr": 2e-3,
}

PROFILES: dict[str, Profile] = {
    "published": Profile(
        "The published study's own predictions and audit, analysed again (no images, no GPU).",
        {},
        ("02", "04", "05"),
    ),
    "demo": Profile(
        "Garments drawn with known attributes: labelled, audited and trained on, without network or GPU.",
        {**LAPTOP, "subset.floor": 10},
        ("01", "02", "03", "04", "05", "06"),
    ),
    "folder": Profile(
        "Your own photographs (--images DIR): labelled, audited (--audit FILE) and trained on.",
        LAPTOP,
        ("01", "03", "06"),
    ),
    "labeller": Profile(
        "How good the labeller is: on images drawn for it, and on photographs (--images DIR --audit FILE).",
        {"schema": "wardrobe", "material_map": None, "labelling.labeller": "bundled"},
        ("10",),
    ),
    "paper": Profile(
        "TextileNet (--source), FashionSigLIP's labels, DINOv2 against ResNet-50: as published, on a GPU.",
        {},
        ("01", "02", "03", "04", "05", "06"),
    ),
    # Weights by inverse frequency lend noise in rare classes more weight; GCE is robust to it.
    "best": Profile(
        "The paper's data and models, trained with GCE and no class weights: our choice, not measured yet.",
        {"training.loss": "gce"},
        ("01", "02", "03", "04", "05", "06"),
    ),
}
DEFAULT_PROFILE = "demo"


def configure(profile: str = DEFAULT_PROFILE, overrides: Mapping[str, object] | None = None) -> Config:
    """The configuration of a profile with overrides applied last.

    Args:
        profile: A key of `PROFILES`.
        overrides: Dotted key, or a last part that is unambiguous (``bootstrap``), → value. Strings are
            read as the setting's own type, so that ``--set bootstrap=500`` works.

    Raises:
        ConfigError: If the profile or a key is unknown, or a value has the wrong type or range.
    """
    if profile not in PROFILES:
        raise ConfigError(f"profile {profile!r} is unknown; allowed: {', '.join(PROFILES)}")
    config = Config(profile=profile)
    changes: dict[str, dict[str, object]] = {}
    for key, value in {**PROFILES[profile].overrides, **(overrides or {})}.items():
        full = _full_key(key, config)
        section, _, name = full.rpartition(".")
        hints = typing.get_type_hints(type(getattr(config, section) if section else config))
        changes.setdefault(section, {})[name] = _coerce(value, hints[name], full)
    for section, values in changes.items():  # all of a section at once: some settings bound each other
        try:
            part = dataclasses.replace(getattr(config, section) if section else config, **values)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"setting {section}: {error}") from None
        config = dataclasses.replace(config, **{section: part}) if section else part
    if "seed" not in changes.get("training", {}):  # one seed moves everything random
        config = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=config.seed))
    return config


def _full_key(key: str, config: Config) -> str:
    known = [k for k in config.flat() if k != "profile"]
    matches = [k for k in known if k == key] or [k for k in known if k.rsplit(".", 1)[-1] == key]
    if len(matches) != 1:
        reason = "is ambiguous" if matches else "is unknown"
        raise ConfigError(f"setting {key!r} {reason}; allowed: {', '.join(matches or known)}")
    return matches[0]


def _coerce(value: object, wanted: typing.Any, key: str) -> object:  # noqa: ANN401 - a type hint
    """Read `value` as the setting's type; strings come from a command line, lists from JSON."""
    if isinstance(wanted, types.UnionType):
        if value is None or value in ("none", "None", "null", ""):
            return None
        wanted = next(t for t in typing.get_args(wanted) if t is not types.NoneType)
    if typing.get_origin(wanted) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ConfigError(f"setting {key} = {value!r}; a list is needed, such as 100,200")
        return tuple(_coerce(part, typing.get_args(wanted)[0], key) for part in parts)
    if wanted is bool:
        truths = {"true": True, "false": False, "yes": True, "no": False, True: True, False: False}
        if (value.lower() if isinstance(value, str) else value) not in truths:
            raise ConfigError(f"setting {key} = {value!r}; true or false is needed")
        return truths[value.lower() if isinstance(value, str) else value]
    if isinstance(value, bool):
        raise ConfigError(f"setting {key} = {value!r}; {wanted.__name__} is needed")
    try:
        if wanted is int and float(value) != int(float(value)):
            raise ValueError
        return int(float(value)) if wanted is int else wanted(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"setting {key} = {value!r}; {wanted.__name__} is needed") from None
