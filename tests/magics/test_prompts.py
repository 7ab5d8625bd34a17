"""Prompts in cells: checked, rendered, compared, registered and shown."""

from __future__ import annotations

import json

import mlflow
import pytest

from hokusai_nb.core.prompts import PromptModel
from hokusai_nb.magics.completion import Sources, candidates, suggestions_of
from hokusai_nb.magics.typed import as_typed
from hokusai_nb.schema.prompt_card import waiting
from hokusai_nb.schema.prompt_verbs import EditPrompt, Promote, Rollback
from hokusai_nb.schema.prompts import PromptLineage, PromptList
from tests.conftest import both

DONE = "--meta author=ada --meta purpose=p --meta tested_on=t --meta performance_metrics={{}}"
HOOK = "Hi {name}, see {link}"


def cell(body, line="mail/hook", *, done=False):
    return f"%%hokusai_prompt {line} {DONE if done else ''}\n{body}\n"


def versions(name="mail/hook"):
    return [(v.version, v.template) for v in PromptModel.list(name)]


def text_of(model):
    return model._repr_mimebundle_()["text/plain"]


@pytest.mark.usefixtures("store")
def test_pairs_may_follow_one_flag_and_the_version_may_stand_anywhere(run):
    line = "mail/hook --render name=Ada link=x 2.0.0 --meta author=ada purpose='to greet'"
    made = run(cell(HOOK, line))
    assert (made.version, made.metadata) == ("2.0.0", {"author": "ada", "purpose": "to greet"})
    assert "| Hi Ada, see x" in text_of(made)


@pytest.mark.usefixtures("store")
def test_a_cell_checks_and_renders_and_writes_nothing(run):
    made = run(cell(HOOK, "mail/hook --render name=Ada"))
    assert isinstance(made, PromptModel)
    assert (made.name, made.version, made.template, made.registered) == ("mail/hook", "1.0.0", HOOK, False)
    assert text_of(made).splitlines() == [
        "Prompt mail/hook 1.0.0 (not registered)",
        "Variables  [name] [link]",
        "Step       the first version",
        "Sample",
        f"| Hi Ada, see {waiting('link')}",
        f"No value was given for link: the sample shows {waiting('link')}.",
        "Warning: Recommended metadata is missing: author, purpose, tested_on, performance_metrics",
    ]
    assert versions() == []
    assert mlflow.MlflowClient().search_registered_models() == []


@pytest.mark.usefixtures("store")
def test_variables_are_chips_that_an_untrusted_notebook_shows_too(run):
    html = run(cell(HOOK))._repr_mimebundle_()["text/html"].split("</style>")[1]
    assert html.count("border-radius") == 2
    assert "var(" not in html
    assert "<code>link</code></span>" in html


@both
def test_registering_twice_registers_once_and_shows_the_same(sqlite_or_server, unique, run, recwarn):
    mlflow.set_tracking_uri(sqlite_or_server)
    name = unique("hook")
    first = run(cell("Hi {name}", f"{name} --register", done=True))
    assert (first.version, first.registered) == ("1.0.0", True)
    second, again = (run(cell(HOOK, f"{name} --register", done=True)) for _ in range(2))
    assert second.version == again.version == "1.1.0"
    assert [v for v, _ in versions(name)] == ["1.0.0", "1.1.0"]
    shown, anew = text_of(second).splitlines(), text_of(again).splitlines()
    assert shown[0].endswith("1.1.0 (registered)")
    assert anew[0].endswith("1.1.0 (registered already)")
    assert shown[1:] == anew[1:]
    assert "minor, from 1.0.0: callers have to pass link" in "\n".join(shown)
    assert shown[-5:] == ["| --- 1.0.0", "| +++ 1.1.0", "| @@ -1 +1 @@", "| -Hi {name}", f"| +{HOOK}"]
    assert again.metadata == {"author": "ada", "purpose": "p", "tested_on": "t", "performance_metrics": {}}
    assert not [w for w in recwarn if "Recommended" in str(w.message)]


