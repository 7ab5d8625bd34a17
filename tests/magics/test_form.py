"""``%hokusai_register`` bare and with --form: the form as the magic opens it, in shells, kernels and notebooks."""

from __future__ import annotations

import copy
import html
import os
import re
import shutil
import subprocess
import sys

import mlflow
import pytest

from tests.widgets.looking import html_of

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")

FIT = """
from sklearn.dummy import DummyClassifier
clf = DummyClassifier(strategy="constant", constant=1).fit([[0.0], [1.0]], [0, 1])
"""


@pytest.fixture(autouse=True)
def ready(store, shell):  # noqa: ARG001 - the store is set before the shell is used
    """A shell in which MLflow writes to the test's store; its form is closed at the end."""
    shell.run_cell("import mlflow").raise_error()
    yield shell
    for value in list(shell.user_ns.values()):
        if type(value).__name__ == "RegistrationForm":
            value.wait(20)
            value.close()


@pytest.fixture
def active(trained):
    from mlflow.tracking import fluent

    run = trained(accuracy=0.91)
    fluent._last_active_run_id.set(run.run_id)
    return run


@pytest.fixture
def form_of(shell, run):
    """Run a line and return the form that it opens, once it knows the run."""

    def execute(line):
        run(f"form = {line}")
        form = shell.user_ns["form"]
        assert form.wait(20)
        return form

    return execute


def versions(name):
    import mlflow

    return mlflow.MlflowClient().search_model_versions(f"name = '{name}'")


@pytest.mark.usefixtures("active")
def test_the_bare_magic_opens_an_empty_form(form_of):
    form = form_of("%hokusai_register")
    assert {key: field.value for key, field in form.fields.items() if field.value} == {}
    assert form.magic_line() == "%hokusai_register"


@pytest.mark.usefixtures("active")
def test_options_are_filled_in_and_what_is_wrong_with_them_is_shown_not_raised(form_of):
    form = form_of(
        "%hokusai_register m --token sent_001 --metric accuracy --tag gpu_type=A100 --tag full_version=1 --form"
    )
    assert form.fields["token"].message == "Token ID format invalid: 'sent_001'. Did you mean SENT-001?"
    assert form.fields["name"].value == "m"
    assert form.fields["value"].value == "0.91"
    assert "semantic version" in form.tags.rows[1].message
    form.fields["token"].repair()
    form.tags.rows[1].repair()
    assert form.can_register


@pytest.mark.usefixtures("active")
def test_variables_of_the_line_are_put_in(form_of, run):
    run("name, token = 'my model', 'sent-001'")
    form = form_of("%hokusai_register $name --token {token.upper()} --form")
    assert (form.fields["name"].value, form.fields["token"].value) == ("my model", "SENT-001")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("%hokusai_register --form --tokn A-B", "There is no option --tokn."),
        ("%hokusai_register $nope --form", "$nope cannot be read"),
        ("%hokusai_register m --form --dry-run", "--dry-run and --form exclude each other"),
        ("%hokusai_register m --form --json", "--json and --form exclude each other"),
        ("%hokusai_register m --form --input-example nope", "There is no variable 'nope' with input rows."),
        (
            "%%hokusai_register m --token A-B --metric accuracy --form\npass",
            "--form opens a form, which takes no cell.",
        ),
    ],
)
def test_a_line_that_no_form_can_mend_fails_the_cell(refused, line, what):
    assert what in refused(line)[0]


@pytest.mark.usefixtures("active")
def test_the_forms_line_registers_what_the_form_registers(form_of, run):
    form = form_of("%hokusai_register")
    hostile = 'it\'s "$x" {1} #\n;'
    for key, text in {"name": hostile, "token": "A-B", "metric": "accuracy"}.items():
        form.fields[key].value = text
    form.tags.add("note", "-- $HOME {x} 'y'\n")
    line, call = form.magic_line(), form.python_call()
    first = form.submit()
    by_line = run(line)
    assert (by_line.version, by_line.created) == (first.version, False)
    assert run(f"{call.replace('ModelRegistry().', 'made = ModelRegistry().')}\nmade").created is False
    (version,) = versions_of(first.name)
    assert version.tags["note"] == "-- $HOME {x} 'y'\n"


