"""`swatchbook audit`: the labels of a file by one command, and a run's audit from drawing to tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from swatchbook.cli import number, whole
from swatchbook.names import meant

if TYPE_CHECKING:  # pandas takes a while to import, and --help needs none of it
    from swatchbook.audit.run import Run

COMMANDS = ("labels", "draw", "plan", "page", "import", "check", "export")
SOURCES = ("csv", "labelstudio", "fiftyone")
_RAW = argparse.RawDescriptionHelpFormatter


def with_step(argv: list[str]) -> list[str]:
    """`audit --labels A` is short for `audit labels --labels A`, `audit FILE` for `audit check FILE`."""
    given = argv[1] if argv[:1] == ["audit"] and len(argv) > 1 else "--help"
    mistyped = given[:1] != "-" and "." not in given and meant(given, COMMANDS) and not Path(given).exists()
    if given in (*COMMANDS, "-h", "--help") or mistyped:
        return argv
    labels = any(each.partition("=")[0] in ("--labels", "--images") for each in argv)
    return ["audit", "labels" if labels else "check", *argv[1:]]


def audit_parser(commands: argparse._SubParsersAction) -> None:
    """Add `audit` and its sub-commands to the command line."""
    audit = commands.add_parser(
        "audit",
        help="say how wrong labels are: a person judges some photographs, and the answers are imported",
        description="An audit says how good the labels are: a person judges a sample, without seeing\n"
        "the labels. Of labels in a file it is one command, given twice: it writes the page to judge\n"
        "on, and, with the answers, a report. Of a run it goes step by step.",
        epilog="example:\n"
        "  swatchbook audit --labels labels.csv --images ~/photographs\n"
        "  swatchbook audit --labels labels.csv --images ~/photographs --answers answers-anna.csv\n"
        "(swatchbook audit labels --help lists the other options)\n"
        "A run:\n"
        "  swatchbook audit draw --run-dir runs/folder --n 210 --repeats 20\n"
        "  swatchbook audit page --run-dir runs/folder --out audit.html\n"
        "  swatchbook audit import answers-anna.csv --run-dir runs/folder\n"
        "An audit sheet made by hand:\n"
        "  swatchbook audit check audit.csv --run-dir runs/folder\n"
        "(swatchbook audit audit.csv --run-dir runs/folder does the same)",
        formatter_class=_RAW,
    )
    steps = audit.add_subparsers(title="steps", required=True, metavar="STEP")
    _labels_parser(steps)
    _draw_parser(steps)
    _plan_parser(steps)
    _page_parser(steps)
    _import_parser(steps)
    _check_parser(steps)
    _export_parser(steps)


def _labels_parser(steps: argparse._SubParsersAction) -> None:
    parser = steps.add_parser(
        "labels",
        help="audit labels in a file, from sample to report (the word itself may be left out)",
        description="Say how wrong the labels in a file are. Draws a sample and writes the page to judge it "
        "on; given again with the answers, writes the report, the labels most likely wrong with a page to "
        "correct them, and the corrected labels, all in one folder. Nothing is trained.",
        epilog="example:  swatchbook audit --labels labels.csv --images ~/photos --answers answers-a.csv",
    )
    parser.add_argument(
        "--labels",
        required=True,
        metavar="FILE",
        help="a CSV or Parquet file with a column for the image (image_id, path, image, file, …) and columns "
        "of classes, perhaps <attribute>_confidence or <attribute>_p beside them; or Label Studio's export "
        "(JSON), or a data set of FiftyOne",
    )
    parser.add_argument("--images", required=True, metavar="DIR", help="the folder of photographs")
    parser.add_argument(
        "--out", metavar="DIR", help="folder to write (default: LABELS-audit, beside the labels)"
    )
    parser.add_argument(
        "--answers",
        nargs="+",
        default=[],
        metavar="FILE",
        help="what the pages saved, a file a person; or an audit sheet of one's own",
    )
    parser.add_argument(
        "--second",
        metavar="FILE",
        help="labels of the same photographs by another labeller, such as swatchbook label writes, to find "
        "the likely wrong ones by",
    )
    parser.add_argument(
        "--schema",
        metavar="NAME|PATH",
        help="what the labels may say (default: what they do say)",
    )
    parser.add_argument(
        "--attributes",
        default="",
        metavar="A,B",
        help="the columns of classes (default: all that look like some)",
    )
    parser.add_argument(
        "--n", type=whole, default=210, metavar="N", help="photographs to judge (default: 210)"
    )
    parser.add_argument(
        "--correct",
        type=whole,
        default=100,
        metavar="N",
        help="photographs on the page of labels to correct (default: 100)",
    )
    parser.add_argument(
        "--seed", type=whole, default=0, metavar="S", help="same seed, same sample (default: 0)"
    )
    _promise(parser)
    parser.set_defaults(run=_labels)


def _step(
    steps: argparse._SubParsersAction, name: str, summary: str, example: str, more: str
) -> argparse.ArgumentParser:
    parser = steps.add_parser(
        name, help=summary, description=more, epilog=f"example:  swatchbook audit {name} {example}"
    )
    parser.add_argument(
        "--run-dir",
        metavar="DIR",
        help="the run whose photographs are judged (default: runs/folder, in the project)",
    )
    return parser


def _draw_parser(steps: argparse._SubParsersAction) -> None:
    parser = _step(
        steps,
        "draw",
        "draw the photographs that a person will judge",
        "--run-dir runs/folder --design neyman --n 210 --repeats 20",
        "Draw a sample of the run's test split with known weights, in random order, and write it to "
        "audit/sample.csv. Its labels are not in there.",
    )
    parser.add_argument(
        "--design",
        choices=("fabric", "neyman"),
        default="fabric",
        help="fabric: the same number from each folder; neyman: more where the labeller is less sure, which "
        "needs fewer photographs for the same interval (default: fabric)",
    )
    parser.add_argument("--n", type=whole, default=210, metavar="N", help="photographs (default: 210)")
    parser.add_argument(
        "--repeats",
        type=whole,
        default=20,
        metavar="R",
        help="how many of them come a second time, unannounced, to see how far a person agrees with "
        "themselves (default: 20)",
    )
    parser.add_argument(
        "--seed", type=whole, default=0, metavar="S", help="same seed, same sample (default: 0)"
    )
    parser.add_argument("--replace", action="store_true", help="give up a sample that was drawn before")
    parser.set_defaults(run=_draw)


def _plan_parser(steps: argparse._SubParsersAction) -> None:
    _step(
        steps,
        "plan",
        "how many photographs to judge: the intervals to expect",
        "--run-dir runs/folder",
        "Say how wide the intervals will be for 100 to 2,000 photographs under both designs; with answers "
        "imported, how wide they are now and which stratum to judge next.",
    ).set_defaults(run=_plan)


def _page_parser(steps: argparse._SubParsersAction) -> None:
    parser = _step(
        steps,
        "page",
        "write the page on which the sample is judged",
        "--run-dir runs/folder --out audit.html",
        "Write one HTML file with the photographs in it. It opens in any browser without a network, is "
        "worked by keyboard, keeps the answers as they are given and saves them as answers-NAME.csv.",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="page to write, audit.html")
    parser.add_argument("--title", default="Audit", help="what the page is called (default: Audit)")
    parser.set_defaults(run=_page)


def _import_parser(steps: argparse._SubParsersAction) -> None:
    parser = _step(
        steps,
        "import",
        "import answers: annotators merged, agreement, scores",
        "answers-anna.csv answers-bo.csv --run-dir runs/folder",
        "Import answers into the run: every file, or none if any line is wrong; wrong lines are listed. "
        "Annotators imported earlier stay. Writes to audit/: answers.csv (for --audit of a run), "
        "agreement.csv, self_agreement.csv, scores.csv, and adjudicate.csv, where annotators differ: filled "
        "in and imported it settles them. If the labels have confidences, also the certified thresholds: "
        "thresholds.csv (for --set thresholds=FILE of a run), certified.csv and calibration.csv. Sheets "
        "with a column path or image_id, and the published study's, are taken too.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="answers, a file an annotator")
    _promise(parser)
    parser.set_defaults(run=_import)


def _promise(parser: argparse.ArgumentParser) -> None:
    """Where answers were given, and what thresholds promise."""
    parser.add_argument(
        "--from",
        dest="source",
        choices=SOURCES,
        default="csv",
        help="csv, Label Studio's export (JSON) or a FiftyOne data set on disk (default: csv)",
    )
    parser.add_argument(
        "--alpha",
        type=_inside,
        default=0.1,
        metavar="A",
        help="share of wrong labels that a threshold may let through at most (default: 0.1)",
    )
    parser.add_argument(
        "--delta",
        type=_inside,
        default=0.05,
        metavar="D",
        help="probability with which that promise may fail (default: 0.05)",
    )


def _inside(text: str) -> float:
    """A number between 0 and 1, or the command line is wrong."""
    try:
        value = number(text)
    except argparse.ArgumentTypeError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r}; a number between 0 and 1 is needed, in the digits 0 to 9"
        )
    return value


def _check_parser(steps: argparse._SubParsersAction) -> None:
    parser = _step(
        steps,
        "check",
        "check a file of answers and import nothing",
        "audit.csv --run-dir runs/folder",
        "Check a file against the photographs of a run, say what it holds, and import nothing. The file is "
        "what the audit page saves, or a CSV with a column path (or image_id) and a column for each "
        "attribute that was judged, where a blank answer is “can't tell”. Exit status 1 if a line is wrong; "
        "each wrong line is listed.",
    )
    parser.add_argument("sheet", metavar="SHEET", help="the audit file")
    parser.set_defaults(run=_check)


def _export_parser(steps: argparse._SubParsersAction) -> None:
    parser = _step(
        steps,
        "export",
        "write the sample for Label Studio or FiftyOne",
        "--to labelstudio --run-dir runs/folder --out label-studio",
        "Write the drawn sample, with copies of its photographs, as files for another tool; what is judged "
        "there comes back by swatchbook audit import --from. Neither tool has to be installed here.",
    )
    parser.add_argument("--to", dest="tool", required=True, choices=SOURCES[1:], help="the other tool")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write; must not be there yet")
    parser.add_argument(
        "--answers", action="store_true", help="with the answers imported so far; without, the task is blind"
    )
    parser.set_defaults(run=_export)


def _run_of(arguments: argparse.Namespace) -> Run:
    from swatchbook.audit.run import open_run
    from swatchbook.pipeline.provenance import project_root

    return open_run(arguments.run_dir or (project_root() or Path()) / "runs" / "folder")


def _labels(arguments: argparse.Namespace) -> int:
    from swatchbook.bulk.label_audit import audit_labels

    given = ("schema", "second", "answers", "source", "n", "seed", "correct", "alpha", "delta")
    asked = {name: getattr(arguments, name) for name in given}
    attributes = [each.strip() for each in arguments.attributes.split(",") if each.strip()]
    place = (arguments.labels, arguments.images, arguments.out)
    return _say(*audit_labels(*place, attributes=attributes, **asked))


def _draw(arguments: argparse.Namespace) -> int:
    from swatchbook.audit.steps import draw

    asked = {name: getattr(arguments, name) for name in ("design", "n", "repeats", "seed", "replace")}
    return _say(draw(_run_of(arguments), **asked))


def _plan(arguments: argparse.Namespace) -> int:
    from swatchbook.audit.steps import plan

    return _say(plan(_run_of(arguments)))


def _page(arguments: argparse.Namespace) -> int:
    from swatchbook.audit.steps import write_page

    return _say(write_page(_run_of(arguments), arguments.out, arguments.title))


def _import(arguments: argparse.Namespace) -> int:
    from swatchbook.audit.importing import import_files

    promise = {"alpha": arguments.alpha, "delta": arguments.delta}
    return _say(*import_files(arguments.files, _run_of(arguments), arguments.source, **promise))


def _check(arguments: argparse.Namespace) -> int:
    from swatchbook.audit.importing import check_file

    return _say(*check_file(arguments.sheet, _run_of(arguments)))


def _export(arguments: argparse.Namespace) -> int:
    from swatchbook.audit.steps import export

    return _say(export(_run_of(arguments), arguments.tool, arguments.out, arguments.answers))


def _say(lines: list[str], accepted: bool = True) -> int:
    print("\n".join(lines))
    return 0 if accepted else 1
