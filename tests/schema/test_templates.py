"""Templates: read by Python's own parser, refused with a place, and never anything else than accepted or refused."""

from __future__ import annotations

import collections
import pickle
import string
import sys
import tracemalloc
import types
import unicodedata

import pydantic
import pytest
import wcwidth
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import ModelValidationError, ValidationError
from hokusai_nb.schema.problems import validated
from hokusai_nb.schema.template_reading import MAX_PROBLEMS, TemplateProblem
from hokusai_nb.schema.templates import (
    MAX_TEMPLATE_LENGTH,
    Template,
    TemplateText,
    check_template,
    parse_template,
    variables_of,
)

modest = settings(max_examples=200, deadline=None)
FUZZED = 100_000
AT_ONCE = 20


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{price:.2f}", ["price"]),
        ("{count:d}", ["count"]),
        ("{config[key]}", ["config"]),
        ("{settings[api][key]}", ["settings"]),
        ("{obj.attr}", ["obj"]),
        ("{rows[0].name[first word]}", ["rows"]),
        ("{timestamp:%Y-%m-%d %H:%M}", ["timestamp"]),
        ("{x!r} {y!s} {z!a:>10}", ["x", "y", "z"]),
        ("{x:{width}}", ["x", "width"]),
        ("{x:{fill}{align}{width}.{precision}f}", ["x", "fill", "align", "width", "precision"]),
        ("{x:{w!s:>2}}", ["x", "w"]),
        ("{{literal}} {{{x}}}", ["x"]),
        ("{{}}", []),
        ("no variables", []),
        ("{b} {a} {b} {c:{a}}", ["b", "a", "c"]),
        ("🔥 {hook} — {größe}\n{模型}", ["hook", "größe", "模型"]),
        ("{class} {self} {values}", ["class", "self", "values"]),
        ("{a[}]} {a[{]} {a[:]}", ["a"]),
        ("{a_b} {a__}", ["a_b", "a__"]),
        ("{x:9999}", ["x"]),
        ("{d:%Y flight 12345} {d:%10d:%M 99999}", ["d"]),
    ],
)
def test_what_python_formats_is_a_template_and_its_variables_stand_in_order(text, variables):
    assert check_template(text) == []
    assert list(parse_template(text).variables) == variables == list(variables_of(text))


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("Hello {name", (1, 7), "expected '}' before end of string"),
        ("Value: {}", (1, 9), "without a name"),
        ("{0}", (1, 2), "with a number, '0'"),
        ("{x} {1.a}", (1, 6), "with a number"),
        ("a } b", (1, 3), "Single '}'"),
        ("a {", (1, 3), "Single '{'"),
        ("line\n  {x!z}", (2, 3), "unknown conversion 'z'"),
        ("{x!rr}", (1, 1), "after conversion specifier"),
        ("a {x!}", (1, 3), "a conversion is missing after the '!'"),
        ("{x[a!]!}", (1, 1), "a conversion is missing after the '!'"),
        ("{x:{y!}}", (1, 4), "a conversion is missing after the '!'"),
        ("{x[!}", (1, 1), "expected '}' before end of string"),
        ("{x:{w:{q}}}", (1, 7), "nested too deep"),
        ("{x:{w:{{}}}}", (1, 7), "nested too deep"),
        ("{x:{w}", (1, 1), "unmatched '{' in format spec"),
        ("{{x}} {y:{}}", (1, 11), "without a name"),
        ("{_x}", (1, 2), "begins with an underscore, '_x'"),
        ("{x.__class__}", (1, 2), "begins with an underscore, '__class__'"),
        ("{x.a._b.c}", (1, 2), "begins with an underscore, '_b'"),
        ("{x[__class__]}", (1, 2), "begins with an underscore, '__class__'"),
        ("{x:{y._z}}", (1, 5), "begins with an underscore, '_z'"),
        ("{x.\uff3f\uff3fclass\uff3f\uff3f}", (1, 2), "begins with an underscore"),
        ("{ x }", (1, 2), "' x ' is no name"),
        ('{"key": 1}', (1, 2), "is no name"),
        ("{x.a b}", (1, 2), "'a b' is no name"),
        ("{ﬁeld}", (1, 2), "normal form"),
        ("{x.}", (1, 2), "Empty attribute"),
        ("{x[]}", (1, 2), "Empty attribute"),
        ("{x[a}", (1, 1), "expected '}' before end of string"),
        ("{x[a]b}", (1, 2), "Only '.' or '[' may follow ']'"),
        ("{x[99999999999999999999999999]}", (1, 2), "Too many decimal digits"),
        ("{x:10001}", (1, 4), "width or precision of more than 10,000"),
        ("{x:.999999999f}", (1, 4), "width or precision"),
        ("{x:{y:99999}}", (1, 7), "width or precision"),
        ("{x:10001%}", (1, 4), "width or precision"),
        ("{x:%>10001}", (1, 4), "width or precision"),
        ("{d:%Y %-10001d}", (1, 4), "width or precision"),
        ("{d:%9000Y%%%9000Y}", (1, 4), "width or precision"),
        ("a\0", (1, 2), "cannot be stored"),
        ("a\nb\ud800", (2, 2), "cannot be stored"),
    ],
)
def test_what_is_refused_is_refused_with_its_place(text, place, words):
    first, *_ = check_template(text)
    assert isinstance(first, TemplateProblem)
    assert first.what.startswith("Invalid template format: ")
    assert words in first.what
    assert (first.line, first.column) == place
    assert first.what.endswith(f"(line {place[0]}, column {place[1]})")
    assert first.hint.startswith(f"{first.advice}\n")
    with pytest.raises(ModelValidationError, match="Invalid template format"):
        parse_template(text)
    assert variables_of(text) == ()


