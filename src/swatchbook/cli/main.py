"""The `swatchbook` command: run the study, label, predict or search a folder of photographs, audit labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swatchbook import __version__
from swatchbook.cli import Parser, needed_extra, require
from swatchbook.cli.audit import audit_parser, with_step
from swatchbook.cli.label import label_parser, predict_parser
from swatchbook.cli.search import index_parser, search_parser
from swatchbook.pipeline import ConfigError
from swatchbook.studies import DEFAULT_PROFILE, PROFILES, spec_of

if TYPE_CHECKING:
    from swatchbook.studies.study import Study

INPUTS = ("source", "images", "audit", "train")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments after the program's name; those of the process by default.

    Returns:
        Exit status: 0 done, 1 the study failed (one line says why), 2 the command line was wrong,
        130 interrupted.
    """
    arguments = _parser().parse_args(with_step(sys.argv[1:] if argv is None else list(argv)))
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print(
            "swatchbook: interrupted; what is finished is kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    except ModuleNotFoundError as error:
        module = (error.name or "swatchbook").partition(".")[0]
        if module == "swatchbook":
            raise
        print(needed_extra(arguments.command, module), file=sys.stderr)
        return 1
    except ConfigError as error:
        print(f"swatchbook: {error}", file=sys.stderr)
        return 2
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        print(f"swatchbook: {_said(error)}", file=sys.stderr)
        return 1


def _said(error: Exception) -> str:
    """An error in words: of some, the text alone would be a path or a key."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) if " " in str(error).strip() else f"{type(error).__name__} {error}"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="swatchbook",
        description="Reads colour, pattern, material and texture off one photograph of a garment, "
        "and says how far each number can be trusted.",
    )
    parser.add_argument("--version", action="version", version=f"swatchbook {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")

    run = commands.add_parser(
        "run",
        help="run the study: tables, figures, notebooks and the report",
        description="Run the study. What is fresh is reused; what changed and its dependants are recomputed.",
        epilog="example:  swatchbook run --profile folder --images ~/photographs --audit audit.csv",
    )
    _study_options(run)
    _train_option(run)
    run.add_argument("--force", action="store_true", help="compute everything again, fresh or not")
    run.set_defaults(run=_run)

    _train_parser(commands)
    label_parser(commands)
    predict_parser(commands)
    index_parser(commands)
    search_parser(commands)
    audit_parser(commands)

    report = commands.add_parser(
        "report",
        help="bring the report up to date and print its path",
        description="Like run; prints the path.",
    )
    _study_options(report)
    _train_option(report)
    report.set_defaults(run=_run, force=False)

    profiles = commands.add_parser("profiles", help="list the profiles and every setting with its default")
    profiles.set_defaults(run=_profiles)
    return parser


def _train_parser(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser(
        "train",
        help="train the two models of a run, on as many GPUs as torchrun starts",
        description="Bring a run up to its two trained models and their predictions, without notebooks or "
        "report; a later `swatchbook run` goes on from there. Started by torchrun, all processes train "
        "together: each takes its share of every batch.",
        epilog="example:  torchrun --nproc_per_node 8 -m swatchbook train --profile paper --source DIR",
    )
    _study_options(train)
    train.set_defaults(run=_train)


def _study_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        default=DEFAULT_PROFILE,
        help=f"one of {', '.join(PROFILES)} (default: {DEFAULT_PROFILE})",
    )
    parser.add_argument("--source", metavar="PATH", help="folder or archive of the profile's data set")
    parser.add_argument("--images", metavar="DIR", help="folder of photographs, for profiles that take one")
    parser.add_argument(
        "--audit",
        metavar="FILE",
        help="CSV file in which somebody judged some of them (see: swatchbook audit)",
    )
    parser.add_argument("--run-dir", metavar="DIR", help="where the run lives (default: runs/PROFILE)")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, such as --set bootstrap=500; may be repeated (see: swatchbook profiles)",
    )


def _train_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--train",
        action="store_true",
        default=None,
        help="also train two models on the labels (profile folder; the others always do)",
    )


def _takers(option: str) -> str:
    """The profiles that take an option, in words."""
    *most, last = (name for name in PROFILES if option in spec_of(name).profiles[name].inputs)
    return f"{', '.join(most)} and {last}" if most else last


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    settings = {}
    for pair in arguments.settings:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {pair!r}; must be KEY=VALUE, such as bootstrap=500")
        settings[key] = value
    return settings | _inputs(arguments, settings)


def _inputs(arguments: argparse.Namespace, settings: Mapping[str, str]) -> dict[str, str]:
    """Options that are settings too; paths become absolute, because notebooks run in another folder."""
    name = arguments.profile
    profile = spec_of(name).profiles[name]
    given: dict[str, str] = {}
    for option in INPUTS:
        value = getattr(arguments, option)
        if value is None:
            continue
        if option not in profile.inputs:
            raise ConfigError(f"--{option} with profile {name!r}; it is for {_takers(option)}")
        key = profile.inputs[option]
        if key in given:
            raise ConfigError(f"--images and --source were both given; profile {name} takes --images")
        given[key] = "true" if value is True else str(Path(value).absolute())
    for option in profile.required:
        if profile.inputs[option] not in {**settings, **given}:
            raise ConfigError(f"profile {name!r} needs --{option}, and got none")
    return given


def _open(arguments: argparse.Namespace) -> Study:
    """The run that the options name; a wrong command line fails here."""
    from swatchbook.studies.study import Study

    return Study.open(arguments.profile, arguments.run_dir, **_settings(arguments))


def _run(arguments: argparse.Namespace) -> int:
    study = _open(arguments)
    require(*_what_trains(study), "papermill", "matplotlib")
    from swatchbook.pipeline.complete import complete

    print(complete(study, force=arguments.force))
    return 0


def _what_trains(study: Study) -> tuple[str, ...]:
    """torch, where a stage of the run rests on models."""
    return ("torch",) if any("models" in stage.code for stage in study.stages) else ()


def _train(arguments: argparse.Namespace) -> int:
    profile = spec_of(arguments.profile).profiles[arguments.profile]
    arguments.train = "train" in profile.inputs or None
    study = _open(arguments)
    require(*_what_trains(study))
    trained = {p: stage for stage in study.stages for p in stage.produces if p.startswith("models/")}
    if not trained:
        raise ConfigError(f"profile {arguments.profile!r} trains nothing; see: swatchbook profiles")
    from swatchbook.models.distributed import joined
    from swatchbook.studies.training import follow

    with joined() as processes:
        if not processes.leads:
            follow()
            return 0
        study.save_config()
        for folder, stage in trained.items():
            study.ensure_stage(stage)
            print(study.store.path(folder))
        processes.broadcast(None)
    return 0


def _profiles(_: argparse.Namespace) -> int:
    from swatchbook.pipeline.settings import flat

    studies = {spec_of(name).name: spec_of(name) for name in PROFILES}
    for name in PROFILES:
        profile = spec_of(name).profiles[name]
        print(f"{name:<12} {profile.description}")
        for key, value in profile.overrides.items():
            print(f"{'':<12}   {key} = {value}")
    for spec in studies.values():
        print(f"\nsettings of {', '.join(spec.profiles)}, and defaults (--set KEY=VALUE):")
        for key, value in flat(spec.config()).items():
            if key != "profile":
                print(f"  {key:<28} {','.join(map(str, value)) if isinstance(value, tuple) else value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
