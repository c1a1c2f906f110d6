"""The commands over a folder of photographs: label and predict, on this machine or on many."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swatchbook.atomic import PAGES, TABLES, output_file
from swatchbook.cli import number, whole
from swatchbook.pipeline import ConfigError

LOADING = "loading the model …"

if TYPE_CHECKING:  # torch takes a while to import, and --help needs none of it
    from swatchbook.bulk.ray_cluster import Machines
    from swatchbook.schema import Schema


def label_parser(commands: argparse._SubParsersAction) -> None:
    """Add `label`."""
    label = commands.add_parser(
        "label",
        help="label a folder of photographs; needs no training",
        description="Label every photograph below a folder with an open_clip model: for each attribute a "
        "label, left empty where the model is not sure enough, and its confidence. A stopped command goes "
        "on where it was when it is given again. Files that cannot be read are listed in OUT.broken.csv.",
        epilog="example:  swatchbook label ~/photographs --out labels.csv --html labels.html",
    )
    table_options(label)
    label.add_argument(
        "--schema",
        default="wardrobe",
        metavar="NAME|PATH",
        help="what is asked: a schema of the package (wardrobe; textilenet, for close-ups of cloth) or a "
        "YAML file (default: wardrobe)",
    )
    label.add_argument(
        "--attributes",
        type=lambda names: names.split(","),
        default=[],
        metavar="NAME[,NAME]|all",
        help="which attributes of the schema are labelled (default: those that the labeller was measured to "
        "do on photographs)",
    )
    labeller_option(label)
    label.add_argument(
        "--html",
        metavar="FILE",
        help="also write a contact sheet: one page of photographs and labels, to filter, sort and correct",
    )
    label.add_argument(
        "--corrections",
        metavar="FILE",
        help="a CSV file of labels that take the place of the labeller's, as the contact sheet saves it",
    )
    label.add_argument("--no-abstain", action="store_true", help="label every photograph, sure or not")
    label.add_argument(
        "--temperature",
        type=number,
        default=100.0,
        metavar="T",
        help="factor on the cosines before the softmax; higher is surer (default: 100)",
    )
    label.set_defaults(run=_label)


def predict_parser(commands: argparse._SubParsersAction) -> None:
    """Add `predict`."""
    predict = commands.add_parser(
        "predict",
        help="predict a folder of photographs with a trained model",
        description="Predict every photograph below a folder with a model that a run has trained: for each "
        "attribute a label and its confidence. A stopped command goes on where it was when it is given "
        "again. Files that cannot be read are listed in OUT.broken.csv.",
        epilog="example:  swatchbook predict ~/photographs --model runs/demo/models/tower --out labels.csv",
    )
    table_options(predict)
    predict.add_argument(
        "--model",
        required=True,
        metavar="FOLDER",
        help="a trained model's folder, with model.safetensors and config.json",
    )
    predict.set_defaults(run=_predict)


def table_options(
    parser: argparse.ArgumentParser, out: str = "table to write, labels.parquet or labels.csv"
) -> None:
    """Add what every command over a folder takes: the folder, the table, and many machines."""
    parser.add_argument("folder", metavar="DIR", help="folder of photographs, nested or flat")
    parser.add_argument("--out", required=True, metavar="FILE", help=out)
    many = parser.add_argument_group("many machines (extra 'ray')")
    many.add_argument(
        "--ray",
        action="store_true",
        help="work by the machines of a Ray cluster, to the same table; all see DIR and FILE on one disk",
    )
    many.add_argument("--workers", type=whole, metavar="N", help="models at work at a time (default: 1)")
    many.add_argument(
        "--cpus",
        type=whole,
        metavar="N",
        help="CPU cores of each worker (default: as many as there are here, or as the model's recipe says)",
    )
    many.add_argument(
        "--address", help="of the cluster, such as head:6379 (default: RAY_ADDRESS, else this machine)"
    )


def labeller_option(parser: argparse.ArgumentParser) -> None:
    """Add `--labeller`."""
    from swatchbook.labeller import KNOWN

    here = (f"{name} ({k.reaches})" for name, k in KNOWN.items() if not k.megabytes)
    fetched = (f"{name} ({k.megabytes:,} MB; {k.reaches})" for name, k in KNOWN.items() if k.megabytes)
    parser.add_argument(
        "--labeller",
        default="bundled",
        metavar="NAME",
        help=f"in the package, without network and torch: {'; '.join(here)}; "
        f"fetched once, and slower: {'; '.join(fetched)}; hf-hub:OWNER/NAME, any other of open_clip; or "
        "local-dir:PATH (default: bundled)",
    )


def machines_of(arguments: argparse.Namespace) -> Machines | None:
    """The machines that were asked for; None where this one does it alone."""
    given = {n: v for n in ("workers", "cpus", "address") if (v := getattr(arguments, n)) is not None}
    if not arguments.ray:
        if given:
            raise ConfigError(f"--{next(iter(given))} without --ray, which it is for")
        return None
    from swatchbook.bulk.ray_cluster import Machines

    return Machines(**given)


def schema_asked(arguments: argparse.Namespace, suffixes: Sequence[str] = TABLES) -> Schema | None:
    """The schema that is asked for, and all else checked that needs no model: to import torch takes long.

    Args:
        arguments: Of a command over a folder.
        suffixes: What the name of its table may end in.
    """
    from swatchbook.data.images import folder_of_images
    from swatchbook.labeller import kind_and_place
    from swatchbook.labeller.measured import ALL, asked_of
    from swatchbook.labeller.silver import checked_scale
    from swatchbook.schema import Schema

    given = vars(arguments)
    output_file(arguments.out, suffixes)
    folder_of_images(arguments.folder)
    if given.get("html") is not None:
        output_file(arguments.html, PAGES, "html")
    if "labeller" not in given:
        return None
    kind_and_place(arguments.labeller)
    checked_scale(given.get("temperature", 1.0))
    schema = Schema.load(arguments.schema)
    asked_of(schema, arguments.labeller, given.get("attributes", [ALL]))
    return schema


def _label(arguments: argparse.Namespace) -> int:
    machines = machines_of(arguments)
    schema = schema_asked(arguments)
    to_stderr(LOADING)
    from swatchbook.bulk.folder import label_folder

    given = {
        "labeller": arguments.labeller,
        "logit_scale": arguments.temperature,
        "abstain": not arguments.no_abstain,
        "attributes": arguments.attributes,
        "corrections": arguments.corrections,
        "html": None if arguments.html is None else Path(arguments.html),
        "log": to_stderr,
    }
    written, broken = label_folder(arguments.folder, arguments.out, schema, machines=machines, **given)
    tell(written, len(broken), arguments.out)
    if arguments.html is not None:
        print(f"{arguments.html}: contact sheet")
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    machines = machines_of(arguments)
    schema_asked(arguments)
    from swatchbook.models.finished import schema_of

    schema_of(Path(arguments.model))  # a folder without a model is refused before torch is imported
    to_stderr(LOADING)
    from swatchbook.bulk.folder import predict_folder

    asked = (arguments.folder, arguments.out, arguments.model)
    written, broken = predict_folder(*asked, machines=machines, log=to_stderr)
    tell(written, len(broken), arguments.out)
    return 0


def to_stderr(line: str) -> None:
    """Say something that is no result."""
    print(line, file=sys.stderr, flush=True)


def tell(images: int, broken: int, out: str) -> None:
    """Say how many photographs a table holds and how many files are not in it."""
    print(f"{out}: {images:,} photographs")
    if broken:
        print(f"{out}.broken.csv: {broken:,} files that cannot be read, with reasons")