@pytest.mark.usefixtures("store")
def test_a_step_can_be_chosen_and_one_that_says_too_little_is_told(run, refused):
    run(cell(HOOK, "mail/hook --register", done=True))
    assert run(cell(HOOK + "!", "mail/hook --bump major")).version == "2.0.0"
    small = run(cell("Hi {name}", "mail/hook --bump patch"))
    assert small.version == "1.0.1"
    assert "patch, from 1.0.0; the change is major: callers still pass link" in text_of(small)
    assert "It would not be registered: The change from 1.0.0 to 1.0.1" in text_of(small)
    assert "allow it with --allow-breaking" in text_of(small)
    lines = refused(cell("Hi {name}", "mail/hook --bump patch --register", done=True))
    assert lines[0].startswith("ModelValidationError: The change from 1.0.0 to 1.0.1 of mail/hook is major")
    assert lines[1].strip() == "Did you mean 2.0.0? Or allow it with --allow-breaking."
    assert versions() == [("1.0.0", HOOK)]
    run(cell("Hi {name}", "mail/hook --bump patch --register --allow-breaking", done=True))
    assert versions() == [("1.0.0", HOOK), ("1.0.1", "Hi {name}")]


@pytest.mark.usefixtures("store")
def test_a_version_that_is_taken_is_told_and_one_that_is_the_same_is_that_one(run, refused):
    run(cell(HOOK, "mail/hook 1.0.0 --register", done=True))
    run(cell(HOOK + "!", "mail/hook 1.0.1 --register", done=True))
    same = run(cell(HOOK, "mail/hook 1.0.0 --register", done=True))
    assert (same.registered, same.version) == (True, "1.0.0")
    other = run(cell("Hi {name}", "mail/hook 1.0.0", done=True))
    assert "1.0.0 of mail/hook is registered already, with other content" in text_of(other)
    assert "registered already, with other" in refused(cell("Hi {name}", "mail/hook 1.0.0 --register", done=True))[0]
    assert len(versions()) == 2


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("body", "place", "line", "caret"),
    [
        ("Hello {name", "line 1, column 7", "Hello {name", 6),
        ("First\nHello {}!", "line 2, column 8", "Hello {}!", 7),
        ("Hi {x.__class__}", "line 1, column 5", "Hi {x.__class__}", 4),
    ],
)
def test_an_invalid_template_fails_with_its_place_and_registers_nothing(refused, body, place, line, caret):
    shown = refused(cell(body, "mail/hook --register", done=True))
    assert shown[0].startswith("ModelValidationError: Invalid template format: ")
    assert place in shown[0]
    assert shown[-2:] == [f"  {line}", f"  {' ' * caret}^"]
    assert versions() == []


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("%%hokusai_prompt\n{a}", "NAME is missing"),
        ("%%hokusai_prompt 'my hook'\n{a}", "Model name invalid: 'my hook'"),
        ("%%hokusai_prompt a 1.0\n{a}", "Invalid version format"),
        ("%%hokusai_prompt a --meta purpose=say hello\n{a}", "Invalid version format: 'hello'"),
        ("%%hokusai_prompt a 1.0.0 --bump minor\n{a}", "exclude each other"),
        ("%%hokusai_prompt a --bump big\n{a}", "--bump: Input should be"),
        ("%%hokusai_prompt a --meta x\n{a}", "--meta needs KEY=VALUE"),
        ("%%hokusai_prompt a --meta mlflow.x=1\n{a}", "reserved"),
        ("%%hokusai_prompt a --render p=abc --register\n{p:.2f}", "needs a number: 'abc'"),
        ("%%hokusai_prompt a\n   \n", "Template cannot be empty"),
        ("%hokusai_prompt a --register", "--register is for a cell"),
        ("%hokusai_prompt nope", "There is no prompt 'nope'"),
        ("%hokusai_prompts a b", "no place for the argument"),
    ],
)
def test_what_is_wrong_is_said_in_few_lines_and_nothing_is_registered(refused, code, words):
    shown = refused(code)
    assert words in shown[0]
    assert 1 <= len(shown) <= 4
    assert list(PromptModel.list()) == []


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "body",
    [
        "  indented {a}\n\ttabbed",
        ">>> print({a})\n... more",
        "In [1]: {a}\n   ...: b",
        "%magic {a}\n!ls ?",
        "{a} $a {{b}} # no comment ;",
        "\n\n{a}\n\n",
        "'''{a}\n\"\"\"",
        "{a}\N{FIRE}\u00a0\u2028x",
    ],
)
def test_the_template_is_the_cell_as_it_was_typed(run, body):
    assert run(f"%%hokusai_prompt a\n{body}\n").template == body


