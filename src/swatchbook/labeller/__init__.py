"""Silver labels: any open_clip model, prompts from the schema, abstention where it is not sure.

Nothing heavy is imported here, so that ``silver`` (tables only) does not wait for torch.
"""

from pathlib import Path

BUNDLED = Path(__file__).with_name("bundled")  # the labeller in the box
WEIGHTS = "open_clip_model.safetensors"  # of a labeller's folder, as open_clip names them
TOWER = "swatchbook-tower"  # the bundled labeller's image tower, as the name of a backbone
