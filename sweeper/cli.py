"""The command line: words become one call each. No logic lives here that a notebook could not reach.

Answers go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 a mistake the user can mend,
75 interrupted (the same command continues).
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.errors import Interrupted, SweeperError, UserError

if TYPE_CHECKING:
    from sweeper.orchestration.events import Listener
    from sweeper.report.verify import Verification
    from sweeper.study.schema import Study

COMPARISON = Path("comparison")
"""Where a comparison of several studies is written unless told otherwise."""

MOST_PROBLEMS = 20
"""Differences of a report that are told one by one."""

_COLORS = {"ok": "green", "note": "yellow", "problem": "red"}
"""Of what the doctor finds."""

app = typer.Typer(
    name="sweeper",
    help="Compare segmentation losses on equal terms: which loss, with which hyperparameters, at which imbalance.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
data_app = typer.Typer(help="Look at a data set before spending GPU time on it.", no_args_is_help=True)
app.add_typer(data_app, name="data")

StudyFile = Annotated[Path, typer.Argument(help="The study file (YAML): what to compare.", metavar="STUDY.yaml")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one key of the study: a.b=value. May be repeated.", metavar="A.B=VALUE"),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder with images/, masks/ and classes.json, used instead of the study's data.", metavar="DIR"
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder of run folders.", metavar="DIR")]
Uri = Annotated[
    str | None,
    typer.Option("--tracking-uri", help="MLflow address; by default a store inside the run folder.", metavar="URI"),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@app.command()
def run(
    study: StudyFile,
    sets: Sets = None,
    data: Data = None,
    out: Out = Path("runs"),
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to join: auto or host:port. By default this machine alone.")
    ] = None,
    tracking_uri: Uri = None,
    as_json: Json = False,
) -> None:
    """Search, confirm, record in MLflow and write the report. Run it again to continue a study that was stopped."""
    import sweeper
    from sweeper.orchestration.stopping import Stop

    try:
        with Stop().heard(), _Progress() as listener:
            loaded = _load(study, sets, data, tracking_uri)
            outcome = sweeper.run(loaded, out=out, address=address, listener=listener, command=_command())
    except Interrupted as error:
        raise Interrupted(f"{error}:\n{_typed()}") from None
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped at once; nothing recorded is lost. Continue with the same command:\n{_typed()}"
        ) from None
    if as_json:
        _print_json(outcome.to_dict())
    else:
        typer.echo(outcome.answer)
        typer.echo(f"report:  {_shown(outcome.report)}")
        typer.echo(f"results: {_shown(outcome.folder / 'results')}")
        typer.echo(f"MLflow:  {outcome.tracking_uri} (browse: sweeper browse {_shown(outcome.folder)})")
        if outcome.unsent:
            typer.echo(
                f"{outcome.unsent} trials are not in MLflow yet; send them: sweeper sync {_shown(outcome.folder)}"
            )
    if outcome.unsent_reason is not None:
        _complain(f"MLflow did not take everything: {outcome.unsent_reason}")


@app.command()
def plan(
    study: StudyFile,
    sets: Sets = None,
    data: Data = None,
    out: Out = Path("runs"),
    tracking_uri: Uri = None,
    as_json: Json = False,
) -> None:
    """Check everything without training: the study file, the data, the levels, the model, the budget and its cost."""
    import sweeper

    with _Progress() as listener:
        made = sweeper.plan(_load(study, sets, data, tracking_uri), out=out, listener=listener)
    if as_json:
        _print_json(made.to_dict())
    else:
        typer.echo(made.to_text())


@app.command()
def report(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="A run folder, a trials.parquet, or (with --tracking-uri) an MLflow experiment. Several are compared.",
            metavar="RUN...",
        ),
    ],
    tracking_uri: Uri = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the report; by default the run folder's report/.", metavar="DIR"),
    ] = None,
    dials: Annotated[
        list[str] | None,
        typer.Option(
            help="Two hyperparameters to draw against each other, in every family that searched both; repeatable.",
            metavar="A,B",
        ),
    ] = None,
    rope: Annotated[
        float | None,
        typer.Option(
            help="Differences of the headline score up to this count as equivalent; 0.01 by default.", min=0.0, max=0.5
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the resampling behind the intervals; 0 by default.", min=0)
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Build nothing: work the report out again and say what differs.")
    ] = False,
) -> None:
    """Build the report again, from a run folder, from Parquet files or from MLflow; compare several studies."""
    import sweeper

    if verify and (rope is not None or seed is not None or dials):
        raise UserError("--verify takes --rope, --seed and --dials from the report itself; leave them out")
    settings: dict[str, Any] = {}
    settings |= {} if rope is None else {"rope": rope}
    settings |= {} if seed is None else {"seed": seed}
    if len(sources) > 1:
        if dials:
            raise UserError("--dials is for the report of one study; give one RUN")
        if rope is not None:
            raise UserError("--rope is for the report of one study: ranks across studies need none; give one RUN")
        studies, folder = [sweeper.load_results(one, tracking_uri=tracking_uri) for one in sources], out or COMPARISON
        if verify:
            _verified(sweeper.verify_report(studies, folder))
        else:
            typer.echo(_shown(sweeper.build_comparison(studies, folder, **settings)))
        return
    source = sources[0]
    results = sweeper.load_results(source, tracking_uri=tracking_uri)
    run_folder = None if tracking_uri else Path(source) if (Path(source) / "results").is_dir() else None
    folder = out or (run_folder / "report" if run_folder else Path("report"))
    panels = run_folder / "panels" if run_folder else None
    if verify:
        _verified(sweeper.verify_report(results, folder, panels=panels))
        return
    made = sweeper.build_report(results, folder, panels=panels, dials=_pairs(dials or []), **settings)
    typer.echo(_shown(made))


@app.command()
def losses(
    name: Annotated[
        str | None, typer.Argument(help="One family: its formula, hyperparameters, source and conformance.")
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="Only those of one level: pixel, region, boundary, combination or structural.")
    ] = None,
    tunable: Annotated[bool, typer.Option("--tunable", help="Only those that trade precision for recall.")] = False,
    as_json: Json = False,
) -> None:
    """List the loss families on the two axes, or explain one and try it out."""
    from sweeper.losses.card import card_dict, chosen, table
    from sweeper.losses.catalogue import FAMILIES, OUTSIDE

    if name is not None:
        if level is not None or tunable:
            raise UserError("--level and --tunable narrow the list; leave them out to see one family")
        if name in OUTSIDE:
            _print_json({"name": name, "outside": OUTSIDE[name]}) if as_json else typer.echo(f"{name}: {OUTSIDE[name]}")
        else:
            _show_loss(name, as_json)
        return
    some = chosen(FAMILIES, level=level, tunable=tunable)
    if as_json:
        _print_json([card_dict(one) for one in some.values()])
    else:
        typer.echo(table(some))


@app.command("check-loss")
def check_loss(
    name: Annotated[str, typer.Argument(help="A loss of your own, or a family.", metavar="PACKAGE.MODULE:NAME")],
    as_json: Json = False,
) -> None:
    """Try a loss of your own on everything the shipped ones must do. Exit code 1 if it does not do it all."""
    if not _show_loss(name, as_json):
        raise typer.Exit(1)


@app.command()
def anatomy(
    losses: Annotated[
        str | None,
        typer.Option(help="Which, with settings if not the default: 'dice,tversky(beta=0.9)', or all."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("anatomy"),
    seed: Annotated[int, typer.Option(help="Of the untrained models.", min=0)] = 0,
) -> None:
    """Show how losses behave, without training: what errors of shape cost, who gets the gradient."""
    import sweeper

    typer.echo(_shown(sweeper.build_anatomy(losses, out, seed=seed)))


@data_app.command("inspect")
def inspect_data(
    study: Annotated[Path | None, typer.Argument(help="A study file; or give --data.", metavar="[STUDY.yaml]")] = None,
    sets: Sets = None,
    data: Data = None,
    out: Out = Path("runs"),
    preview: Annotated[
        Path | None, typer.Option(help="Write a picture of images with their masks here.", metavar="FILE.png")
    ] = None,
    as_json: Json = False,
) -> None:
    """Class fractions, imbalance levels within reach, bad files, a preview picture."""
    import sweeper
    from sweeper.data.describe import as_text
    from sweeper.data.inspect import inspect
    from sweeper.data.prepare import prepare
    from sweeper.data.preview import preview as draw
    from sweeper.orchestration.folder import data_cache

    if study is None and data is None:
        raise typer.BadParameter("give a study file or --data DIR")
    source: Any = {"name": "inspect", "families": ["cross_entropy"]} if study is None else study
    settings = sweeper.load_study(source, overrides=sets or (), data=data).data
    with _Progress() as listener:
        found = inspect(settings, data_cache(out), progress=listener.preparing)
    if as_json:
        _print_json(found.to_dict())
    else:
        typer.echo(as_text(found))
    if preview is not None:
        draw(prepare(settings, data_cache(out)), preview)
        typer.echo(f"preview: {_shown(preview)}", err=as_json)


@app.command()
def browse(
    run_folder: Annotated[Path, typer.Argument(help="A run folder, e.g. runs/demo.", metavar="RUN")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 5000,
) -> None:
    """Open the MLflow UI on a run folder's store. It listens on 127.0.0.1 only; Ctrl-C ends it."""
    from sweeper.orchestration.publish import browse_run

    raise typer.Exit(browse_run(run_folder, port=port, say=lambda text: typer.echo(text, err=True)))


