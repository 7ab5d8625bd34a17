"""A real Jupyter server and a real Chromium, each started once for the tests of a worker."""

from __future__ import annotations

import mlflow
import pytest
from playwright.sync_api import Error as PlaywrightError

from tests.browser.jupyter import IMPORTS, TRAIN, Watched, chromium, find_browser, jupyter
from tests.browser.pages import Front, NotebookFront
from tests.needs import without

SHOWN = """() => {
    const focused = document.activeElement;
    const shown = [...document.querySelectorAll('.jp-OutputArea-output')].map(output => output.innerText).join('\\n');
    return `${shown}\\nThe focus is on: ${focused?.outerHTML.slice(0, 300)}`;
}"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Add to a failure what its pages show: of a claim that came not true in time, the error says no more."""
    report = yield
    if report.failed and call.when == "call" and (context := item.funcargs.get("context")) is not None:
        for page in context.pages:
            try:
                shown = page.evaluate(SHOWN)
            except PlaywrightError as error:
                shown = f"Nothing that can be asked for: {error}"
            report.sections.append((f"What {page.url} shows", shown))
    return report


@pytest.fixture(scope="session")
def browser():
    """The browser; without one the tests are left out, except in CI."""
    if find_browser() is None:
        without("browser", "chromium")
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def server(tmp_path_factory, migrated_database):
    """A Jupyter server, with JupyterLab, Notebook 7 and Voila."""
    with jupyter(tmp_path_factory.mktemp("jupyter"), migrated_database) as started:
        yield started


@pytest.fixture(scope="session")
def watched():
    return Watched()


@pytest.fixture(scope="session")
def context(browser, watched):
    made = browser.new_context(viewport={"width": 1100, "height": 1400})
    made.set_default_timeout(45_000)
    watched.watch(made)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_leaves_the_machine(watched):
    """In every test: the page asks only this machine, and no script of a registry opens a dialog."""
    yield
    assert watched.outside == []
    assert watched.dialogs == []


@pytest.fixture(scope="session")
def lab_page(context, server):
    return Front(server, context.new_page()).start()


@pytest.fixture
def lab(lab_page):
    """JupyterLab, on the one page that the tests share."""
    yield lab_page
    lab_page.tidy()


@pytest.fixture
def notebook_7(context, server):
    """Notebook 7, on a page of its own."""
    front = NotebookFront(server, context.new_page())
    yield front
    front.tidy()
    front.page.close()


@pytest.fixture(params=["lab", "notebook_7"])
def front(request):
    """The same test in JupyterLab and in Notebook 7."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def kernel(lab_page):
    """A kernel that has trained a model: importing what it takes is most of a test's time."""
    notebook = lab_page.open("warm.ipynb", IMPORTS, TRAIN).run_all()
    lab_page._mine.discard(notebook.kernel)
    lab_page.close()
    return notebook.kernel


@pytest.fixture(scope="session")
def run_id(kernel, server):  # noqa: ARG001 - the kernel has made the run
    """The first run of the shared kernel, for another kernel to take the model from."""
    (run,) = mlflow.MlflowClient(server.store).search_runs(["0"], order_by=["attributes.start_time"], max_results=1)
    return run.info.run_id
