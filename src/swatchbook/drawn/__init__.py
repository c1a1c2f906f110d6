"""A drawn world: photographs of garments whose colour, pattern, material and texture are known.

``draw_image`` draws one photograph from its labels; ``write_dataset`` draws a whole data set in
TextileNet's layout from a world whose Cramér's V is known exactly (``true_cramers_v``);
``contact_sheet`` shows every class of an attribute to a person.
"""

from importlib import import_module

_MODULES = {
    "FOLDERS": "drawing",
    "LABELS": "drawing",
    "contact_sheet": "sheets",
    "draw_image": "drawing",
    "drawn_world": "worlds",
    "true_cramers_v": "worlds",
    "write_dataset": "textilenet",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> object:
    # The processes that draw start without pandas, which only writers of whole data sets need.
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