@app.command()
def sync(
    run_folder: Annotated[Path, typer.Argument(help="A run folder, e.g. runs/demo.", metavar="RUN")],
    tracking_uri: Uri = None,
    as_json: Json = False,
) -> None:
    """Send to MLflow what a run could not, or everything to another server with --tracking-uri."""
    from sweeper.orchestration.publish import sync_run

    sent = sync_run(run_folder, tracking_uri)
    if as_json:
        _print_json(sent.to_dict())
    else:
        typer.echo(sent.to_text())
    if sent.refused:
        raise typer.Exit(1)


@app.command()
def champion(
    run_folder: Annotated[Path, typer.Argument(help="A run folder, e.g. runs/demo.", metavar="RUN")],
    name: Annotated[str, typer.Option("--name", help="Of the registered model.", metavar="NAME")],
    level: Annotated[
        float | None, typer.Option(help="An imbalance level of the study; by default its reference level.")
    ] = None,
    tracking_uri: Uri = None,
    as_json: Json = False,
) -> None:
    """Register a finished study's best model in MLflow under the alias champion, and say which and why."""
    from sweeper.orchestration.champion import crown

    crowned = crown(run_folder, name, level=level, uri=tracking_uri)
    if as_json:
        _print_json(crowned.to_dict())
    else:
        typer.echo(crowned.to_text())


