"""The `deepjive` command: its commands and its own options."""

from __future__ import annotations

from typing import Annotated

import typer

from deepjive._version import __version__
from deepjive.cli import apply, reproduce
from deepjive.cli.centiloid import centiloid
from deepjive.cli.compare import compare
from deepjive.cli.demo import demo
from deepjive.cli.errors import ReadableErrors
from deepjive.cli.export import export, tables
from deepjive.cli.features import features
from deepjive.cli.figures import figures
from deepjive.cli.fit import FitCommand, fit
from deepjive.cli.help import PlainCommand
from deepjive.cli.maps import maps
from deepjive.cli.methods import methods
from deepjive.cli.preprocess import preprocess
from deepjive.cli.ranks import ranks
from deepjive.cli.reproduce_adni import adni
from deepjive.cli.sample import calibrate, sample

app = typer.Typer(
    name="deepjive",
    cls=ReadableErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deepjive {__version__}")
        raise typer.Exit


@app.callback()
def deepjive(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Joint and individual variation of modalities that were measured on the same samples.

    Start with: deepjive fit -m NAME=FILE -m NAME=FILE --out RUN, then open RUN/report.html.
    """


PANELS = {
    "Start": (demo, ranks, fit),
    "Use a run": (apply.transform, apply.decompose, apply.impute, calibrate, sample, export, tables),
    "Examine runs": (apply.report, compare, features, figures, methods),
    "Scans": (preprocess, centiloid, maps),
}
for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel, cls=FitCommand if command is fit else PlainCommand)(command)
reproduce.app.command(cls=PlainCommand)(adni)
app.add_typer(reproduce.app, name="reproduce", rich_help_panel="Experiments")


def main() -> None:
    """Run the command line."""
    app()