@pytest.mark.usefixtures("store")
def test_a_word_that_is_left_over_after_a_pair_is_told_to_be_quoted(refused):
    lines = refused("%%hokusai_prompt a --meta purpose=say hello\n{a}")
    assert "'purpose=to say hello'" in "\n".join(lines)
    assert "quotes" not in "\n".join(refused("%%hokusai_prompt a 1.0\n{a}"))


@pytest.mark.usefixtures("store")
def test_json_on_the_line_is_registered_and_rendered_as_it_was_typed(run):
    made = run(
        """%%hokusai_prompt a --meta 'd={"a":1}' e={"k":{"n":[true]}} n={} --render 'a={"k":5}' --register\n{a[k]}"""
    )
    for one in (made, PromptModel.load_from_registry("a", refresh=True)):
        assert one.to_dict()["metadata"] == {"d": {"a": 1}, "e": {"k": {"n": [True]}}, "n": {}}
    assert "| 5" in text_of(made)


@pytest.mark.usefixtures("store")
def test_a_cell_that_keeps_no_history_is_the_template_as_it_was_typed_too(run, shell):
    run("1 + 1")
    result = shell.run_cell("%%hokusai_prompt a\n>>> {a}\n... b\n", store_history=False)
    assert result.result.template == ">>> {a}\n... b"


@pytest.mark.usefixtures("store")
def test_a_refusal_stands_first_and_in_the_title(run):
    run(cell(HOOK, "mail/hook --register", done=True))
    small = run(cell("Hi {name}", "mail/hook --bump patch", done=True))
    title, refusal, *_ = text_of(small).splitlines()
    assert title == "Prompt mail/hook 1.0.1 (would be refused)"
    assert refusal.startswith("It would not be registered: The change from 1.0.0 to 1.0.1")
    html = small._repr_mimebundle_()["text/html"].split("</style>")[1]
    assert html.index("It would not be registered") < html.index("Variables")
    assert "var(" not in html


@pytest.mark.usefixtures("store")
def test_the_author_is_on_the_card_before_and_after_registering_and_so_is_where_the_name_comes_from(run):
    for option in ("", " --register"):
        rows = [line.split(maxsplit=1) for line in text_of(run(cell("Hi", f"a --meta author=me{option}"))).splitlines()]
        assert ["Author", "me"] in rows
    taken = text_of(run(cell("Hi", "b --register")))
    assert "(taken from the login)" in taken
    assert "missing: author" in taken


@pytest.mark.usefixtures("store")
def test_a_text_that_steers_how_it_is_read_is_spelled_out_in_both_forms_of_the_card(run):
    run(cell("Hi {x}", "a --register", done=True))
    made = run(cell("Hi {x} \u202elive\u202c \x1b[31m", "a --render 'x=\u2066y'", done=True))
    for form in made._repr_mimebundle_().values():
        assert not set(form) & set("\u202e\u202c\u2066\x1b")
        assert r"\u202elive\u202c \x1b[31m" in form
        assert r"\u2066y" in form


@pytest.mark.usefixtures("store")
def test_a_cell_without_a_closing_line_break_is_the_same_template(run):
    assert run("%%hokusai_prompt a\n{a}").template == "{a}"


@pytest.mark.usefixtures("store")
def test_a_magic_that_is_called_by_python_gets_just_the_text_it_is_given(run, shell):
    made = run("made = get_ipython().run_cell_magic('hokusai_prompt', 'a', '>>> {a}\\n\\n')\nmade")
    assert made.template == ">>> {a}\n"
    assert as_typed(shell, "of another cell\n") == "of another cell"


