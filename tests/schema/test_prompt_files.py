from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hokusai_nb.errors import UsageError, ValidationError
from hokusai_nb.magics.parsing import parse
from hokusai_nb.schema.line_words import scan
from hokusai_nb.schema.prompt_files import ENDINGS, read_prompts
from hokusai_nb.schema.prompt_json import json_node
from hokusai_nb.schema.prompt_metadata import thawed_json
from hokusai_nb.schema.prompt_places import Misread
from hokusai_nb.schema.prompt_verbs import EditPrompt
from hokusai_nb.schema.prompt_yaml import yaml_nodes
from hokusai_nb.schema.versioning import check_version

META = "metadata: {author: a, purpose: b, tested_on: c, performance_metrics: {ctr: 0.07}}\n"
FULL = {"author": "a", "purpose": "b", "tested_on": "c", "performance_metrics": {"ctr": 0.07}}


def wrong(file, text, **given):
    """Places and sentences of all problems that are errors."""
    _, problems = read_prompts(file, text, **given)
    return [(str(p.place), p.sentence) for p in problems if p.severity == "error"]


def only(file, text):
    prompts, problems = read_prompts(file, text)
    assert [p for p in problems if p.severity == "error"] == []
    (prompt,) = prompts
    return prompt


def notebook(*cells, indent=1):
    made = [{"cell_type": "code", "metadata": {}, "source": source, "outputs": []} for source in cells]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=indent)


# What is read


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.yaml", f'name: persona/hook\nversion: 1.0.0\ntemplate: "Hi {{name}}\\n{{cta}}"\n{META}'),
        ("a.YML", f"name: persona/hook\nversion: 1.0.0\ntemplate: |-\n  Hi {{name}}\n  {{cta}}\n{META}"),
        (
            "a.yaml",
            f"- name: persona/hook\r\n  version: 1.0.0\r\n  template: |-\r\n   Hi {{name}}\r\n   {{cta}}\r\n  {META}",
        ),
        ("a.yaml", f"---\n---\nname: persona/hook\nversion: 1.0.0\ntemplate: |-\n  Hi {{name}}\n  {{cta}}\n{META}"),
        (
            "a.json",
            json.dumps({"name": "persona/hook", "version": "1.0.0", "template": "Hi {name}\n{cta}", "metadata": FULL}),
        ),
        ("a.md", f"---\nname: persona/hook\nversion: 1.0.0\n{META}---\n\n\nHi {{name}}\n{{cta}}\n\n"),
        ("a.prompt", f"---\r\nname: persona/hook\r\nversion: 1.0.0\r\n{META}---\r\nHi {{name}}\r\n{{cta}}\r\n"),
        (
            "a.ipynb",
            notebook(
                "print(1)",
                "\n%%hokusai_prompt persona/hook 1.0.0 --meta author=a --meta purpose='b' --meta=tested_on=c "
                "--meta performance_metrics='{{\"ctr\": 0.07}}' --render name=$who --register # why\n"
                "Hi {name}\n{cta}\n",
            ),
        ),
    ],
)
def test_each_kind_of_file_says_the_same_prompt(file, text):
    prompt = only(file, text)
    assert (prompt.name, prompt.version, prompt.bump) == ("persona/hook", "1.0.0", None)
    assert prompt.template == "Hi {name}\n{cta}"
    assert prompt.metadata == FULL
    assert read_prompts(file, text)[1] == []


def test_several_prompts_stand_in_one_file():
    text = (
        "- {name: a, template: A}\n- {name: b, template: B, bump: minor}\n---\nname: c\nversion: 2.0.0\ntemplate: C\n"
    )
    prompts, _ = read_prompts("a.yaml", text)
    assert [(p.name, p.version or p.bump) for p in prompts] == [
        ("a", None),
        ("b", "minor"),
        ("c", "2.0.0"),
    ]
    assert [str(p.place) for p in prompts] == ["1:3", "2:3", "4:1"]
    assert [p.name for p in read_prompts("a.json", '[{"name": "a", "template": "A"}]')[0]] == ["a"]


