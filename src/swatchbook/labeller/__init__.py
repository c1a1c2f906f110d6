"""Silver labels: any open_clip model, prompts from the schema, abstention where it is not sure.

Nothing heavy is imported here, so that ``silver`` (tables only) does not wait for torch.
"""

import re
from pathlib import Path

BUNDLED = Path(__file__).with_name("bundled")  # the labeller in the box
WEIGHTS = "open_clip_model.safetensors"  # of a labeller's folder, as open_clip names them
TOWER = "swatchbook-tower"  # the bundled labeller's image tower, as the name of a backbone


class LabellerError(RuntimeError):
    """A labeller that cannot be loaded or is not what it should be; the message says what to do."""


def kind_and_place(name: str) -> tuple[str, str]:
    """What a labeller's name says: ``bundled``, ``local-dir`` or ``hf-hub``, and what follows the colon.

    Raises:
        ValueError: If the name has none of these forms.
        LabellerError: If the folder that it names is not there.
    """
    kind, _, place = name.partition(":")
    if name == "bundled":
        return name, ""
    if kind == "local-dir" and place:
        if not Path(place).is_dir():
            raise LabellerError(
                f"{place} is no folder; local-dir: needs one with open_clip_config.json and weights"
            )
        return kind, place
    if kind == "hf-hub" and re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", place):
        return kind, place
    raise ValueError(
        f"labeller {name!r}; allowed: bundled, hf-hub:OWNER/NAME, hf-hub:OWNER/NAME@REVISION, local-dir:PATH"
    )