def versions_of(name):
    import mlflow

    return [v for v in mlflow.MlflowClient().search_model_versions() if v.name == name]


@pytest.mark.parametrize("explicit", [False, True])
def test_an_estimator_is_registered_once_by_form_line_and_call(form_of, run, explicit):
    run(f"with mlflow.start_run() as r:\n    mlflow.log_metric('accuracy', 0.8)\nrows = [[0.0]]\n{FIT}")
    form = form_of("%hokusai_register m --token A-B --metric accuracy --input-example rows --form")
    assert form.fields["model"].input.options == ("clf",)
    form.fields["model"].value = "clf"
    if explicit:
        form.fields["value"].value = "0.85"
    first = form.submit()
    assert run(form.magic_line()).created is False
    call = form.python_call()
    assert "estimator=clf," in call
    assert "input_example=rows," in call
    assert run(f"{call.replace('ModelRegistry().', 'made = ModelRegistry().')}\nmade").created is False
    assert [v.version for v in versions("m")] == [int(first.version)]
    assert versions("m")[0].tags["benchmark_value"] == ("0.85" if explicit else "0.8")


@pytest.mark.usefixtures("active")
def test_what_log_model_returned_is_registered_by_all_three_too(form_of, run, active):
    run(f"import types; info = types.SimpleNamespace(model_uri={active.model_uri!r})")
    form = form_of("%hokusai_register m --token A-B --metric accuracy --model info --form")
    assert form.submit().model_id == active.model_id
    assert run(form.magic_line()).created is False
    call = form.python_call().replace("ModelRegistry().", "made = ModelRegistry().")
    assert run(f"{call}\nmade").created is False


@pytest.mark.usefixtures("active")
def test_the_notebooks_provenance_is_part_of_what_is_shown_and_written(form_of):
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    form.submit()
    assert any(key.startswith("hokusai.notebook.") for key in versions("m")[0].tags)


@pytest.mark.usefixtures("active")
def test_a_name_out_of_the_registry_is_never_run_as_code(form_of, run):
    run(f"{FIT}\nran = []\nd = {{}}")
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    for text in (
        "d[ran.append(1)]",
        "clf[(lambda: ran.append(1))()]",
        "d[[ran.append(1) for _ in 'a'][0]]",
        "ran.append(1)",
    ):
        form.fields["model"].value = text
        assert form.wait(20)
    assert run("ran") == []


@pytest.mark.usefixtures("active")
def test_a_variables_missing_attribute_is_told_at_the_model(form_of, run):
    run(FIT)
    form = form_of("%hokusai_register m --token A-B --metric accuracy --model clf.nope --form")
    assert "clf.nope cannot be read: AttributeError" in form.fields["model"].message
    assert not form.can_register


# The line on the screen


def line_on(form):
    """Return the magic line that the form shows."""
    return html.unescape(re.search("%hokusai_register [^<]*", html_of(form))[0])


def heard(shell):
    return list(shell.events.callbacks["post_run_cell"])


def test_the_line_on_the_screen_names_the_run_once_a_cell_makes_another_the_current_one(form_of, run, active):
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    assert line_on(form) == "%hokusai_register m --token A-B --metric accuracy"
    run("with mlflow.start_run(): mlflow.log_metric('accuracy', 0.5)")
    shown = line_on(form)
    assert f"--run {active.run_id}" in shown
    first = form.submit()
    again = run(shown)
    assert (again.version, again.created, again.run_id) == (first.version, False, active.run_id)


@pytest.mark.usefixtures("active")
def test_a_variable_of_another_value_is_noticed_after_its_cell(form_of, run):
    form = form_of("%hokusai_register m --token A-B --metric accuracy --model info --form")
    assert not form.can_register
    run("import types; info = types.SimpleNamespace(model_uri='models:/m-0')")
    assert "model_uri=info.model_uri," in html_of(form)