def test_a_date_and_a_number_keep_what_was_written():
    prompt = only("a.yaml", "name: a\ntemplate: x\nmetadata: {tested_on: 2026-13-01, n: 0.06, ok: true, none: null}\n")
    assert prompt.metadata == {"tested_on": "2026-13-01", "n": 0.06, "ok": True, "none": None}


def test_missing_recommended_metadata_is_one_warning():
    _, (doubt,) = read_prompts("a.yaml", "name: a\ntemplate: x\nmetadata:\n  author: me\n")
    assert (doubt.severity, str(doubt.place)) == ("warning", "4:3")
    assert doubt.sentence == "Recommended metadata is missing: purpose, tested_on, performance_metrics"


# What is wrong, and where


@pytest.mark.parametrize(
    ("file", "text", "place", "words"),
    [
        ("a.yaml", "name: a\nversion: 1.0.0\ntemplate: Hello {name\n", "3:17", "Invalid template format: expected '}'"),
        ("a.yaml", "name: a\ntemplate: |\n\n  Hi\n    {}\n", "5:6", "a field without a name"),
        ("a.yaml", "name: a\ntemplate: |2-\n     Hi {0}\n", "3:10", "a field with a number"),
        ("a.yaml", "name: a\ntemplate: >\n  some words\n  folded\n\n  {x!q}\n", "6:3", "unknown conversion"),
        ("a.yaml", 'name: a\ntemplate: "\\u263a\\t\\x41 {_x}"\n', "2:26", "begins with an underscore"),
        ("a.yaml", 'name: a\ntemplate: "one \\\n   two\n\n   {_x}"\n', "5:5", "begins with an underscore"),
        ("a.yaml", "name: a\ntemplate: 'it''s {x y}'\n", "2:19", "is no name"),
        ("a.yaml", "name: a\ntemplate: plain\n  {}\n", "3:4", "a field without a name"),
        ("a.yaml", "# x\r\nname: a\r\ntemplate: |\r\n  Hi\r\n  😀 {}\r\n", "5:6", "a field without a name"),
        ("a.yaml", "name: a\ntemplate: {name}\n", "2:11", "Put the template in quotes"),
        ("a.yaml", "name: a\ntemplate: {name} hi\n", "2:18", "This is no YAML"),
        ("a.yaml", "name: a\n  b: c\n", "2:4", "This is no YAML"),
        ("a.yaml", "name: a\ntemplate: a \x1b[31m\n", "2:13", "may not stand in it"),
        ("a.yaml", "name: a\ntempalte: x\n", "2:1", "Did you mean template?"),
        ("a.yaml", "name: a\ntemplate: x\nwat: 1\n", "3:1", "A prompt has no key 'wat'"),
        ("a.yaml", "name: a\nname: b\ntemplate: x\n", "2:1", "given twice"),
        ("a.yaml", "name: a.b\ntemplate: x\n", "1:7", "Did you mean a/b?"),
        ("a.yaml", "template: x\n", "1:1", "Model name cannot be empty"),
        ("a.yaml", "name: a\ntemplate: ''\n", "2:11", "Template cannot be empty"),
        ("a.yaml", "name: a\ntemplate: x\nversion: 1.0\n", "3:10", "Did you mean 1.0.0?"),
        ("a.yaml", "name: a\ntemplate: x\nversion: 1.0.0\nbump: minor\n", "4:7", "not both"),
        ("a.yaml", "name: a\ntemplate: x\nbump: huge\n", "3:7", "Use major, minor or patch"),
        ("a.yaml", "name: a\ntemplate: x\nmetadata:\n  mlflow.x: 1\n", "4:3", "is reserved"),
        ("a.yaml", "name: a\ntemplate: x\nmetadata: [1]\n", "3:11", "Metadata must be a mapping"),
        ("a.yaml", "name: &a b\ntemplate: x\n", "1:7", "Anchors"),
        (
            "a.yaml",
            "name: !!python/name:os.system ''\ntemplate: x\n",
            "1:7",
            "The tag '!!python/name:os.system' is not read",
        ),
        ("a.yaml", "name: a\ntemplate: x\nmetadata: !!set {x}\n", "3:11", "The tag '!!set' is not read"),
        ("a.yaml", "name: a\ntemplate: !!str hi {x!z}\n", "2:11", "The tag '!!str' is not read"),
        ("a.yaml", "name: a\ntemplate: ! 'x'\n", "2:11", "The tag '!' is not read"),
        ("a.yaml", "name: a\ntemplate: !!binary aGk=\n", "2:11", "The tag '!!binary' is not read"),
        ("a.yaml", "name: a\ntemplate: 'open\nversion: 1.0.0\n", "2:11", "unexpected end of stream"),
        ("a.yaml", 'name: "open\n---\ntemplate: x\n', "1:7", "unexpected document separator"),
        ("a.yaml", "name: a\ntemplate: x\nmetadata: {1: 2, true: 3}\n", "3:18", "A key must be text: true"),
        ("a.yaml", "name: a\ntemplate: x\nversion: 1.10\n", "3:10", "'1.10'. Did you mean 1.10.0?"),
        ("a.yaml", "name: a\ntemplate: x\nversion: 1:30:20\n", "3:10", "Invalid version format: '1:30:20'"),
        (
            "a.yaml",
            "name: yes\ntemplate: x\n",
            "1:7",
            "Model name invalid: yes. It is read as True, which is no text. Put it in quotes.",
        ),
        ("a.json", '{"name": 7.50, "template": "x"}', "1:10", "Model name invalid: 7.50. It is read as 7.5"),
        (
            "a.json",
            '{"name": "a", "template": "x", "metadata": {"n": "1", "m": ' + "7" * 5000 + "}}",
            "1:60",
            "too many",
        ),
        ("a.yaml", f"name: a\ntemplate: x\nversion: {'9' * 5000}\n", "3:10", "Put it in quotes"),
        ("a.yaml", "? [a]\n: 1\n", "1:3", "A key must be text"),
        ("a.yaml", "- just text\n", "1:3", "A prompt must be a mapping"),
        ("a.yaml", "", "1:1", "There is no prompt in this file"),
        ("a.yaml", "[" * 3000, "1:1", "nested too deep"),
        ("a.json", "[" * 100_000, "1:1", "nested too deep"),
        ("a.json", '{"name": "a",\n "template": "x\\n\\ud83d\\ude00\\"{}"}', "2:33", "a field without a name"),
        ("a.json", '{"name": "a",\n  "template" "x"}', "2:14", "This is no JSON: expecting ':' delimiter"),
        ("a.json", '{"name": "a", "name": "b"}', "1:15", "given twice"),
        ("a.json", '[{"name": "a", "template": "x"},\n 7]', "2:2", "A prompt must be a mapping: 7"),
        ("a.md", "---\nname: a\n---\n\nHi\n{x\n", "6:1", "expected '}'"),
        ("a.md", "---\r\nname: a\r\n---\r\nHi\r\n{x\r\n", "5:1", "expected '}'"),
        ("a.txt", "---\nname: [\n---\nHi\n", "3:1", "This is no YAML"),
        ("a.txt", "---\nname: a\nversion: one\n---\nHi\n", "3:10", "Invalid version format"),
        ("a.txt", "---\nname: a\ntemplate: x\n---\nHi\n", "3:1", "below the front matter"),
        ("a.txt", "---\nname: a\nHi\n", "1:1", "not closed"),
        ("a.txt", "---\n- a\n---\nHi\n", "2:1", "must be one mapping"),
        ("a.md", "# Title\n", "1:1", "There is no prompt in this file"),
        ("a.md", "\n\n---\nname: a\n---\nHi\n", "1:1", "must begin in the first line"),
        ("a.md", "\nname: a\nversion: 1.0.0\n---\nHi\n", "2:1", "does not begin with ---"),
        ("a.ipynb", notebook("%%hokusai_prompt a 1.0.0\nHi\n{_x}"), "cell 1:3:2", "begins with an underscore"),
        ("a.ipynb", notebook("1", ["%%hokusai_prompt a\n", "Hi\n", "  {}"]), "cell 2:3:4", "a field without a name"),
        ("a.ipynb", notebook("%%hokusai_prompt  a.b 1.0.0\nHi"), "cell 1:1:19", "Did you mean a/b?"),
        ("a.ipynb", notebook("%%hokusai_prompt a 'x\nHi"), "cell 1:1:20", "not closed"),
        ("a.ipynb", notebook("%%hokusai_prompt a 1.0.0 x\nHi"), "cell 1:1:26", "There is no place for"),
        ("a.ipynb", notebook("%%hokusai_prompt a 1.0.0 --meta mlflow.x=1\nHi"), "cell 1:1:33", "is reserved"),
        ("a.ipynb", notebook("%%hokusai_prompt $name 1.0.0\n{"), "cell 1:2:1", "Single '{'"),
        ("a.ipynb", notebook("print()"), "1:1", "There is no prompt in this file"),
        ("a.ipynb", "{}", "1:1", "This is no notebook"),
        ("a.ipynb", '{"cells": [', "1:12", "This is no JSON"),
    ],
)
def test_an_error_has_its_exact_place(file, text, place, words):
    ((found, sentence),) = wrong(file, text)
    assert found == place
    assert words in sentence


