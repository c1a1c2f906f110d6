"""The `swatchbook` command: run the study, label or predict a folder of photographs, audit a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from swatchbook import __version__
from swatchbook.cli.audit import audit_parser, with_check
from swatchbook.cli.label import label_parser, predict_parser
from swatchbook.studies.config import DEFAULT_PROFILE, PROFILES, Config, ConfigError, configure

PHOTOGRAPHS = ("folder", "labeller")  # profiles that take --images
OWN_AUDIT = ("published", "demo")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments after the program's name; those of the process by default.

    Returns:
        Exit status: 0 done, 1 the study failed (one line says why), 2 the command line was wrong,
        130 interrupted.
    """
    arguments = _parser().parse_args(with_check(sys.argv[1:] if argv is None else list(argv)))
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print(
            "swatchbook: interrupted; what is finished is kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    except ConfigError as error:
        print(f"swatchbook: {error}", file=sys.stderr)
        return 2
    except (OSError, ValueError, RuntimeError) as error:
        print(f"swatchbook: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="swatchbook",
        description="Reads colour, pattern, material and texture off one photograph of a garment, "
        "and says how far each number can be trusted.",
    )
    parser.add_argument("--version", action="version", version=f"swatchbook {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run the study: tables, figures, notebooks and the report",
        description="Run the study. What is fresh is reused; what changed, and what hangs on it, is redone.",
        epilog="example:  swatchbook run --profile folder --images ~/photographs --audit audit.csv",
    )
    _study_options(run)
    run.add_argument("--force", action="store_true", help="compute everything again, fresh or not")
    run.set_defaults(run=_run)

    _train_parser(commands)
    label_parser(commands)
    predict_parser(commands)
    audit_parser(commands)

    report = commands.add_parser(
        "report",
        help="bring the report up to date and print its path",
        description="Like run; prints the path.",
    )
    _study_options(report)
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
    parser.add_argument(
        "--source", metavar="DIR", help="folder with the published exports (default: download)"
    )
    parser.add_argument(
        "--images", metavar="DIR", help="folder of photographs, for profiles folder and labeller"
    )
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


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    settings = {}
    for pair in arguments.settings:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {pair!r}; must be KEY=VALUE, such as bootstrap=500")
        settings[key] = value
    if arguments.source is not None:
        settings["source"] = arguments.source
    _folder_settings(arguments, settings)
    return settings


def _folder_settings(arguments: argparse.Namespace, settings: dict[str, str]) -> None:
    """Photographs and audit, as absolute paths because notebooks run in another folder."""
    profile = arguments.profile
    if arguments.images is not None:
        if profile not in PHOTOGRAPHS:
            raise ConfigError(f"--images with profile {profile!r}; it is for {' and '.join(PHOTOGRAPHS)}")
        if arguments.source is not None:
            raise ConfigError(f"--images and --source were both given; profile {profile} takes --images")
        settings["source"] = str(Path(arguments.images).absolute())
    if profile == "demo" and "source" in settings:
        raise ConfigError("--source with profile 'demo', which draws its own images")
    if profile == "folder" and "source" not in settings:
        raise ConfigError("profile 'folder' needs photographs; give --images DIR")
    if arguments.audit is not None:
        if profile in OWN_AUDIT:
            raise ConfigError(f"--audit with profile {profile!r}, which has an audit of its own")
        settings["labelling.audit"] = str(Path(arguments.audit).absolute())


def _run(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    configure(arguments.profile, settings)  # a wrong command line fails before anything is imported
    from swatchbook.pipeline.run import run_study
    from swatchbook.pipeline.study import Study

    study = Study.open(arguments.profile, arguments.run_dir, **settings)
    print(run_study(study, force=arguments.force))
    return 0


def _train(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    configure(arguments.profile, settings)
    from swatchbook.models.distributed import joined
    from swatchbook.pipeline.study import Study
    from swatchbook.studies.attributes.training import TRAINING, fit

    with joined() as processes:
        if not processes.leads:  # until the first process, which prepares what is trained on, has no more
            while (training := processes.broadcast()) is not None:
                fit(**training)
            return 0
        study = Study.open(arguments.profile, arguments.run_dir, **settings)
        stages = [stage for stage in study.stages if stage.name.startswith(TRAINING)]
        if not stages:
            raise ConfigError(f"profile {arguments.profile!r} trains nothing; see: swatchbook profiles")
        study.save_config()
        for stage in stages:
            study.ensure_stage(stage)
            print(study.store.path(stage.produces[1]))
        processes.broadcast(None)
    return 0


def _profiles(_: argparse.Namespace) -> int:
    for name, profile in PROFILES.items():
        print(f"{name:<12} {profile.description}")
        for key, value in profile.overrides.items():
            print(f"{'':<12}   {key} = {value}")
    print("\nsettings and defaults (--set KEY=VALUE):")
    for key, value in Config().flat().items():
        if key != "profile":
            print(f"  {key:<28} {','.join(map(str, value)) if isinstance(value, tuple) else value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
