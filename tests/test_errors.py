"""Errors: what failed, what to try, and no stack in a notebook."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import re

import pytest

from hokusai_nb import errors
from hokusai_nb.errors import (
    AccessError,
    AmbiguousModelError,
    BaselineError,
    ConflictError,
    ConnectionFailedError,
    DatabaseAccessError,
    DatabaseBusyError,
    DatabaseConnectionError,
    DatabaseError,
    EventNotFoundError,
    FileAccessError,
    HokusaiError,
    HokusaiWarning,
    KeyNotFoundError,
    MetricValidationError,
    MissingExtraError,
    ModelNotFoundError,
    ModelValidationError,
    NoCurrentRunError,
    NoModelError,
    NotFoundError,
    RateLimitError,
    ReadOnlyError,
    RegistryAccessError,
    RegistryBusyError,
    RegistryError,
    RunNotFoundError,
    ServiceConnectionError,
    ServiceError,
    SettingsError,
    TokenBusyError,
    TokenExistsError,
    TokenNotFoundError,
    TokenStatusError,
    UnsafeTargetError,
    UsageError,
    ValidationError,
)
from hokusai_nb.schema.problems import Problem

PROBLEMS = [
    Problem(field="token", what="Token wrong.", hint="Right it.", repair="MSG-AI"),
    Problem(field="value", what="Value wrong."),
]
EVERY = [
    HokusaiError("What.", "Hint."),
    HokusaiError("What."),
    ValidationError(PROBLEMS),
    UsageError(PROBLEMS[:1]),
    MetricValidationError(PROBLEMS),
    ModelValidationError(PROBLEMS),
    UnsafeTargetError(PROBLEMS[:1]),
    FileAccessError(PROBLEMS[:1]),
    SettingsError("What.", "Hint."),
    NotFoundError("What."),
    ModelNotFoundError("What.", "Hint."),
    RunNotFoundError("What.", "Hint."),
    TokenNotFoundError("What.", "Hint."),
    EventNotFoundError("What.", "Hint."),
    KeyNotFoundError("What.", "Hint."),
    ConflictError("What.", "Hint."),
    TokenStatusError("What.", "Hint."),
    TokenBusyError("What.", "Hint."),
    TokenExistsError("What.", "Hint."),
    BaselineError("What.", "Hint."),
    NoCurrentRunError("What.", "Hint."),
    NoModelError("What.", "Hint."),
    AmbiguousModelError("What.", "Hint.", ("models:/m-1", "models:/m-2")),
    RegistryError("What.", "Hint."),
    ConnectionFailedError("What.", "Hint."),
    RegistryAccessError("What.", "Hint."),
    RegistryBusyError("What.", "Hint."),
    ReadOnlyError("What.", "Hint."),
    DatabaseError("What.", "Hint."),
    DatabaseBusyError("What.", "Hint."),
    DatabaseConnectionError("What.", "Hint."),
    DatabaseAccessError("What.", "Hint."),
    ServiceError("What.", "Hint."),
    ServiceConnectionError("What.", "Hint."),
    AccessError("What.", "Hint."),
    RateLimitError("What.", "Hint.", 2.5),
    MissingExtraError("Signing", "attest"),
]


def test_every_error_is_tried_here_and_drawn_in_the_tree():
    classes = {name: c for name, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, HokusaiError)}
    assert {type(error) for error in EVERY} == set(classes.values())
    drawn = dict(re.findall(r"(\w+Error)\b(?: \((\w+)\))?", errors.__doc__.split("Each says")[0]))
    assert set(drawn) == set(classes)
    for name, builtin in drawn.items():
        assert not builtin or issubclass(classes[name], getattr(builtins, builtin))


def test_the_names_are_listed_in_order():
    assert errors.__all__ == sorted(errors.__all__)
    assert set(errors.__all__) == {type(error).__name__ for error in EVERY} | {HokusaiWarning.__name__}


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ValidationError, ValueError),
        (UsageError, ValueError),
        (MetricValidationError, ValueError),
        (ModelValidationError, ValueError),
        (UnsafeTargetError, ValueError),
        (FileAccessError, ValueError),
        (FileAccessError, PermissionError),
        (SettingsError, ValueError),
        (NotFoundError, LookupError),
        (ModelNotFoundError, LookupError),
        (RunNotFoundError, LookupError),
        (TokenNotFoundError, LookupError),
        (EventNotFoundError, LookupError),
        (KeyNotFoundError, LookupError),
        (NoCurrentRunError, LookupError),
        (NoModelError, LookupError),
        (AmbiguousModelError, LookupError),
        (ConnectionFailedError, ConnectionError),
        (ReadOnlyError, PermissionError),
        (DatabaseConnectionError, ConnectionError),
        (DatabaseAccessError, ConnectionError),
        (DatabaseAccessError, PermissionError),
        (RegistryAccessError, PermissionError),
        (ServiceConnectionError, ConnectionError),
        (AccessError, PermissionError),
        (MissingExtraError, ImportError),
    ],
)
def test_an_error_is_also_the_builtin_that_callers_expect(kind, builtin):
    assert issubclass(kind, builtin)
    assert issubclass(kind, HokusaiError)


@pytest.mark.parametrize("error", EVERY, ids=lambda e: type(e).__name__)
def test_an_error_survives_pickle_and_copy(error):
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert (twin.what, twin.hint, str(twin)) == (error.what, error.hint, str(error))
        assert getattr(twin, "problems", None) == getattr(error, "problems", None)
        assert getattr(twin, "candidates", None) == getattr(error, "candidates", None)
        assert getattr(twin, "retry_after", None) == getattr(error, "retry_after", None)


def test_the_text_holds_the_hint_and_every_problem():
    assert str(HokusaiError("What.", "Hint.")) == "What.\nHint."
    assert str(HokusaiError("What.")) == "What."
    assert str(ValidationError(PROBLEMS)) == "Token wrong.\nRight it.\nValue wrong."
    assert str(ReadOnlyError("What.", "Hint.")) == "What.\nHint."


def test_a_caller_can_tell_what_to_wait_for_from_what_to_give_up():
    assert RateLimitError("What.", retry_after=2.5).retry_after == 2.5
    assert RateLimitError("What.").retry_after == 0
    assert issubclass(TokenBusyError, TokenStatusError)
    assert issubclass(TokenStatusError, ConflictError)
    assert not issubclass(TokenStatusError, TokenBusyError)


def test_a_missing_extra_names_the_command_that_installs_it():
    assert MissingExtraError("Signing", "attest").hint == "pip install 'hokusai_nb[attest]'"


def test_a_notebook_shows_two_lines_without_a_stack():
    error = ValidationError([PROBLEMS[0]])
    assert error._render_traceback_() == ["ValidationError: Token wrong.", "  Right it."]


def test_a_hostile_message_neither_colours_a_terminal_nor_forges_a_line():
    lines = HokusaiError("No model a\x1b[31mb\rc\u2028d\u202e\ud800.", "Hint.")._render_traceback_()
    assert lines == [r"HokusaiError: No model a\x1b[31mb\rc\u2028d\u202e\ud800.", "  Hint."]


def test_a_shell_shows_those_lines_and_the_cell_still_fails(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    try:
        result = shell.run_cell(
            "from hokusai_nb.errors import RegistryError\nraise RegistryError('It broke.', 'Mend it.')",
            store_history=False,
        )
    finally:
        shell.history_manager.end_session()
        InteractiveShell.clear_instance()
    assert not result.success
    assert isinstance(result.error_in_exec, RegistryError)
    assert capsys.readouterr().out.splitlines() == ["RegistryError: It broke.", "  Mend it."]
