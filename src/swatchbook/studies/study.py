"""The public face of a run: opened by the name of a profile, shown in notebooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from swatchbook.atomic import refuse_inside
from swatchbook.pipeline.provenance import project_root
from swatchbook.pipeline.run import Run, print_computed
from swatchbook.pipeline.settings import configure, flat
from swatchbook.store import Store
from swatchbook.studies import DEFAULT_PROFILE, spec_of


def default_folder(profile: str) -> Path:
    """Where a profile's run lives by default: ``runs/<profile>`` in the project, or here."""
    return (project_root() or Path()) / "runs" / profile


class Study(Run):
    """A run of a study: its settings, its folder, and its results as attributes.

    >>> study = Study.open("published", run_dir="runs/published", bootstrap=500)  # doctest: +SKIP
    >>> study.scores.query("head == 'mean'")  # doctest: +SKIP
    >>> study.show("backbone_dumbbell")  # doctest: +SKIP
    """

    @classmethod
    def open(
        cls,
        profile: str = DEFAULT_PROFILE,
        run_dir: str | Path | None = None,
        *,
        log: Callable[[str], None] | None = None,
        **overrides: object,
    ) -> Study:
        """Open a run; nothing is computed until a result is asked for.

        Args:
            profile: ``demo``, ``published``, …; see `swatchbook profiles`.
            run_dir: The run's folder; ``runs/<profile>`` in the project (or here) by default. Of one that is
                not there it is said where it will be and what computing takes.
            log: Called with a line for each stage that is reused, begun or computed; by default all but the
                first are printed, in a notebook beside the results, else to standard error.
            **overrides: Settings by name, such as ``bootstrap=500``.

        Raises:
            ConfigError: If the profile or a setting is unknown or out of range.
            ValueError: If the run's folder lies in the folder of images that it would read.
        """
        spec = spec_of(profile)
        config = configure(spec, profile, overrides)
        store, log = Store(Path(run_dir) if run_dir else default_folder(profile)), log or print_computed
        if run_dir and not store.root.is_dir():
            takes = spec.profiles[profile].takes
            log(
                f"{store.root.absolute()}: no run is there yet; what is asked for is computed into it, which "
                f"takes {takes} in all"
            )
        for key in {*spec.profiles[profile].inputs.values()}:
            if isinstance(given := flat(config)[key], str):
                refuse_inside(store.root, given, "run folder")
        return cls(spec, config, store, log)

    def predictions(self, model: str) -> pd.DataFrame:
        """A model's predicted labels of the test images."""
        return self.table(f"predictions/{model}.parquet")

    def say(self, claim: str) -> object:
        """One claim's verdict and sentence, for a notebook: its numbers are read from the tables.

        A run of other data than the claim was made of gives no verdict, and nothing where it has no data.

        Raises:
            KeyError: If there is no such claim; the message lists them.
        """
        from IPython.display import Markdown

        claims = self.claims.set_index("claim")
        if claim not in claims.index:
            raise KeyError(f"claim {claim!r}; allowed: {', '.join(claims.index)}")
        verdict, sentence = claims.fillna("").loc[claim, ["verdict", "sentence"]]
        found = f"**{verdict.capitalize()}.** {sentence}" if verdict else sentence
        return Markdown(found) if found else None

    def show(self, figure: str) -> object:
        """A figure with its alt text, for a notebook.

        Args:
            figure: Its name, or an alias of the study such as ``confusion_model``.
        """
        from swatchbook.report.display import figure_view

        name = self.spec.aliases(self.config).get(figure, figure)
        self.ensure(f"figures/{name}.png")
        return figure_view(self.store.path(f"figures/{name}"))
