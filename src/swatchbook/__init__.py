"""Swatchbook reads colour, pattern, material and texture off one photograph of a garment.

The numbered notebooks tell the study; this package computes it. Start with `Study.open`:

    >>> from swatchbook import Study
    >>> study = Study.open("published", run_dir="runs/published")  # doctest: +SKIP
    >>> study.scores  # doctest: +SKIP

Every estimator in `swatchbook.evaluation` works on plain tables and never imports torch.
"""

__version__ = "0.1.0"

__all__ = ["Study", "__version__"]


def __getattr__(name: str) -> object:
    # The facade pulls in pandas and matplotlib; `swatchbook --help` should not wait for them.
    if name == "Study":
        from swatchbook.studies.study import Study

        return Study
    raise AttributeError(f"module 'swatchbook' has no attribute {name!r}")
