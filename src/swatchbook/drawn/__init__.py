"""A drawn world: photographs of garments whose colour, pattern, material and texture are known.

``draw_image`` draws one photograph from its labels; ``write_dataset`` draws a whole data set in
TextileNet's layout from a world whose Cramér's V is known exactly (``true_cramers_v``);
``contact_sheet`` shows every class of an attribute to a person.
"""

from swatchbook.drawn.dataset import write_dataset
from swatchbook.drawn.drawing import FOLDERS, LABELS, draw_image
from swatchbook.drawn.sheets import contact_sheet
from swatchbook.drawn.worlds import drawn_world, true_cramers_v

__all__ = [
    "FOLDERS",
    "LABELS",
    "contact_sheet",
    "draw_image",
    "drawn_world",
    "true_cramers_v",
    "write_dataset",
]