def test_the_place_of_a_cell_is_told_of_the_file_too():
    text = notebook("1", ["%%hokusai_prompt a 1.0.0\n", 'say "{}"'])
    _, (problem,) = read_prompts("a.ipynb", text)
    line = text.splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith("}")
    assert (problem.cell, problem.cell_line, problem.cell_column) == (2, 2, 7)


def test_the_excerpt_shows_the_place_and_the_sentence_no_other_line_numbers():
    _, (problem,) = read_prompts("a.yaml", "name: a\ntemplate: |\n  one\n  two {x\n")
    assert problem.excerpt.splitlines() == ["two {x", "    ^"]
    assert "(line" not in problem.sentence


def test_everything_that_is_wrong_is_told_at_once():
    text = "name: a..b\nversion: v1\ntemplate: '{} {0}'\nwat: 1\nmetadata: {mlflow.a: 1}\n"
    assert sorted(place for place, _ in wrong("a.yaml", text)) == ["1:7", "2:10", "3:13", "3:16", "4:1", "5:12"]


def test_a_cell_with_variables_is_checked_as_far_as_it_is_known():
    prompts, (doubt,) = read_prompts("a.ipynb", notebook("%%hokusai_prompt {name} 1.0.0\nHi {x}"))
    assert prompts == []
    assert (doubt.severity, str(doubt.place)) == ("warning", "cell 1:1:1")