CLF = "%hokusai_register m --token A-B --metric accuracy --model clf --form"


@pytest.fixture
def running(run):
    """The id of a run that is under way, with a metric and no model."""
    run("mlflow.start_run(); mlflow.log_metric('accuracy', 0.5)")
    yield run("mlflow.active_run().info.run_id")
    run("mlflow.end_run()")


@pytest.mark.usefixtures("running")
def test_what_a_running_run_measures_in_a_later_cell_is_read_unless_somebody_typed(form_of, run):
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    value = form.fields["value"]
    assert value.value == "0.5"
    run("mlflow.log_metric('accuracy', 0.7)")
    assert form.wait(20)
    assert value.value == "0.7"
    assert value.message.startswith("Read from the run.")
    value.value = "0.6"
    run("mlflow.log_metric('accuracy', 0.8)")
    assert form.wait(20)
    assert value.value == "0.6"
    assert value.message.startswith("The run measured 0.8.")


@pytest.mark.usefixtures("running")
def test_a_model_that_a_later_cell_logs_is_found_and_a_run_that_fails_is_noticed(form_of, run):
    run(FIT)
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    assert "holds no model" in form.fields["model"].message
    run("info = mlflow.sklearn.log_model(clf, name='model', pip_requirements=[])")
    assert form.wait(20)
    assert form.can_register
    assert "What will be written: m version 1 (new)" in html_of(form)
    run("mlflow.end_run('FAILED')")
    assert form.wait(20)
    assert "is FAILED" in form.fields["model"].message
    assert not form.can_register


@pytest.mark.usefixtures("active")
def test_what_another_cell_registers_or_fits_again_changes_what_will_be_written(form_of, run):
    run(FIT)
    form = form_of(CLF)
    assert "What will be written: m version 1 (new)" in html_of(form)
    run(CLF.removesuffix(" --form"))
    assert form.wait(20)
    assert "m version 1 (made before: it is not made again)" in html_of(form)
    run("clf.fit([[0.0], [1.0], [2.0]], [0, 1, 1]);")
    assert form.wait(20)
    assert "What will be written: m version 2 (new)" in html_of(form)


@pytest.mark.usefixtures("active")
def test_a_name_that_another_cell_registered_is_known(form_of, run, active):
    form = form_of("%hokusai_register n --token A-B --metric accuracy --form")
    assert form.fields["name"].message == "New here: no model has this name yet."
    run(f"%hokusai_register n --token A-C --metric accuracy --run {active.run_id}")
    assert form.wait(20)
    assert form.fields["name"].message == "Exists; its newest version with a token is 1."
    assert "Last version 1: accuracy = 0.91" in form.fields["value"].message


@pytest.mark.usefixtures("active")
def test_where_the_form_registers_is_said_once_mlflow_is_set_to_another_store(form_of, run, store):
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    assert "registers in" not in html_of(form)
    run("mlflow.set_tracking_uri('http://me:s3cret@127.0.0.1:9')")
    shown = html.unescape(html_of(form))
    assert f"This form registers in {store}, but MLflow is set to http://***@127.0.0.1:9." in shown
    assert 'class="hokusai-said hokusai-warning"' in shown
    assert "s3cret" not in shown
    assert form.can_register
    run(f"mlflow.set_tracking_uri({store!r})")
    assert "registers in" not in html_of(form)
    assert form.submit().version == "1"


@pytest.mark.usefixtures("active")
def test_a_slow_property_is_read_when_it_is_typed_and_after_a_cell_only(form_of, run):
    run("reads = []\nclass Slow:\n    @property\n    def best(self):\n        reads.append(1)\nslow = Slow()")
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    form.fields["model"].value = "slow.best"
    for text in ("A-C", "A-D"):
        form.fields["token"].value = text
    assert run("len(reads)") == 1
    assert run("len(reads)") == 2


