"""The pages that a test drives: JupyterLab, Notebook 7, a notebook in either, the form in it."""

from __future__ import annotations

import re
from urllib.parse import quote

from playwright.sync_api import expect

from tests.browser.jupyter import TOKEN

SECONDS = 60
"""How long a test waits for what it claims: two slow cores may run several browsers at a time."""
expect.set_options(timeout=SECONDS * 1000)

READY = """async name => {
    const current = () => window.jupyterapp.shell.currentWidget;
    while (current()?.context?.path !== name)
        await new Promise(resolve => setTimeout(resolve, 20));
    const panel = current();
    await panel.context.ready;
    await panel.sessionContext.ready;
    return panel.sessionContext.session?.kernel?.id ?? null;
}"""
# A notebook on a running kernel first fetches that kernel's widgets. A form that is opened meanwhile would
# be made twice, and one of the two hears nothing; no user is that fast.
FETCHED = """async () => {
    const mimeType = 'application/vnd.jupyter.widget-view+json';
    const options = {mimeType, sanitizer: null, resolver: null, linkHandler: null, latexTypesetter: null};
    const factory = window.jupyterapp.shell.currentWidget.content.rendermime.getFactory(mimeType);
    const manager = await factory.createRenderer(options)._manager.promise;
    for (let waited = 0; waited < 60000 && !manager.restoredStatus; waited += 20)
        await new Promise(resolve => setTimeout(resolve, 20));
    return manager.restoredStatus;
}"""


# The page's own calls have no limit: a dialog that nobody answers would stop the test without a word.
COMMAND = """async ([name, args, most]) => {
    const open = () => [...document.querySelectorAll('.jp-Dialog')].map(dialog => dialog.innerText);
    const late = new Promise((_, fail) => setTimeout(
        () => fail(new Error(`${name} was not done after ${most} ms. Open dialogs: ${JSON.stringify(open())}`)), most));
    const result = await Promise.race([window.jupyterapp.commands.execute(name, args), late]);
    return typeof result === 'object' ? null : result;
}"""


class Notebook:
    """An open notebook, in JupyterLab or in Notebook 7."""

    def __init__(self, front, name, kernel):
        self.front = front
        self.page = front.page
        self.name = name
        self.kernel = kernel

    @property
    def outputs(self):
        """What the cells show."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output")

    @property
    def forms(self):
        return self.outputs.locator(".hokusai-form")

    @property
    def kept(self):
        """What is saved of a form that is not finished."""
        return self.outputs.locator(".hokusai-kept")

    @property
    def form(self):
        """The registration form that is on the page."""
        return Form(self.forms.first)

    def run_all(self):
        """Run all cells, and wait until they have run."""
        ran = self.front.command("notebook:run-all-cells")
        assert ran is True, "\n".join(self.outputs.all_inner_texts())
        return self

    def save(self):
        """Save, and return what the file holds now."""
        self.front.command("docmanager:save")
        return self.front.server.read(self.name)

    def shown(self, text):
        """Return the output with this text, once it is there."""
        found = self.outputs.filter(has_text=text).first
        expect(found).to_be_visible()
        return found

    def receipt(self, text):
        """Return the receipt with this text, once it has taken the place of every form.

        For an instant the form shows it inside, where only its output is to be replaced yet.
        """
        expect(self.forms).to_have_count(0)
        return self.shown(text)


class Front:
    """A page of JupyterLab, in which notebooks are opened one after the other."""

    def __init__(self, server, page):
        self.server = server
        self.page = page
        self._mine = set()

    def start(self):
        self.page.goto(f"{self.server.address}/lab?token={TOKEN}")
        self._wait()
        return self

    def _wait(self):
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
        self.page.evaluate("async () => { await window.jupyterapp.restored }")

    def command(self, name, **args):
        """Run a command of the application, and wait for it."""
        return self.page.evaluate(COMMAND, [name, args, 3 * SECONDS * 1000])

    def open(self, name, *cells, kernel=None):
        """Open a notebook, made of these cells if any are given, with a kernel of its own or with this one."""
        if cells:
            self.server.write(name, *cells)
        self.command("docmanager:open", path=name, factory="Notebook", **({"kernel": {"id": kernel}} if kernel else {}))
        return self._opened(name, kernel)

    def _opened(self, name, kernel):
        """Return the open notebook, once it has its kernel and what that kernel already shows."""
        used = self.page.evaluate(READY, name)
        if used == kernel:
            assert self.page.evaluate(FETCHED)
        else:
            self._mine.add(used)
        return Notebook(self, name, used)

    def close(self):
        """Close all notebooks, unsaved; their kernels go on."""
        self.page.evaluate("""() => {
            for (const widget of [...window.jupyterapp.shell.widgets('main')])
                if (widget.context) { widget.context.model.dirty = false; widget.dispose(); }
        }""")

    def tidy(self):
        """Close all notebooks and end the kernels that they started."""
        self.close()
        for kernel in self._mine & self.server.kernels():
            self.server.shut_down(kernel)
        self._mine.clear()

    def theme(self, name):
        self.command("apputils:change-theme", theme=f"JupyterLab {name}")


class NotebookFront(Front):
    """A page of Notebook 7, which holds one notebook."""

    def start(self):
        return self

    def open(self, name, *cells, kernel=None):
        if cells:
            self.server.write(name, *cells)
        if kernel:
            self.server.attach(name, kernel)
        self.page.goto(f"{self.server.address}/notebooks/{quote(name)}?token={TOKEN}")
        self._wait()
        self.page.locator(".jp-Notebook").wait_for()
        return self._opened(name, kernel)

    def close(self):
        self.page.evaluate("() => { window.jupyterapp.shell.currentWidget.context.model.dirty = false }")
        self.page.goto("about:blank")


class Form:
    """The registration form as a user finds it: by its labels and by what its buttons say."""

    def __init__(self, element):
        self.element = element

    def field(self, label):
        return self.element.get_by_label(label, exact=True)

    def button(self, name):
        return self.element.get_by_role("button", name=name)

    def fill(self, **fields):
        """Type into fields: ``fill(token="A-B", name="iris")``."""
        for label, text in fields.items():
            self.field(label.capitalize()).fill(text)
        return self

    def use(self, text, *, field="Token"):
        """Press the button that repairs a field, and wait until the keyboard is in that field again."""
        self.button(f"Use {text}").click()
        expect(self.field(field)).to_be_focused()
        return self

    def says(self, text):
        """Wait until this text stands in the form."""
        pattern = text if isinstance(text, re.Pattern) else re.compile(re.escape(text))
        expect(self.element.get_by_text(pattern).first).to_be_visible()
        return self

    def has(self, **fields):
        """Wait until fields hold these texts: ``has(token="A-B")``."""
        for label, text in fields.items():
            expect(self.field(label.capitalize())).to_have_value(text)
        return self

    def ready(self):
        """Wait until the registry has answered to what the form says now."""
        return self.says(re.compile(r"^Ready\.$|^What will be written"))

    def register(self):
        """Press Register once it can be pressed."""
        self.button("Register").click()