def test_a_cell_that_shows_an_error_on_purpose_is_left_out():
    text = json.loads(notebook("%%hokusai_prompt a 1.0.0\n{}", "%%hokusai_prompt b 1.0.0\nHi", "%%hokusai_prompts"))
    text["cells"][0]["metadata"]["tags"] = ["raises-exception"]
    text["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "%%hokusai_prompt c 1.0.0\n{}"})
    assert only("a.ipynb", json.dumps(text)).name == "b"


def test_a_cell_that_opens_the_editor_may_be_empty():
    text = notebook("%%hokusai_prompt a 1.0.0 --form\n", "%%hokusai_prompt b --form\nHi")
    assert only("a.ipynb", text).name == "b"


@pytest.mark.parametrize("above", ["\n", "  \n\n", "\t", " \n  "])
def test_a_cell_is_found_where_ipython_finds_its_magic(above):
    indent = above.rpartition("\n")[2]
    text = notebook(f"{above}%%hokusai_prompt a 1.0.0\n{indent}Hi\n{indent}{{x")
    ((place, _),) = wrong("a.ipynb", text)
    assert place == "cell 1:3:1"
    (problem,) = read_prompts("a.ipynb", text)[1]
    assert text.splitlines()[problem.line - 1][problem.column - 1 :].startswith("{x")


@pytest.mark.parametrize("line", ["a --help", "-h", "--nope --help"])
def test_a_cell_that_asks_for_help_is_no_prompt_and_no_mistake(line):
    assert read_prompts("a.ipynb", notebook(f"%%hokusai_prompt {line}\n"), lenient=True) == ([], [])


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.yaml", "on: push\njobs: {build: {steps: []}}\n"),
        ("a.yaml", "{{ helm }}: {\n"),
        ("a.json", '[{"role": "user", "content": "Hi"}]'),
        ("a.md", "# Title\n"),
        ("a.md", "---\ntitle: Bug report\n---\nHi {\n"),
        ("a.md", "---\n\nA rule above a text, not closed: name: x\n"),
        ("a.md", "---\n- a\n---\nHi\n"),
        ("a.txt", "---\n"),
        ("a.ipynb", notebook("print('%%hokusai_prompt')")),
    ],
)
def test_what_has_nothing_of_a_prompt_is_passed_over_where_that_is_wanted(file, text):
    assert read_prompts(file, text, lenient=True) == ([], [])
    assert wrong(file, text)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.yaml", "name: ci\nversion: 3\njobs: {}\n"),
        ("a.yaml", "apiVersion: v1\nmetadata: {name: a}\nspec: {template: {metadata: {name: a}}}\n"),
        ("a.json", '{"name": "left-pad", "version": "1.0.0", "scripts": {"test": "x"}}'),
        ("a.json", '[{"name": "a", "id": 1}, {"name": "b", "id": 2}]'),
        ("a.md", "---\nname: Bug report\nabout: what is wrong\n---\nHi {\n"),
    ],
)
def test_what_only_shares_a_key_with_prompts_is_passed_over_with_one_warning(file, text):
    prompts, (doubt,) = read_prompts(file, text, lenient=True)
    assert (prompts, doubt.severity) == ([], "warning")
    assert "does not look like a prompt" in doubt.sentence
    assert wrong(file, text)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.yaml", "name: a\nversion: 1.0.0\ntempalte: x\n"),
        ("a.yaml", "name: a\ntemplat: x\n"),
        ("a.yaml", "nam: a\ntemplate: x\n"),
        ("a.yaml", "nmae: a\nverson: 1.0.0\n"),
        ("a.yaml", "name: a\nversion: 1.0.0\nprompt: x\n"),
        ("a.yaml", "template: x\n"),
        ("a.yaml", "name: a\ntemplate: {name} hi\n"),
        ("a.yaml", "name: a\nversion: 1.0.0\nmetadata: {x\n"),
        ("a.yaml", "prompts:\n- {name: a, template: x}\n"),
        ("a.json", '{"a/b": {"version": "1.0.0", "template": "x"}}'),
        ("a.json", '{"name": "a",\n"template": "x"'),
        ("a.md", "---\nname: a\nversion: 1\n---\nHi\n"),
        ("a.md", "---\nnmae: a\nversion: 1.0.0\n---\nHi\n"),
        ("a.md", "---\nversion: 1.0.0\n---\nHi\n"),
        ("a.md", "---\nname: a\nversion: 1.0.0\nHi\n"),
        ("a.md", "\n---\nname: a\nversion: 1.0.0\n---\nHi\n"),
        ("a.md", "name: a\nversion: 1.0.0\n---\nHi\n"),
        ("a.md", "---\n- name: a\n---\nHi\n"),
    ],
)
def test_a_prompt_with_a_mistake_is_not_passed_over(file, text):
    assert wrong(file, text, lenient=True)


