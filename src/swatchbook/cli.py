"""The `swatchbook` command: run the study, list profiles, rebuild the report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from swatchbook import __version__
from swatchbook.config import DEFAULT_PROFILE, PROFILES, Config, ConfigError, configure


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments after the program's name; those of the process by default.

    Returns:
        Exit status: 0 done, 1 the study failed (one line says why), 2 the command line was wrong,
        130 interrupted.
    """
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print(
            "swatchbook: interrupted; finished stages are kept and the next run goes on from them",
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
    )
    _study_options(run)
    run.add_argument("--force", action="store_true", help="compute everything again, fresh or not")
    run.set_defaults(run=_run)

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


def _study_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        default=DEFAULT_PROFILE,
        help=f"one of {', '.join(PROFILES)} (default: {DEFAULT_PROFILE})",
    )
    parser.add_argument(
        "--source", metavar="DIR", help="folder with the published exports (default: download)"
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
    return settings


def _run(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    configure(arguments.profile, settings)  # a wrong command line fails before anything is imported
    from swatchbook.run import run_study
    from swatchbook.study import Study

    study = Study.open(arguments.profile, arguments.run_dir, **settings)
    print(run_study(study, force=arguments.force))
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
