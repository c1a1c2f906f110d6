"""The audit in other tools' files: Label Studio's tasks and annotations, and FiftyOne's data set on disk.

Only files are written and read; neither tool is needed. Pictures are copied under the number of their item,
so that no file name has to survive another tool's paths. What is written to be judged holds no machine
label, stratum or weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from swatchbook.audit.exchange.fiftyone import read_fiftyone, write_fiftyone
from swatchbook.audit.exchange.label_studio import read_label_studio, write_label_studio
from swatchbook.schema import Schema

__all__ = [
    "READERS",
    "WRITERS",
    "read_fiftyone",
    "read_label_studio",
    "write_fiftyone",
    "write_label_studio",
]

WRITERS: Mapping[str, Callable[..., list[Path]]] = {
    "labelstudio": write_label_studio,
    "fiftyone": write_fiftyone,
}
READERS: Mapping[str, Callable[[Path, Schema], pd.DataFrame]] = {
    "labelstudio": read_label_studio,
    "fiftyone": read_fiftyone,
}
