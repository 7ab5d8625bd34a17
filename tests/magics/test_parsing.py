"""A line becomes a verb, and what is wrong with it is said as it is typed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import HokusaiError, UsageError, ValidationError
from hokusai_nb.magics import MAGICS
from hokusai_nb.magics.parsing import Request, help_text, parse
from hokusai_nb.schema import verbs
from hokusai_nb.schema.arguments import arguments

GOOD = "churn --token msg-ai --metric accuracy"
WORDS = """churn --token MSG-AI --token=A-B --metric accuracy --value 0.9 -1e-3 --tag a=b a --force-new --dry-run
--json -- -x --to $x {y} { ' " # ; \\ -h --provenance on --graph --run= = <script> 😀"""
fragments = st.sampled_from([*WORDS.split(), "", "\0", "\ud800"])


def register(line, **namespace):
    return parse(verbs.Register, line, namespace, "hokusai_register")


def refusal(line, verb=verbs.Register, **namespace):
    with pytest.raises(ValidationError) as raised:
        parse(verb, line, namespace, "hokusai_register")
    return raised.value


def test_every_field_can_be_given_in_any_order_and_in_both_spellings():
    line = (
        "--token=msg-ai --dry-run --tag dataset_version=2 --tag 'gpu_type=a b=c' churn --metric accuracy "
        "--value -0 --run r1 --model clf --input-example X --contributor 0x" + "ab" * 20 + " --force-new --json"
    )
    verb = register(line)
    assert verb.model_dump() == {
        "name": "churn",
        "token": "MSG-AI",
        "metric": "accuracy",
        "value": "-0",
        "run": "r1",
        "model": "clf",
        "input_example": "X",
        "tags": {"dataset_version": "2", "gpu_type": "a b=c"},
        "contributor": "0x" + "ab" * 20,
        "force_new": True,
        "dry_run": True,
        "as_json": True,
        "form": False,
    }


@pytest.mark.parametrize("value", ["-1e-3", "-.5", "-0.25", "-5E2"])
def test_a_negative_number_is_a_value_and_no_option(value):
    assert register(f"m --token A-B --metric r2 --value {value}").value == value


def test_an_unknown_option_is_refused_with_the_one_that_was_meant():
    error = refusal("churn --tokn MSG-AI --metric accuracy")
    assert isinstance(error, UsageError)
    assert error.what == "There is no option --tokn."
    assert "Did you mean --token?" in error.hint


def test_an_abbreviation_is_no_option():
    assert refusal("churn --tok MSG-AI --metric accuracy").what == "There is no option --tok."


def test_an_option_that_resembles_none_gets_the_list():
    assert "--token, --metric" in refusal("churn --zzzz").hint


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("churn --token", "--token needs a value: TOKEN."),
        ("churn --token --metric accuracy", "--token needs a value: TOKEN."),
        (f"{GOOD} --token A-B", "--token is given twice."),
        (f"{GOOD} --dry-run --dry-run", "--dry-run is given twice."),
        (f"{GOOD} other", "There is no place for the argument 'other'."),
        (f"{GOOD} --dry-run=yes", "--dry-run takes no value: '--dry-run=yes'."),
        (f"{GOOD} --tag nothing", "--tag needs KEY=VALUE: 'nothing'."),
        (f"{GOOD} --tag =x", "--tag needs KEY=VALUE: '=x'."),
        (f"{GOOD} --tag a=1 --tag a=2", "--tag 'a' is given twice."),
        ("--token MSG-AI --metric accuracy", "NAME is missing."),
        ("churn --metric accuracy", "--token is missing."),
    ],
)
def test_what_is_wrong_is_named_as_it_is_typed(line, what):
    assert refusal(line).what == what


def test_every_wrong_field_is_reported_at_once_in_the_schemas_own_words():
    error = refusal("a/b --token msg_ai --value high")
    shown = str(error)
    assert "Model name invalid: 'a/b'" in shown
    assert "Did you mean a-b?" in shown
    assert "Token ID format invalid: 'msg_ai'" in shown
    assert "Did you mean MSG-AI?" in shown
    assert "Benchmark value must be numeric: 'high'" in shown
    assert "--metric is missing." in shown


