"""Swatchbook reads colour, pattern, material and texture off one photograph of a garment.

The numbered notebooks tell the study; this package computes it. Start with `Study.open`:

    >>> from swatchbook import Study
    >>> study = Study.open("published", run_dir="runs/published")  # doctest: +SKIP
    >>> study.scores  # doctest: +SKIP

Every estimator in `swatchbook.evaluation` works on plain tables and never imports torch.
"""

from importlib import import_module

__version__ = "0.1.0"

__all__ = [
    "Schema",
    "Study",
    "__version__",
    "audit_labels",
    "index_folder",
    "label_folder",
    "predict_folder",
    "search_folder",
]

_HOMES = {
    "Schema": "swatchbook.schema",
    "Study": "swatchbook.studies.study",
    "audit_labels": "swatchbook.bulk.label_audit",
    "index_folder": "swatchbook.bulk.index",
    "label_folder": "swatchbook.bulk.folder",
    "predict_folder": "swatchbook.bulk.folder",
    "search_folder": "swatchbook.bulk.search",
}


def __getattr__(name: str) -> object:
    # These pull in pandas, matplotlib or torch; `swatchbook --help` should not wait for them.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'swatchbook' has no attribute {name!r}")