def test_the_error_shows_the_line_with_a_caret_under_the_place():
    with pytest.raises(ModelValidationError) as caught:
        parse_template("Dear {name},\nyou owe {amount:{width}\nBye")
    assert str(caught.value).split("\n") == [
        "Invalid template format: unmatched '{' in format spec (line 2, column 9)",
        "Close the field with }. Write {{ and }} for braces themselves.",
        "you owe {amount:{width}",
        "        ^",
    ]


def test_the_caret_stands_under_the_place_after_wide_and_unprintable_characters_and_in_long_lines():
    *_, shown, caret = check_template("🔥\t模e\u0301{}")[0].hint.split("\n")
    assert shown == "🔥\\t模e\u0301{}"
    assert caret == " " * (2 + 2 + 2 + 1 + 1) + "^"
    *_, shown, caret = check_template("x" * 5000 + "{}" + "y" * 5000)[0].hint.split("\n")
    assert shown[len(caret) - 1] == "}"
    assert len(shown) < 100


@pytest.mark.parametrize(
    ("before", "columns"),
    [
        ("สวัสดี ", 5),
        ("हिन्दी ", 5),
        ("❤\ufe0f ", 3),
        ("n\u0303 ", 2),
        ("1\u20e3 ", 2),
        ("\u1112\u1161\u11ab ", 3),
        ("👨\u200d👩 ", 2 + len("\\u200d") + 2 + 1),
        ("é— ", 3),
    ],
)
def test_the_caret_stands_under_the_place_after_characters_that_share_a_column_with_others(before, columns):
    *_, shown, caret = check_template(f"{before}{{}}")[0].hint.split("\n")
    assert shown == before.replace("\u200d", "\\u200d") + "{}"
    assert caret == " " * (columns + 1) + "^"


def test_every_character_that_is_shown_has_a_width():
    shown = (c for c in map(chr, range(sys.maxunicode + 1)) if c.isprintable())
    assert all(wcwidth.wcwidth(c) >= 0 for c in shown)


def test_several_problems_are_told_at_once_and_not_endlessly():
    assert [p.column for p in check_template("{} {0} {_a} {x!q}")] == [2, 5, 9, 13]
    assert len(check_template("{}" * 10_000)) == MAX_PROBLEMS


@pytest.mark.parametrize("text", [None, "", " \n\t"])
def test_a_template_cannot_be_empty(text):
    with pytest.raises(ModelValidationError, match="Template cannot be empty"):
        parse_template(text)


@pytest.mark.parametrize("text", [5, b"{x}", ["{x}"], "x" * (MAX_TEMPLATE_LENGTH + 1)])
def test_a_template_is_text_of_a_length_that_can_be_stored(text):
    (problem,) = check_template(text)
    assert problem.what.startswith("Invalid template format: it ")
    assert check_template("x" * MAX_TEMPLATE_LENGTH) == []


def test_a_template_is_parsed_once_and_kept():
    text = str(bytearray(b"{kept}"), "ascii")  # not the very object that a literal is
    assert parse_template(text) is parse_template("{kept}")
    assert parse_template(text) == pickle.loads(pickle.dumps(parse_template(text)))
    assert hash(parse_template(text)) == hash(parse_template("{kept}"))
    with pytest.raises(AttributeError):
        parse_template(text).text = "other"


def test_a_text_that_prints_as_another_is_taken_by_its_characters():
    class Sly(str):
        __slots__ = ()

        def __str__(self):
            return "{x._y}"

    template = parse_template(Sly("{x}"))
    assert type(template.text) is str
    assert template.text == "{x}"


def test_a_text_that_claims_to_be_short_is_measured_by_its_characters():
    class Sly(str):
        __slots__ = ()

        def __len__(self):
            return 0

    (problem,) = check_template(Sly("x" * (MAX_TEMPLATE_LENGTH + 1)))
    assert "100,001 characters" in problem.what


def test_what_is_kept_is_bounded_by_what_it_takes_and_not_by_its_number_alone():
    heavy = "{a}" * 4_000
    tracemalloc.start()
    try:
        for n in range(24):
            parse_template(f"{heavy}{n}")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    one = sys.getsizeof(heavy) + sum(map(sys.getsizeof, parse_template(heavy).fields))
    assert taken < 12 * one
    assert parse_template(f"{heavy}23") is parse_template(f"{heavy}23")
    for text in ("{x}" * 300, "{x}" * 3_000):
        assert parse_template(text) is parse_template("".join(text))


