"""The kernel dies, the server dies, the user is impatient: each ends in clear words and at most one version."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
from playwright.sync_api import expect

from tests.browser.jupyter import TRAIN
from tests.browser.test_access import HEARD, LISTEN
from tests.conftest import mlflow_server

pytestmark = pytest.mark.slow


def pid_of(notebook):
    """Return the process of a notebook's kernel, which its first cell has printed."""
    return int(re.search(r"pid (\d+)", notebook.shown("pid").inner_text())[1])


PID = "import os\nprint('pid', os.getpid())"


def test_when_the_kernel_dies_the_form_says_so_and_nothing_is_registered(lab, run_id, server):
    line = f"%hokusai_register killed --token KILLED-01 --metric accuracy --run {run_id} --form"
    notebook = lab.open("killed.ipynb", PID, "%load_ext hokusai_nb", line).run_all()
    form = notebook.form.ready()
    os.kill(pid_of(notebook), signal.SIGKILL)
    dialog = lab.page.locator(".jp-Dialog").filter(has_text="Kernel Restarting")
    dialog.get_by_role("button").last.click()
    says = "The kernel is gone, so this form no longer answers. Run its cell again."
    expect(form.element).to_have_css("content", f'"{says}"', pseudo="before")
    form.button("Register").dispatch_event("click")
    time.sleep(1)  # nothing follows that could be waited for
    expect(form.element).to_have_css("content", f'"{says}"', pseudo="before")
    assert server.versions("killed") == []


def test_pressing_register_twice_makes_one_version(lab, kernel, server):
    line = "%hokusai_register pressed --token PRESSED-01 --metric accuracy --form"
    notebook = lab.open("pressed.ipynb", TRAIN, line, kernel=kernel).run_all()
    notebook.form.ready().button("Register").evaluate("button => { button.click(); button.click() }")
    notebook.shown("Registered pressed version 1")
    lab.open("after.ipynb", "'the kernel has done all it was asked'", kernel=kernel).run_all()
    assert len(server.versions("pressed")) == 1


def test_when_the_server_stops_while_registering_the_form_says_so_and_makes_one_version(
    lab, kernel, tmp_path, migrated_database, server
):
    with mlflow_server(tmp_path, migrated_database) as (address, process):
        line = "%hokusai_register halted --token HALTED-01 --metric accuracy --form"
        cells = [f"mlflow.set_tracking_uri({address!r})", TRAIN, line]
        try:
            notebook = lab.open("halted.ipynb", *cells, kernel=kernel).run_all()
            form = notebook.form.ready()
            lab.page.evaluate(LISTEN)
            os.killpg(process.pid, signal.SIGSTOP)
            try:
                start = time.monotonic()
                form.button("Register").press("Enter")
                expect(form.element.locator(".hokusai-error").first).to_contain_text(address)
                took = time.monotonic() - start
                lab.page.keyboard.press("Tab")  # the keyboard has waited beside the button
                expect(form.button("Register")).to_be_focused()
                lab.page.wait_for_function(HEARD, arg=address)
            finally:
                os.killpg(process.pid, signal.SIGCONT)
            assert took < 6.5
            form.register()
            notebook.shown("egistered halted version 1")
            assert len(server.versions("halted", address)) == 1
        finally:
            lab.open("unhalted.ipynb", f"mlflow.set_tracking_uri({server.store!r})", kernel=kernel).run_all()
