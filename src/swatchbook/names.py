"""How models are called where people read: sentences, tables, figures."""

NAMES = {
    "dinov2": "DINOv2",
    "resnet50": "ResNet-50",
    "tower": "pretrained tower",
    "scratch": "tower from scratch",
    "reference": "silver labels",
    "silver": "silver labels",
}


def called(model: str) -> str:
    """A model's name for readers; its key where it has none."""
    return NAMES.get(model, model)