def test_the_schemas_words_are_the_same_here_as_anywhere():
    with pytest.raises(ValidationError) as raised:
        verbs.Register.parse({"name": "m", "token": "msg_ai", "metric": "accuracy"})
    assert str(refusal("m --token msg_ai --metric accuracy")) == str(raised.value)


@pytest.mark.parametrize("word", ["on", "ON", "true", "yes", "1"])
def test_on_and_its_synonyms_switch_on(word):
    assert parse(verbs.Configure, f"--provenance {word}", {}, "hokusai_config").provenance is True


@pytest.mark.parametrize("word", ["off", "False", "no", "0"])
def test_off_and_its_synonyms_switch_off(word):
    assert parse(verbs.Configure, f"--provenance={word}", {}, "hokusai_config").provenance is False


def test_a_switch_takes_nothing_but_on_and_off():
    assert parse(verbs.Configure, "", {}, "hokusai_config").provenance is None
    assert refusal("--provenance maybe", verbs.Configure).what == "--provenance is either on or off: 'maybe'."


def test_a_variable_that_looks_like_an_option_stays_a_value():
    verb = register("$name --token A-B --metric accuracy --tag $tag", name="--force-new", tag="k=--json")
    assert (verb.name, verb.force_new, verb.tags) == ("--force-new", False, {"k": "--json"})


def test_an_options_name_cannot_come_from_a_variable():
    assert "There is no option" in refusal("m --$which A-B", which="token").what
    assert "There is no option" in refusal("m --token$which A-B", which="").what


def test_a_name_with_spaces_quotes_and_markup_survives():
    name = """<script>alert("it's")</script> %s 😀"""
    assert refusal("$name --token A-B --metric accuracy", name=name).problems[0].repair
    fit = name.replace("/", "-")
    assert register("$name --token A-B --metric accuracy", name=fit).name == fit


def test_after_two_dashes_everything_is_a_value():
    assert register("--token A-B --metric accuracy -- --odd-name").name == "--odd-name"


def test_a_comment_is_no_argument():
    assert register(f"{GOOD} # the best one so far; don't touch").name == "churn"


@pytest.mark.parametrize("line", ["--help", "-h", f"{GOOD} --help", "--nope -h", "{1/0} --help"])
def test_help_is_wanted_wherever_it_stands_and_nothing_else_is_read(line):
    assert Request(verbs.Register, line, "hokusai_register").wants_help


def test_help_inside_a_longer_word_is_text():
    assert not Request(verbs.Register, "m --tag x=--help", "hokusai_register").wants_help


def test_the_check_before_a_cell_leaves_out_what_variables_will_fill():
    request = Request(verbs.Register, "$name --token A-B --metric accuracy --value {acc}", "hokusai_register")
    request.check()
    assert request.make({"name": "m", "acc": 0.5}).value == "0.5"


@pytest.mark.parametrize("line", ["m --token a_b --metric accuracy --value {acc}", "m --token A-B --value {acc}"])
def test_the_check_before_a_cell_finds_what_is_wrong_already(line):
    with pytest.raises(ValidationError):
        Request(verbs.Register, line, "hokusai_register").check()


@pytest.mark.parametrize("name", sorted(MAGICS))
def test_the_help_names_every_option_and_starts_with_the_call(name):
    verb = MAGICS[name].read_as()
    text = help_text(verb, name, MAGICS[name].kinds)
    assert text.startswith(f"%{name}")
    assert "::" not in text
    assert all(a.typed in text and a.help for a in arguments(verb))
    assert max(map(len, text.splitlines())) <= 100


@settings(max_examples=400, deadline=None)
@given(st.lists(fragments, max_size=8).map(" ".join) | st.text(), st.sampled_from(sorted(MAGICS)))
def test_no_line_fails_with_anything_but_our_error(line, name):
    verb = MAGICS[name].read_as()
    try:
        request = Request(verb, line, name)
        if not request.wants_help:
            request.check()
            request.make({"x": "v", "y": 1})
    except HokusaiError as error:
        shown = error._render_traceback_()
        assert shown
        assert all(len(line) < 1000 for line in shown)