@pytest.mark.usefixtures("store")
def test_values_are_read_as_their_fields_need_and_a_wrong_name_is_told(run):
    body = "{price:.2f} {day:%d.%m.%Y} {who[name]} {plain}"
    given = ("price=3", "day=2026-01-02", """'who={{"name": "Ada"}}'""", "plain=1.50", "no=1")
    line = " ".join(["a", *(f"--render {pair}" for pair in given)])
    text = text_of(run(f"%%hokusai_prompt {line}\n{body}"))
    assert "| 3.00 02.01.2026 Ada 1.50" in text
    assert "Warning: the template has no variable no." in text


def test_hostile_names_and_texts_are_escaped(run, store):
    body = "<img src=x onerror=alert(1)> {x} \x1b[31m\n(registered)"
    made = run(cell(body, "mail/hook --meta 'note=<script>' --render 'x=</pre><script>' --register"))
    for model in (made, run("%hokusai_prompt mail/hook --render 'x=</pre><script>'"), run("%hokusai_prompts")):
        bundle = model._repr_mimebundle_()
        assert "<img" not in bundle["text/html"]
        assert "<script>" not in bundle["text/html"]
        assert "\x1b" not in bundle["text/plain"]
    assert "| (registered)" in text_of(made)
    assert store.startswith("sqlite")


def test_without_a_registry_a_cell_still_checks_and_renders(run, refused, store):
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    try:
        made = run(cell(HOOK, "mail/hook --render name=Ada", done=True))
        assert made.version == "1.0.0"
        assert text_of(made).startswith("Prompt mail/hook 1.0.0 (not checked with the registry)\n")
        assert "| Hi Ada, see" in text_of(made)
        assert "The registry could not be asked" in text_of(made)
        assert refused(cell("{"))[0].startswith("ModelValidationError: Invalid template format")
        assert refused(cell(HOOK, "mail/hook --register"))[0].startswith("ConnectionFailedError")
    finally:
        mlflow.set_tracking_uri(store)


@pytest.mark.usefixtures("store")
def test_the_card_of_a_draft_follows_what_is_done_with_it(run):
    made = run(cell(HOOK, done=True))
    assert "(not registered)" in text_of(made)
    made.register().promote_to_staging()
    assert "(registered)" in text_of(made)
    assert ["Stage", "staging"] in [line.split() for line in text_of(made).splitlines()]


@pytest.mark.usefixtures("store")
def test_a_registered_prompt_is_shown_by_version_and_by_stage(run, refused):
    run(cell("Hi {name}", "mail/hook --register", done=True))
    run(cell(HOOK, "mail/hook --register", done=True))
    assert run("%hokusai_prompt mail/hook").version == "1.1.0"
    shown = run("%hokusai_prompt mail/hook 1.0.0 --render name=Ada")
    assert "Template\n| Hi {name}\nSample\n| Hi Ada" in text_of(shown)
    assert "has no version in production" in refused("%hokusai_prompt mail/hook production")[0]
    PromptModel.load_from_registry("mail/hook", "1.0.0").promote_to_staging()
    assert run("%hokusai_prompt mail/hook staging").version == "1.0.0"


@pytest.mark.usefixtures("store")
def test_prompts_are_listed_with_their_stages(run):
    run(cell(HOOK, "mail/hook --register", done=True))
    run(cell(HOOK, "chat/hook --register", done=True))
    run("%hokusai_promote chat/hook")
    found = run("%hokusai_prompts")
    assert isinstance(found, PromptList)
    assert [(v.name, v.stage.value) for v in found] == [("chat/hook", "staging"), ("mail/hook", "dev")]
    assert [v.name for v in run("%hokusai_prompts mail")] == ["mail/hook"]
    assert json.loads(run("%hokusai_prompts mail --json"))["entries"][0]["template"] == HOOK


@pytest.mark.usefixtures("store")
def test_lineage_and_comparison_know_prompts(run, refused):
    run(cell("Hi {name}", "mail/hook --register", done=True))
    run(cell(HOOK, "mail/hook --register", done=True))
    found = run("%hokusai_lineage mail/hook")
    assert isinstance(found, PromptLineage)
    assert [entry["version"] for entry in found] == ["1.0.0", "1.1.0"]
    assert run("%hokusai_compare mail/hook 1.0.0 1.1.0")["template_diff"]["variables_added"] == ["link"]
    assert run("%hokusai_compare mail/hook 1 2")["version_step"] == "minor"
    assert json.loads(run("%hokusai_compare mail/hook 1.0.0 1.1.0 --json"))
    assert "has no version 9.0.0" in refused("%hokusai_compare mail/hook 1.0.0 9.0.0")[0]