@pytest.mark.usefixtures("active")
def test_a_cell_run_again_leaves_only_its_newest_form_following_and_the_older_one_right(form_of, run, shell, active):
    before = heard(shell)
    run(FIT)
    older = form_of(CLF)
    newer = form_of(CLF)
    assert newer is not older
    assert len(heard(shell)) == len(before) + 1
    assert f"--run {active.run_id}" in line_on(older)
    assert "--run" not in line_on(newer)
    run("clf.fit([[0.0], [1.0], [2.0]], [0, 1, 1])")
    assert older.submit().version == "1"
    assert newer.wait(20)
    assert newer.submit().created is False
    older.close()


def test_a_cell_is_told_from_others_of_the_same_text_by_its_id(shell):
    before = heard(shell)
    for cell_id, following in {"a": 2, "b": 4, "c": 6}.items():
        for _ in range(2):
            shell.run_cell("form = %hokusai_register\nother = %hokusai_register", cell_id=cell_id).raise_error()
            assert len(heard(shell)) == len(before) + following
    for callback in heard(shell):
        callback.end()


@pytest.mark.usefixtures("active")
def test_of_many_forms_the_newest_few_follow_the_cells(run, shell):
    from hokusai_nb.widgets.workspace import MOST

    before = heard(shell)
    forms = [run(f"form{i} = %hokusai_register m{i} --form\nform{i}") for i in range(MOST + 3)]
    assert len(heard(shell)) == len(before) + MOST
    assert [form._after_cells.on for form in forms] == [False] * 3 + [True] * MOST


@pytest.mark.usefixtures("active")
def test_cells_are_followed_only_while_a_form_is_open(form_of, shell):
    before = heard(shell)
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    assert len(heard(shell)) == len(before) + 1
    form.submit()
    assert heard(shell) == before
    form_of("%hokusai_register").close()
    assert heard(shell) == before


def test_unloading_leaves_no_callback_and_the_line_is_still_right(form_of, run, shell, active):
    before = heard(shell)
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    run("%unload_ext hokusai_nb")
    assert heard(shell) == before
    assert f"--run {active.run_id}" in line_on(form)
    form.fields["name"].value = "n"
    assert f"--run {active.run_id}" in line_on(form)
    form.close()


def test_reloading_goes_on_with_the_open_forms_only(form_of, run, shell, active):
    before = heard(shell)
    closed = form_of("%hokusai_register n --form")
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    for _ in range(2):
        run("%reload_ext hokusai_nb")
        assert len(heard(shell)) == len(before) + 2
    assert "--run" not in line_on(form)
    run("%unload_ext hokusai_nb")
    closed.close()
    run("%load_ext hokusai_nb")
    assert len(heard(shell)) == len(before) + 1
    run("with mlflow.start_run(): mlflow.log_metric('accuracy', 0.5)")
    assert f"--run {active.run_id}" in line_on(form)


def test_an_unloaded_extension_holds_no_form(form_of, run, shell):
    import gc

    from hokusai_nb.widgets import workspace

    form_of("%hokusai_register n --form")
    run("%unload_ext hokusai_nb")
    assert len(workspace._paused) == 1
    shell.user_ns["form"].close()
    gc.collect()
    assert len(workspace._paused) == 0


# Where no widget can live


@pytest.mark.usefixtures("active")
def test_a_bare_shell_prints_the_form_as_text_with_its_line(run, capsys):
    form = run("%hokusai_register m --token a_b --form")
    assert form.wait(20)
    printed = capsys.readouterr().out
    assert "Register a model under a token\n" in printed
    assert "Token ID format invalid: 'a_b'. Did you mean A-B?" in printed
    assert "%hokusai_register m --token a_b" in printed
    form.close()


@pytest.mark.usefixtures("active")
def test_the_bundle_has_the_widget_html_and_text_and_later_the_receipt(form_of):
    form = form_of("%hokusai_register m --token A-B --metric accuracy --form")
    bundle = form._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
    assert "What will be written: m version 1 (new)" in bundle["text/plain"]
    form.submit()
    bundle = form._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"].startswith("Registered m version 1")


