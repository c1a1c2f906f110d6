"""A drawn world: photographs of garments whose attributes are known.

``draw_image`` draws one photograph from its colour, pattern, texture and kind of fabric; ``write_dataset``
draws a whole data set in TextileNet's layout from a world whose Cramér's V is known exactly
(``true_cramers_v``); ``contact_sheet`` shows every class of an attribute to a person.

``draw_photograph`` draws a garment that is worn or laid out, from its category, sleeves, length, neckline,
fit, fabric, pattern and colour (``sample_garments``), and says where it and its landmarks are.
``write_challenge``, ``write_deepfashion`` and ``write_multimodal`` draw data sets of these in the files of
others.
"""

from importlib import import_module

_MODULES = {
    "FOLDERS": "drawing",
    "LABELS": "drawing",
    "contact_sheet": "sheets",
    "draw_image": "drawing",
    "draw_photograph": "photographs",
    "drawn_world": "worlds",
    "sample_garments": "garment_truth",
    "true_cramers_v": "worlds",
    "write_challenge": "challenge",
    "write_dataset": "textilenet",
    "write_deepfashion": "deepfashion",
    "write_multimodal": "multimodal",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> object:
    # The processes that draw start without pandas, which only writers of whole data sets need.
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
