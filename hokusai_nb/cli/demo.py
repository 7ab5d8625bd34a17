"""`hokusai demo`: the first tutorial, executed on a registry of its own in a new folder."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import os
import re
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hokusai_nb.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hokusai_nb.schema.records import Lineage

__all__ = ["demo"]

TUTORIAL = "01_register_a_model.ipynb"
MODEL = "digit-reader"
PLOTS = {"improvement": "improvement.png", "waterfall": "contributions.png", "lineage": "lineage.png"}
CELL_TIMEOUT = 300
"""Seconds that one cell may take."""

# The page is to be read without a network, so no script is fetched; and by everyone, so a picture says what it shows.
_PAGE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block data_png scoped -%}
<div class="jp-RenderedImage jp-OutputArea-output">
<img alt="{{ output.data['text/plain'] | escape_html }}"
 src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}"
{%- set width = output | get_metadata('width', 'image/png') %}{% if width is not none %} width="{{ width }}"{% endif %}>
</div>
{%- endblock -%}
"""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@click.command(short_help="Run the first tutorial in a new folder.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="New or empty folder to work in; demo/<date and time> if left out.",
)
def demo(folder: Path | None) -> None:
    """Run the first tutorial in a new folder.

    It trains and registers four versions of a model on an MLflow registry inside the folder, and leaves
    there the executed notebook, an HTML page of it and the plots. No other MLflow store is touched.
    """
    if not all(importlib.util.find_spec(name) for name in ("ipykernel", "nbclient", "nbconvert")):
        feature = "The demo"
        raise MissingExtraError(feature, "lab")
    home = _empty(folder) if folder else _new_folder()
    with tempfile.TemporaryDirectory(prefix="hokusai-demo-") as scratch, _private_environment(Path(scratch)):
        notebook = _execute(_tutorial(), home)
        click.echo("Writing the page and the plots …")
        page = home / TUTORIAL.replace(".ipynb", ".html")
        page.write_text(_as_page(notebook, page.stem), encoding="utf-8")
        lineage = _registered(home)
        for kind, name in PLOTS.items():
            lineage.plot(kind).save(home / name)
    _report(home, page, lineage)


def _new_folder() -> Path:
    """Make a folder that no other demo has, and return it."""
    start = Path("demo", dt.datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S"))
    for folder in (start, *(start.with_name(f"{start.name}-{number}") for number in range(2, 100))):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder.resolve()
    msg = f"{start} and a hundred others exist already."
    raise click.ClickException(msg)


def _empty(folder: Path) -> Path:
    """Return the folder that the user named, made if it is not there."""
    if folder.exists() and any(folder.iterdir()):
        msg = f"{folder} is not empty."
        raise click.BadParameter(msg, param_hint="--folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@contextlib.contextmanager
def _private_environment(scratch: Path) -> Iterator[None]:
    """Hide the user's settings of MLflow, Jupyter and this package from us and from the kernel."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("MLFLOW_", "HOKUSAI_", "JUPYTER", "IPYTHON")):
            del os.environ[name]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    places = {
        "IPYTHONDIR": "ipython",
        **{f"JUPYTER_{kind.upper()}_DIR": kind for kind in ("config", "data", "runtime")},
    }
    for name, place in places.items():
        (scratch / place).mkdir()
        os.environ[name] = str(scratch / place)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _tutorial() -> Path:
    """Return the tutorial: beside the package in a source tree, inside it once installed."""
    package = Path(__file__).parents[1]
    places = (package.parent / "notebooks" / TUTORIAL, package / "notebooks" / TUTORIAL)
    return next(place for place in places if place.exists())


def _execute(tutorial: Path, home: Path) -> Any:
    """Run the tutorial in the folder and leave it there, also when a cell fails; return the notebook."""
    import nbclient  # noqa: PLC0415 - heavy, and an extra
    import nbformat  # noqa: PLC0415 - comes with nbclient

    notebook = nbformat.read(tutorial, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (folder,) = (cell for cell in code if "folder" in cell.metadata.get("tags", []))
    folder.source = 'folder = "."  # the demo works where this notebook lies'

    def announce(cell: Any, cell_index: int) -> None:
        del cell_index  # counts text cells too
        if cell in code:
            lines = (line for line in cell.source.splitlines() if line and not line.startswith(("#", "import", "from")))
            shown = textwrap.shorten(next(lines, ""), 80, placeholder=" …")
            click.echo(f"  cell {code.index(cell) + 1:>2} of {len(code)}  {shown}")

    click.echo(f"Running the tutorial {TUTORIAL} …")
    client = nbclient.NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        extra_arguments=["--log-level=ERROR"],  # the kernel's own log, which goes to this terminal
        record_timing=False,
        kernel_name="python3",
        resources={"metadata": {"path": str(home)}},
        on_cell_execute=announce,
    )
    try:
        client.execute()
    except (nbclient.exceptions.CellControlSignal, nbclient.exceptions.DeadKernelError) as error:
        raise click.ClickException(_failure(error, home)) from error
    finally:
        nbformat.write(notebook, home / TUTORIAL)
    return notebook


def _failure(error: Exception, home: Path) -> str:
    said = _COLOUR.sub("", str(error)).strip()
    return f"The tutorial failed.\n\n{said}\n\nThe notebook as far as it came: {_shown(home / TUTORIAL)}"


def _as_page(notebook: Any, title: str) -> str:
    """Return the notebook as one HTML file with its pictures inside."""
    from nbconvert.exporters import HTMLExporter  # noqa: PLC0415 - heavy

    exporter = HTMLExporter(raw_template=_PAGE, embed_images=True)
    page: str = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})[0]
    return page


def _registered(home: Path) -> Lineage:
    from hokusai_nb.core.registry import ModelRegistry  # noqa: PLC0415 - imports MLflow

    return ModelRegistry(f"sqlite:///{home / 'registry.db'}").get_model_lineage(MODEL)


def _shown(path: Path) -> Path:
    """Return a path as the user would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _report(home: Path, page: Path, lineage: Lineage) -> None:
    from hokusai_nb.schema.display import plain_table, signed  # noqa: PLC0415 - imports pydantic

    head = ("Version", "Metric", "Value", "Improvement", "Contributor")
    rows = [
        (e.version, e.benchmark_metric, e.benchmark_value, signed(e.improvement), e.contributor or "–") for e in lineage
    ]
    click.echo(f"\nRegistered as {MODEL}, token {lineage[-1].token_id}:\n")
    click.echo(plain_table(rows, head))
    click.echo("\nImprovement is over the version that each was made from, in the metric's own unit.")
    files = [("Notebook", home / TUTORIAL), ("Page", page), *(("Plot", home / name) for name in PLOTS.values())]
    click.echo(f"\n{plain_table([(what, _shown(path)) for what, path in files])}")
    mlflow = _shown(Path(sys.executable).with_name("mlflow"))
    click.echo("\nOpen the page in a browser. To run and change the tutorials: make lab")
    click.echo(f"To browse the registry: {mlflow} ui --backend-store-uri sqlite:///{_shown(home / 'registry.db')}")
