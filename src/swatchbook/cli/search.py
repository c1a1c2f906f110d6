"""The commands that index a folder of photographs and search in it."""

from __future__ import annotations

import argparse

from swatchbook.atomic import PAGES, TABLES, output_file
from swatchbook.cli import whole
from swatchbook.cli.label import (
    LOADING,
    labeller_option,
    machines_of,
    schema_asked,
    table_options,
    tell,
    to_stderr,
)
from swatchbook.pipeline import ConfigError


def index_parser(commands: argparse._SubParsersAction) -> None:
    """Add `index`."""
    index = commands.add_parser(
        "index",
        help="index a folder of photographs, to search in it",
        description="Index every photograph below a folder: the table of `label`, with the embeddings of an "
        "open_clip model. A stopped command goes on where it was when it is given again. Files that cannot "
        "be read are listed in OUT.broken.csv.",
        epilog="example:  swatchbook index ~/photographs --out index.parquet",
    )
    table_options(index, "index to write, index.parquet")
    index.add_argument(
        "--schema",
        default="wardrobe",
        metavar="NAME|PATH",
        help="what is labelled: a schema of the package or a YAML file (default: wardrobe)",
    )
    labeller_option(index)
    index.set_defaults(run=_index)


def search_parser(commands: argparse._SubParsersAction) -> None:
    """Add `search`."""
    search = commands.add_parser(
        "search",
        help="search in an index by words or by a photograph",
        description="Search in an index that `index` has made, by words, by a photograph, or by both. Prints "
        "score, path and labels, the best first.",
        epilog='example:  swatchbook search index.parquet "a striped shirt" --where color=blue --html f.html',
    )
    search.add_argument("index", metavar="INDEX", help="file that `swatchbook index` has written")
    search.add_argument(
        "text", nargs="?", metavar="WORDS", help='what is to be seen, such as "a floral dress"'
    )
    search.add_argument("--like", metavar="PHOTO", help="a photograph that they are like")
    search.add_argument("--but", metavar="WORDS", help='words that change what is asked, such as "in blue"')
    search.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="ATTRIBUTE=CLASS[,CLASS]",
        help="only photographs with this label; may be repeated",
    )
    search.add_argument(
        "--complete",
        metavar="KIND",
        help="what goes with --like: photographs of another KIND (an attribute, or `folder`) that agree "
        "otherwise",
    )
    search.add_argument("--top", type=whole, default=20, metavar="K", help="how many (default: 20)")
    search.add_argument("--html", metavar="FILE", help="also write a page of the photographs")
    search.add_argument("--folder", metavar="DIR", help="where the photographs lie now, if they were moved")
    search.add_argument("--labeller", metavar="NAME", help="the model that made the index, if it was moved")
    search.add_argument(
        "--exact", action="store_true", help="compare every photograph, however many there are"
    )
    search.set_defaults(run=_search)


def _index(arguments: argparse.Namespace) -> int:
    machines = machines_of(arguments)
    schema = schema_asked(arguments, TABLES[:1])
    to_stderr(LOADING)
    from swatchbook.bulk.index import index_folder

    given = {"labeller": arguments.labeller, "machines": machines, "log": to_stderr}
    written, broken = index_folder(arguments.folder, arguments.out, schema, **given)
    tell(written, len(broken), arguments.out)
    return 0


def _search(arguments: argparse.Namespace) -> int:
    where: dict[str, list[str]] = {}
    for pair in arguments.where:
        name, equals, classes = pair.partition("=")
        if not equals or not name or not classes:
            raise ConfigError(f"--where {pair!r}; must be ATTRIBUTE=CLASS, such as pattern=striped")
        where.setdefault(name, []).extend(classes.split(","))
    if arguments.html is not None:
        output_file(arguments.html, PAGES, "html")
    to_stderr(LOADING)
    from swatchbook.bulk.search import Search, search_folder
    from swatchbook.report.contact_sheet import labels_in_words, plain

    search = Search(arguments.index, labeller=arguments.labeller, log=to_stderr)
    asked = ("text", "like", "but", "complete", "top", "html", "folder", "exact")
    found = search_folder(search, where=where or None, **{name: getattr(arguments, name) for name in asked})
    for row in found.to_dict("records"):
        distance = f"{row['distance']:.3f}  " if "distance" in row else ""
        labels = labels_in_words(row, search.schema.names)
        print(f"{distance}{row['score']:.3f}  {plain(row['path'])}  {labels}")
    if not len(found):
        print("no photograph answers")
    if arguments.html is not None:
        print(f"{arguments.html}: {len(found)} photographs")
    return 0
