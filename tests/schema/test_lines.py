"""Lines and calls mean exactly what they were written from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hokusai_nb.magics.parsing import parse
from hokusai_nb.magics.references import in_namespace
from hokusai_nb.schema.lines import Code, is_uri, magic_line, python_call, quote, word
from hokusai_nb.schema.verbs import Register

HOSTILE = ["a b", "it's", 'say "x"', "both ' and \"", "$x", "{1/0}", "}{", "a\nb", "a\\", "\\'", "# no", "x;", "--help"]
HOSTILE += [
    "-h",
    "--",
    "?",
    "!ls",
    "%pwd",
    "\t",
    "é—🌊",
    "\u202eabc",
    "$$",
    "{{}}",
    "a=b",
    "=",
    "\x1b[31m",
    "a\u2028b",
    "'",
]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
hostile = st.one_of(st.sampled_from(HOSTILE), texts)
names = hostile.map(lambda text: text.replace("/", "-").replace(":", "-")).filter(
    lambda text: text.strip() and text != "." and not text.startswith("..")
)
keys = st.text(st.sampled_from("abcXYZ019_ .-"), min_size=1, max_size=12).filter(
    lambda key: not key.startswith(("..", "hokusai.", "mlflow.")) and key != "."
)
registrations = st.fixed_dictionaries(
    {"name": names, "token": st.just("MSG-AI"), "metric": st.sampled_from(["accuracy", "f1_score", "sharpness"])},
    optional={
        "value": st.sampled_from(["0.91", "1e-3", ".5", "0"]),
        "run": hostile,
        "model": hostile,
        "input_example": hostile,
        "tags": st.dictionaries(keys, st.one_of(st.just(""), hostile), min_size=1, max_size=3),
        "contributor": st.just("0x" + "ab" * 20),
        "force_new": st.just(value=True),
        "dry_run": st.just(value=True),
        "as_json": st.just(value=True),
    },
)


@given(registrations)
def test_a_line_is_read_back_as_the_same_registration(values):
    line = magic_line(Register, "hokusai_register", values)
    assert line.isprintable()
    assert parse(Register, line.removeprefix("%hokusai_register"), {}, "hokusai_register") == Register.parse(values)


@given(registrations)
def test_ipython_hands_the_line_on_as_it_is(values):
    from IPython.core.inputtransformer2 import TransformerManager

    line = magic_line(Register, "hokusai_register", values)
    called = []
    shell = type("Shell", (), {"run_line_magic": lambda _, name, rest: called.append((name, rest))})()
    exec(TransformerManager().transform_cell(line), {"get_ipython": lambda: shell})
    ((name, rest),) = called
    assert name == "hokusai_register"
    assert parse(Register, rest, {}, name) == Register.parse(values)


@given(hostile)
def test_a_quoted_word_is_one_word_of_just_that_text(text):
    from hokusai_nb.schema.line_words import split

    (found,) = split(word(text)).words
    assert found.text(in_namespace({})) == text
    assert not found.lead.startswith("-")


def test_plain_words_stay_plain():
    assert [word(text) for text in ("MSG-AI", "0.91", "models:/m-1", "k=v")] == ["MSG-AI", "0.91", "models:/m-1", "k=v"]


def test_what_is_empty_is_left_out():
    values = {"name": "", "token": None, "metric": "accuracy", "tags": {}, "force_new": False, "value": "0"}
    assert magic_line(Register, "hokusai_register", values) == "%hokusai_register --metric accuracy --value 0"


def test_a_mark_begins_the_word_with_that_quote():
    assert (quote("a", "'"), quote("a", '"'), quote("it's", "'")) == ("'a'", '"a"', '"it\'s"')


@pytest.mark.parametrize(("text", "uri"), [("runs:/a/b", True), ("./folder", True), ("model", False), (None, False)])
def test_a_uri_is_told_from_a_name(text, uri):
    assert is_uri(text) is uri


# Python


class Registry:
    """Takes a call and returns the registration that the real registry makes of it."""

    def register_run_model(
        self, run_id, name, token_id, benchmark_metric, benchmark_value=None, tags=None, *, model=None, force_new=False
    ):
        given = {"run": run_id, "name": name, "token": token_id, "metric": benchmark_metric, "value": benchmark_value}
        return Register.parse({**given, "tags": tags or {}, "model": model, "force_new": force_new})

    def register_tokenized_model(
        self, model_uri, name, token_id, benchmark_metric, benchmark_value, tags=None, *, force_new=False
    ):
        given = {"model": model_uri, "name": name, "token": token_id, "metric": benchmark_metric}
        return Register.parse({**given, "value": benchmark_value, "tags": tags or {}, "force_new": force_new})

    def register(self, verb, **objects):
        return verb if not objects else (verb, objects)


def called(source, **names):
    """Run a call, its imports left out, and return what the registry was asked for."""
    code = source.partition("\n\n")[2]
    return eval(code.strip(), {"ModelRegistry": Registry, "Register": Register, **names})


def same(values):
    """Return the registration with the contributor where the methods take it: among the tags."""
    verb = Register.parse(values)
    if verb.contributor is None:
        return verb
    tags = dict(verb.tags)
    tags.setdefault("contributor_address", verb.contributor)
    return verb.model_copy(update={"contributor": None, "tags": Register.parse({**values, "tags": tags}).tags})


@given(registrations.map(lambda v: {k: x for k, x in v.items() if k not in ("dry_run", "as_json", "input_example")}))
def test_a_call_asks_for_the_same_registration(values):
    asked = called(python_call(values))
    assert asked in (Register.parse(values), same(values))


def test_an_estimator_and_its_rows_are_handed_over_as_objects():
    values = {"name": "m", "token": "A-B", "metric": "f1", "run": "r", "model": Code("clf")}
    clf, rows = object(), object()
    verb, objects = called(python_call(values, estimator=Code("clf"), input_example=Code("rows")), clf=clf, rows=rows)
    assert verb == Register(name="m", token="A-B", metric="f1", run="r")
    assert objects == {"estimator": clf, "input_example": rows}


def test_a_variable_that_holds_what_log_model_returned_is_asked_for_its_uri():
    from types import SimpleNamespace

    source = python_call({"name": "m", "token": "A-B", "metric": "f1", "model": Code("info.model_uri")})
    assert called(source, info=SimpleNamespace(model_uri="models:/m-1")).model == "models:/m-1"


def test_the_stated_contributor_tag_is_not_set_twice():
    address = "0x" + "ab" * 20
    values = {"name": "m", "token": "A-B", "metric": "f1", "run": "r", "contributor": address}
    assert python_call({**values, "tags": {"contributor": address}}).count(address) == 1