@pytest.mark.usefixtures("store")
def test_the_graph_of_a_prompts_lineage_is_a_picture(run):
    run(cell(HOOK, "mail/hook --register", done=True))
    bundle = run("%hokusai_lineage mail/hook --graph")._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert bundle["image/png"]
    assert bundle["text/plain"]


@pytest.mark.usefixtures("store")
def test_completion_knows_prompts_versions_steps_and_stages(run, shell):
    for body in ("Hi {name}", HOOK):
        run(cell(body, "mail/hook --register", done=True))
    known = suggestions_of(shell)
    known.current()
    assert known.wait(30)
    sources = Sources({}, known.current)

    def offered(verb, line):
        return [text for text, _ in candidates(verb, line, sources)[1]]

    assert offered(EditPrompt, "mail") == ["mail/hook"]
    assert offered(EditPrompt, "mail/hook ")[:2] == ["1.1.0", "1.0.0"]
    assert offered(EditPrompt, "mail/hook --bump ") == ["major", "minor", "patch"]
    assert offered(EditPrompt, "mail/hook s") == ["staging"]
    assert offered(EditPrompt, "mail/hook --meta ") == ["author=", "purpose=", "tested_on=", "performance_metrics="]
    assert offered(EditPrompt, "mail/hook --meta author=me p") == ["purpose=", "performance_metrics=", "production"]
    assert offered(EditPrompt, "mail/hook --meta author=me --render a") == []
    assert offered(Promote, "mail/hook --to ") == ["staging", "production"]
    assert offered(Rollback, "mail/hook --to 1.0") == ["1.0.0"]
    assert offered(Promote, "mail/ho") == ["mail/hook"]


@pytest.mark.usefixtures("store")
def test_a_bare_line_and_the_option_open_the_editor(run):
    from hokusai_nb.widgets.prompt import PromptForm

    for code in ("%hokusai_prompt", "%hokusai_prompt --form", "%%hokusai_prompt mail/hook --form\nHi {name}\n"):
        assert isinstance(run(code), PromptForm)


# Through a real kernel


@pytest.mark.slow
def test_a_kernel_shows_the_card_registers_once_and_completes(kernel):
    code = cell(">>> {name}", "kernel/hook --register --render name=Ada", done=True)
    for state in ("registered", "registered already"):
        ((bundle,), printed) = kernel.shown(code)
        assert bundle["text/plain"].startswith(f"Prompt kernel/hook 1.0.0 ({state})\n")
        assert "| >>> Ada" in bundle["text/plain"]
        assert "<code>name</code></span>" in bundle["text/html"]
        assert printed == ""
    _, printed = kernel.shown(
        "from hokusai_nb import PromptModel\nprint([(v.version, v.template) for v in PromptModel.list('kernel')])"
    )
    assert printed == "[('1.0.0', '>>> {name}')]\n"
    assert "kernel/hook" in kernel.complete_until("%hokusai_promote ker", "kernel/hook")
    body = "\nHi {customer} {cta}"
    line = "%%hokusai_prompt kernel/hook --render c"
    assert kernel.complete(line + body, len(line))[0] == ["customer=", "cta="]
    bundles, _ = kernel.shown("moved = %hokusai_promote kernel/hook\nmoved")
    assert bundles[-1]["text/plain"].startswith("Prompt kernel/hook 1.0.0 promoted to staging")


@pytest.mark.slow
def test_an_invalid_template_fails_a_kernels_cell_without_a_stack_trace(kernel):
    reply, (error,) = kernel.refused("%%hokusai_prompt broken --register\nHello {name")
    assert reply["ename"] == "ModelValidationError"
    lines = "\n".join(error["traceback"]).splitlines()
    assert lines[0].startswith("ModelValidationError: Invalid template format: ")
    assert lines[-2:] == ["  Hello {name", "        ^"]
    assert len(lines) == 4
    bundles, _ = kernel.shown("%hokusai_prompts broken")
    assert "Nothing found." in bundles[0]["text/plain"]