NOTEBOOK = [
    "%load_ext hokusai_nb",
    "import mlflow, os\nmlflow.set_tracking_uri(os.environ['STORE'])\nmlflow.set_experiment('tests')\n"
    "with mlflow.start_run() as run:\n    mlflow.log_metric('accuracy', 0.9)" + FIT,
    "%hokusai_register",
    "form = %hokusai_register m --token A-B --metric accuracy --model clf --form\nform",
    "made = form.submit()\nmade",
    "form",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory, migrated_database):
    """A folder with a store, and the settings with which a notebook uses them."""
    folder = tmp_path_factory.mktemp("headless")
    shutil.copy(migrated_database, folder / "mlflow.db")
    settings = {"STORE": f"sqlite:///{folder / 'mlflow.db'}", "IPYTHONDIR": str(folder / "ipython"), "NO_COLOR": "1"}
    mlflow.MlflowClient(settings["STORE"]).create_experiment("tests", (folder / "artifacts").as_uri())
    return folder, {**os.environ, **settings}


@pytest.fixture(scope="module")
def executed(place):
    """A notebook with forms, executed without a browser."""
    import nbformat
    from nbclient import NotebookClient

    folder, env = place
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in NOTEBOOK])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute(env=env)
    nbformat.write(notebook, folder / "forms.ipynb")
    return notebook


def shown(cell):
    return [o["data"] for o in cell.outputs if o.output_type in ("display_data", "execute_result")]


@pytest.mark.slow
def test_a_headless_notebook_shows_html_and_text_and_ends_with_receipts(executed):
    kept, live = shown(executed.cells[2])
    assert set(kept) == {"text/html", "text/plain"}
    assert "%hokusai_register" in kept["text/plain"]
    assert set(live) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    assert live["text/plain"] == ""  # it is said once
    # The receipt has taken the place of the form, where it was shown before it was submitted.
    for cell in (executed.cells[3], executed.cells[5]):
        (receipt,) = [data for data in shown(cell) if data["text/plain"]]
        assert set(receipt) == {"text/html", "text/plain"}
        assert receipt["text/plain"].startswith("Registered m version 1")
    assert shown(executed.cells[4])[0]["text/plain"].startswith("Registered m version 1")


@pytest.mark.slow
def test_an_exported_notebook_shows_each_form_once_and_each_receipt_once(executed):
    from nbconvert import HTMLExporter, MarkdownExporter

    saved = copy.deepcopy(executed)
    saved.metadata.pop("widgets")  # JupyterLab does not save them
    for exporter in (HTMLExporter(), MarkdownExporter()):
        page, _ = exporter.from_notebook_node(saved)
        assert page.count("Register a model under a token") == 1
        assert page.count("Registered m version 1") == 3
        assert "widget-view" not in page


@pytest.mark.slow
@pytest.mark.usefixtures("executed")
def test_a_notebook_with_forms_passes_nbval(place):
    folder, env = place
    command = [sys.executable, "-m", "pytest", "-p", "nbval.plugin", "--nbval-lax", "-q", "forms.ipynb"]
    env = {**env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "6 passed" in done.stdout


@pytest.mark.slow
def test_on_a_server_the_receipt_links_to_the_version_in_mlflows_pages(server, unique, shell, run):  # noqa: ARG001
    import mlflow

    from tests.conftest import train

    mlflow.set_tracking_uri(server)
    made, name = train(server, accuracy=0.9), unique("form")
    form = run(f"form = %hokusai_register {name} --token A-B --metric accuracy --run {made.run_id} --form\nform")
    assert form.wait(30)
    assert "first version" in form.fields["value"].message
    assert form.can_register
    form.submit()
    link = f'<a href="{server}/#/models/{name}/versions/1" target="_blank"'
    assert link in form._repr_mimebundle_()["text/html"]
    form.close()