# Cells, as the magic reads them

LINE = st.lists(
    st.sampled_from(
        [
            "a/b", "a.b", "1.0.0", "v1", "k=1", "k=2", "a=b c", "'x y'", '"q\\"', "'", "{", "}", "{{x}}", "$$5", "$",
            "#", "# --meta", ";", "--", "--meta", "--meta=k=1", "--meta author=me purpose=x", "--render",
            "--render n=1 m=2",
            "--bump", "--bump minor", "--bump=huge", "--register", "--register=yes", "--allow-breaking",
            "--allow-breaking=1", "--bogus", "--json", "--version", "--metaa x=1", "mlflow.x=1", "=", "a=[1]", "\\",
            "-x",
        ]
    ),
    max_size=6,
).map(" ".join)  # fmt: skip


def as_the_magic_reads(line):
    """What the magic makes of a line, or how it refuses it: in words where the line itself is wrong."""
    try:
        verb = parse(EditPrompt, line, {}, "hokusai_prompt")
        assert verb.version is None or not check_version(verb.version)
    except UsageError as error:
        return error.problems[0].sentence
    except (ValidationError, AssertionError):
        return "refused"
    return verb.name, verb.version, verb.bump, thawed_json(verb.meta)


def as_the_file_reads(line):
    prompts, problems = read_prompts("a.ipynb", notebook(f"%%hokusai_prompt {line}\nHi"))
    found = [p for p in problems if p.severity == "error"]
    if found:
        return "refused" if found[0].field else found[0].sentence
    (prompt,) = prompts
    return prompt.name, prompt.version, prompt.bump, dict(prompt.metadata)