@app.command()
def replay(
    key: Annotated[
        str, typer.Argument(help="Key of a recorded trial, or enough of its beginning.", metavar="TRIAL_KEY")
    ],
    run_folder: Annotated[
        Path | None,
        typer.Option("--run", help="Its run folder; by default those in --out are searched.", metavar="RUN"),
    ] = None,
    out: Out = Path("runs"),
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; by default what it was recorded on.", metavar="DEVICE")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="On the CPU; by default as many as it was recorded with.", min=1)
    ] = None,
    as_json: Json = False,
) -> None:
    """Run one recorded trial again, without Ray, and say whether it comes out the same. Exit code 1 if it does not."""
    from sweeper.orchestration.replay.replay import replay as play

    if device not in (None, "cpu", "cuda"):
        raise UserError(f"--device {device}: is no kind of device to replay on; give cpu or cuda")
    with _Epochs() as epochs:
        played = play(key, run=run_folder, out=out, device=device, threads=threads, progress=epochs.done)
    if as_json:
        _print_json(played.to_dict())
    else:
        typer.echo(played.to_text())
    if not played.verdict.reproduced:
        raise typer.Exit(1)


@app.command()
def doctor(
    target: Annotated[
        Path | None,
        typer.Argument(help="A study file or a run folder to look at too.", metavar="[STUDY.yaml | RUN]"),
    ] = None,
    out: Out = Path("runs"),
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to look at: auto or host:port. By default Ray on this machine.")
    ] = None,
    tracking_uri: Uri = None,
    as_json: Json = False,
) -> None:
    """Check this machine, Ray, MLflow and a run folder, and say what to do. Exit code 1 where there is a problem."""
    from sweeper.orchestration.doctor import examine, patient

    findings = []
    for one in examine(patient(target, out), address=address, uri=tracking_uri):
        findings.append(one)
        if not as_json:
            typer.secho(one.status.ljust(8), fg=_COLORS[one.status], nl=False)
            typer.echo(one.to_text().removeprefix(one.status).lstrip())
    problems = [one for one in findings if one.status == "problem"]
    if as_json:
        _print_json({"problems": len(problems), "findings": [one.to_dict() for one in findings]})
    if problems:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; every error on purpose becomes one message and its exit code."""
    # A user's own loss lies beside the study, as a script's modules lie beside the script.
    sys.path.insert(0, str(Path.cwd()))
    try:
        app(standalone_mode=True)
    except Interrupted as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except SweeperError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        _complain(f"{error.filename or 'the system'}: {error.strerror or error}; free space or mend the permissions")
        sys.exit(1)


def _show_loss(name: str, as_json: bool) -> bool:
    """Print the card of a family and try it out; return whether it does all it must."""
    from sweeper.losses.card import card, card_dict, conformance, conformance_list
    from sweeper.losses.catalogue import family
    from sweeper.losses.conformance import run_suite

    one = family(name)
    if not as_json:
        typer.echo(card(one, name) + "\n")
    results = run_suite(one)
    if as_json:
        _print_json({**card_dict(one, name), "conformance": conformance_list(results)})
    else:
        typer.echo(conformance(results))
    return all(result.status != "failed" for result in results)


def _command() -> str:
    """Return what was typed, as a shell would take it, without passwords."""
    from sweeper.results.mlflow_client import redact

    return shlex.join(["sweeper", *(redact(word) for word in sys.argv[1:])])


def _typed() -> str:
    """Return the command that starts the same again from this folder, without passwords."""
    from sweeper.results.mlflow_client import redact

    program = Path(sys.argv[0])
    if program.suffix == ".py":
        words = [sys.executable, "-m", "sweeper.cli"]
    else:
        words = [program.name if shutil.which(program.name) == str(program) else str(program)]
    return shlex.join([*words, *(redact(word) for word in sys.argv[1:])])


def _complain(text: str) -> None:
    typer.echo(text, err=True)


def _load(study: Path, sets: list[str] | None, data: Path | None, tracking_uri: str | None) -> Study:
    import sweeper

    overrides = [*(sets or ())]
    if tracking_uri is not None:
        overrides.append(f"tracking.uri={json.dumps(tracking_uri)}")
    return sweeper.load_study(study, overrides=overrides, data=data)


class _Progress:
    """The listener of this terminal, closed whatever happens."""

    def __enter__(self) -> Listener:
        from rich.console import Console

        from sweeper.progress import make_listener

        self.listener = make_listener(Console(stderr=True))
        return self.listener

    def __exit__(self, *unused: object) -> None:
        self.listener.close()


class _Epochs:
    """The epochs of a replay, drawn on a terminal and nowhere else."""

    def __enter__(self) -> _Epochs:
        from rich.console import Console
        from rich.status import Status

        console = Console(stderr=True)
        self._status = Status("preparing", console=console) if console.is_terminal else None
        if self._status is not None:
            self._status.start()
        return self

    def done(self, epoch: int, of: int) -> None:
        if self._status is not None:
            self._status.update(f"epoch {epoch} of {of}")

    def __exit__(self, *unused: object) -> None:
        if self._status is not None:
            self._status.stop()


def _print_json(answer: Any) -> None:
    typer.echo(json.dumps(answer, indent=2, allow_nan=False))


def _verified(found: Verification) -> None:
    """Say whether a report follows from the results. Exit code 1 if it does not."""
    for note in found.notes:
        _complain(f"note: {note}")
    for problem in found.problems[:MOST_PROBLEMS]:
        _complain(problem)
    if len(found.problems) > MOST_PROBLEMS:
        _complain(f"and {len(found.problems) - MOST_PROBLEMS} more")
    if not found.holds:
        raise typer.Exit(1)
    typer.echo(f"verified: {found.numbers} numbers of {found.tables} tables, {found.files} files")


def _pairs(options: list[str]) -> list[tuple[str, str]]:
    """Read every `--dials A,B`."""
    pairs = []
    for option in options:
        names = [name.strip() for name in option.split(",")]
        if len(names) != 2 or not all(names):
            raise UserError(f"--dials {option} is not two hyperparameters; write them as --dials alpha,beta")
        pairs.append((names[0], names[1]))
    return pairs


def _shown(path: Path) -> str:
    """Show a path as the user would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    main()
