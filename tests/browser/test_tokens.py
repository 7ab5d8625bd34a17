"""The form beside a token store: it says where a token stands while it is typed, and refuses nothing for that."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.jupyter import TRAIN
from tests.browser.test_access import serious

pytestmark = pytest.mark.slow

STORE = """\
import os
os.environ.update(HOKUSAI_DB_TYPE="sqlite", HOKUSAI_DB_NAME="tokens.db")
from hokusai_nb.schema.lifecycle import NewToken, Status, TokenChange
from hokusai_nb.site.opening import open_store
store = open_store()
for name in ("SEEN-{theme}", "GONE-{theme}"):
    store.create(NewToken(token_id=name), by="test")
gone = store.change("GONE-{theme}", TokenChange(to=Status.ARCHIVED, by="test"))
"""
FORGET = "for name in ('TYPE', 'NAME'):\n    os.environ.pop(f'HOKUSAI_DB_{name}', None)"
ARCHIVED = "Token is not in Draft status: GONE-{theme} is archived. It is out of use"


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_form_says_where_a_token_stands_and_still_registers_it(lab, kernel, server, theme):
    model, upper = f"stands-{theme.lower()}", theme.upper()
    cells = [STORE.format(theme=upper), TRAIN, f"%hokusai_register {model} --metric accuracy --form"]
    lab.theme(theme)
    try:
        notebook = lab.open(f"{model}.ipynb", *cells, kernel=kernel).run_all()
        form, warned = notebook.form, ARCHIVED.format(theme=upper)
        form.fill(token=f"SEEN-{upper}").says("In draft.")
        form.fill(token=f"LOST-{upper}").says(f"Token not found: 'LOST-{upper}'.")
        form.fill(token=f"gone-{upper.lower()}").says(warned)
        expect(form.element.get_by_role("status").filter(has_text=warned)).to_be_visible()
        expect(form.element.locator(".hokusai-warning").filter(has_text=warned)).to_be_visible()
        expect(form.element.get_by_role("alert")).to_have_count(0)
        expect(form.button("Register")).to_be_enabled()
        form.ready()
        assert serious(lab.page, ".hokusai-form") == []
        form.register()
        expect(notebook.receipt(f"Registered {model} version 1")).to_contain_text(f"Warning: {warned}")
        assert f"Warning: {warned}" in notebook.save().cells[2].outputs[0]["data"]["text/plain"]
        (made,) = server.versions(model)
        assert made.tags["hokusai_token_id"] == f"GONE-{upper}"
    finally:
        lab.theme("Light")
        lab.close()
        lab.open("forget.ipynb", FORGET, kernel=kernel).run_all()