@settings(max_examples=1000, deadline=None)
@given(LINE)
@example("a/b 1.0.0 --render name=Ada count=3")
@example("a/b --meta author=ada purpose=p 2.0.0")
@example("a/b --meta k=1 --meta k=2")
@example("a/b --meta k")
@example("a/b --bump major --bump minor")
@example("a/b --registr")
def test_a_line_means_to_the_reader_of_files_what_it_means_to_the_magic(line):
    assume(not any(word.has_references for word in scan(line).words))  # what they stand for is known to the magic only
    assert as_the_file_reads(line) == as_the_magic_reads(line)


def test_of_a_line_with_variables_what_is_written_out_is_checked():
    text = notebook("%%hokusai_prompt $name 1.0.0 --bump minor --meta a=1 --meta a=2\nHi")
    ((place, sentence),) = wrong("a.ipynb", text)
    assert place == "cell 1:1:61"
    assert sentence.startswith("--meta 'a' is given twice.")


# Places, whatever is written

TEXT = st.text(st.sampled_from("ab {}\n\t'\"\\:#-é😀\u2028\x07"), max_size=40)


@settings(max_examples=300, deadline=None)
@given(value=TEXT, style=st.sampled_from([None, "|", ">", '"', "'"]), width=st.integers(5, 40), unicode=st.booleans())
def test_every_visible_character_of_yaml_is_found_where_it_is_written(value, style, width, unicode):
    text = "# x\n" + yaml.safe_dump({"t": value}, default_style=style, width=width, allow_unicode=unicode)
    (node,) = yaml_nodes(text)
    found = node.members["t"][1]
    assert found.value == value
    for place, char in enumerate(value):
        if not char.isspace():
            assert text[found.at(place)] in (char, "\\")


@settings(max_examples=200, deadline=None)
@given(value=TEXT, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_every_character_of_json_is_found_where_it_is_written(value, ascii_only, indent):
    text = json.dumps({"a": [1, {}, []], "t": value}, ensure_ascii=ascii_only, indent=indent)
    found = json_node(text).members["t"][1]
    assert found.value == value
    assert all(text[found.at(place)] in (char, "\\") for place, char in enumerate(value))
    assert text[found.at(len(value))] == '"'


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(st.sampled_from("-:{}[]&*!|>'\"%@,? #\n\tab\\~<=0.e\x00\x85"), max_size=60),
    ending=st.sampled_from(sorted(ENDINGS)),
    lenient=st.booleans(),
)
def test_no_text_makes_the_reader_fail(text, ending, lenient):
    prompts, problems = read_prompts(f"x{ending}", text, lenient=lenient)
    assert prompts or problems or lenient
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)


def test_many_aliases_are_refused_before_they_grow():
    bomb = "a: &a [x]\n" + "".join(f"{b}: &{b} [*{a},*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    with pytest.raises(Misread, match="Anchors"):
        yaml_nodes(bomb)