def test_the_fields_say_how_each_value_is_reached():
    first, second, third = parse_template("{a[b][0].c!r:>{w}} {d}").fields
    assert (first.name, first.steps, first.conversion) == ("a", ((False, "b"), (False, 0), (True, "c")), "r")
    assert first.source == "a[b][0].c"
    assert [f.name for f in (second, third)] == ["w", "d"]


class Asked(pydantic.BaseModel):
    template: TemplateText


def test_a_model_that_takes_a_template_tells_the_same_problems():
    assert Asked(template="{x}").template == "{x}"
    with pytest.raises(ValidationError) as caught:
        validated(Asked, {"template": "Hello {name"})
    assert list(caught.value.problems) == check_template("Hello {name")


valid_parts = st.sampled_from(
    ["Hi ", "\n", "🔥", "{{", "}}", "{a}", "{b.c}", "{d[e]}", "{f[}]}", "{g!r}", "{h!s:}", "{i:}", "{j:>{k}}", "{l:%Y}"]
)
broken_parts = st.sampled_from([("{0}", 1), ("{}", 1), ("{x!q}", 0), ("{_x}", 1), ("{x:{y:{z}}}", 6), ("{x:{}}", 4)])


@modest
@given(st.lists(valid_parts, max_size=8), broken_parts, st.lists(valid_parts, max_size=8))
def test_the_place_is_right_whatever_stands_before_and_after_it(before, broken, after):
    text, place = broken
    start = "".join(before)
    (problem,) = check_template(start + text + "".join(after))
    at = len(start) + place
    line_start = start.rfind("\n") + 1
    assert (problem.line, problem.column) == (start.count("\n") + 1, at - line_start + 1)


@modest
@given(st.text() | st.text(alphabet="{}[]().:!r_ab0\n%>", max_size=30))
@example("{a[b!r]}")
@example("{a!:}")
@example("{a:{{}}}")
def test_any_text_is_a_template_or_has_a_problem_in_words(text):
    problems = check_template(text)
    if not problems:
        assert isinstance(parse_template(text), Template)
    for problem in problems:
        assert problem.severity == "error"
        assert problem.what.isprintable()


SIGNS = ["a", "{", "}", "[", "]", ".", ":", "!", "{{", "}}", "b1", "_c", "0", "12", "r", "s", "q", " ", "\n", "%Y", ">"]
SIGNS += ["{a}", "{b1.a}", "{a[b1]}", "{a:{b1}}", "{a!r}", "é", "🔥", "\u0661", "\ud800", "'", "10001", "05d", ".2f"]
SIGNS += ["{a", "a}"]
LONGEST = 9


def texts_in(data):
    """Of every ten bytes one text: the first says of how many signs, the last ones which."""
    parts = (data[at : at + LONGEST + 1] for at in range(0, len(data), LONGEST + 1))
    return ["".join(SIGNS[b % len(SIGNS)] for b in part[-1 - part[0] % LONGEST :]) for part in parts]


many_texts = st.binary(min_size=AT_ONCE * (LONGEST + 1), max_size=AT_ONCE * (LONGEST + 1)).map(texts_in)


def outcome(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - what it raises is what is compared
        return error


LEAF = types.SimpleNamespace(a="A", b1=7)
VALUES = {"a": {"a": LEAF, "b1": "B", 0: [1, 2]}, "b1": types.SimpleNamespace(a=[LEAF], b1=3)}


def became_of(text):
    """Whether a text was refused, accepted, or rendered too; each but as it should be is an error."""
    if problems := check_template(text):
        assert all(0 < p.column <= len(text) + 1 for p in problems if isinstance(p, TemplateProblem)), text
        return "refused"
    list(string.Formatter().parse(text))
    ours = outcome(parse_template(text).render, VALUES)
    theirs = outcome(text.format, **VALUES)
    if isinstance(theirs, str):
        assert ours == theirs, text
        return "rendered"
    assert isinstance(ours, ModelValidationError), text
    return "accepted"


def test_no_text_of_a_hundred_thousand_surprises_the_parser():
    """Each either renders as `str.format` does, or is refused at a place within it.

    Hypothesis makes them, many from one draw, because a draw takes longer than the parser. They are
    the same in every run, and of a draw that fails the texts that matter are left, short ones.
    """
    texts = set()
    became = collections.Counter()

    @settings(max_examples=FUZZED // AT_ONCE + 10, deadline=None, derandomize=True, database=None)
    @given(many_texts)
    def fuzz(found):
        texts.update(found)
        became.update(map(became_of, found))

    fuzz()
    assert became.total() >= FUZZED
    assert len(texts) > FUZZED * 3 // 4
    assert became["accepted"] + became["rendered"] > FUZZED // 20
    assert became["rendered"] > FUZZED // 50


def test_every_variable_can_be_written_as_a_keyword_argument():
    for text in ("{größe}", "{模型}", "{x1}"):
        (name,) = parse_template(text).variables
        assert unicodedata.normalize("NFKC", name) == name
        assert eval(f"dict({name}=1)") == {name: 1}
