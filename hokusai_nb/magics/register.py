"""``%hokusai_register`` and ``%%hokusai_register``."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from hokusai_nb.backends.mlflow import runs
from hokusai_nb.backends.mlflow.fingerprints import fingerprint
from hokusai_nb.core.current_run import models_of
from hokusai_nb.core.registry import ModelRegistry
from hokusai_nb.errors import HokusaiError, NoCurrentRunError
from hokusai_nb.magics.body import Body
from hokusai_nb.magics.completion import suggestions_of
from hokusai_nb.magics.estimators import find_object, fitted_estimators, new_estimators, only_estimator
from hokusai_nb.schema.display import as_json
from hokusai_nb.schema.line_words import refuse
from hokusai_nb.schema.verbs import Register

if TYPE_CHECKING:
    from hokusai_nb.magics.calling import Call
    from hokusai_nb.schema.display import JsonText
    from hokusai_nb.schema.receipt import Receipt
    from hokusai_nb.schema.records import RegisteredModel, RunModel
    from hokusai_nb.widgets.registration import RegistrationForm

__all__ = ["register", "register_cell"]


def register(call: Call) -> RegisteredModel | JsonText | RegistrationForm | Receipt | None:
    """Register the current run's model under a token, or open the form where the line leaves that to it."""
    if call.request.is_bare or call.request.names("form"):
        from hokusai_nb.magics.forms import open_registration  # noqa: PLC0415 - imports ipywidgets

        return open_registration(call)
    verb = call.verb(Register)
    return _register(call, verb, find_object(verb.model, call.namespace))


def register_cell(call: Call) -> RegisteredModel | JsonText:
    """Run a cell inside a run, then register the model it logged or the estimator it left."""
    # What is wrong with the line is said before an hour of training, not after it.
    call.request.check()
    if call.request.names("form"):
        call.request.refuse("--form opens a form, which takes no cell.", "Use it on a line: %hokusai_register --form")
    if call.request.names("run"):
        call.request.refuse("--run names another run than the cell's own.", "Leave it out.")
    body = Body(call.shell, call.cell)
    held = {name: call.shell.user_ns[name] for name in fitted_estimators(call.shell.user_ns)}
    run_id, logged, used_before = _run(body)
    verb = call.verb(Register).model_copy(update={"run": run_id})
    estimator = find_object(verb.model, call.namespace)
    left = new_estimators(held, call.shell.user_ns, body.fits)
    if estimator is None and verb.model is None and not logged:
        estimator = only_estimator(left)
    if estimator is not None:
        return _register(call, verb, estimator)
    if used_before and verb.model is None and len({m.name for m in logged}) == 1:
        # The run held models before the cell: the cell's own is meant.
        verb = verb.model_copy(update={"model": logged[0].uri})
    return _register(call, verb, identity=_cell_identity(call.cell, left))


def _run(body: Body) -> tuple[str, list[RunModel], bool]:
    """Run the cell; return the id of its run, the models it logged, and whether the run was active before."""
    backend = ModelRegistry().backend
    last, active = runs.current_run_id()
    before = {m.uri for m in models_of(backend, runs.get_run(backend, last))} if last and active else set()
    with runs.run_scope(backend, start=not body.starts_run) as scoped:
        _run_body(body)
    run_id = scoped or runs.current_run_id()[0]
    if run_id is None or (run_id == last and not active):
        what = "The cell calls start_run, but no run was started."
        raise NoCurrentRunError(what, "Leave start_run out: the cell is run inside a run anyway.")
    logged = [m for m in models_of(backend, runs.get_run(backend, run_id)) if m.uri not in before]
    return run_id, logged, active


def _run_body(body: Body) -> None:
    """Run the cell; say it plainly where a function that it calls starts a run inside the cell's own."""
    try:
        body.run()
    except Exception as error:
        if "is already active" not in str(error):
            raise
        what = "The cell calls a function that starts a run of its own, inside the cell's run."
        hint = (
            "Write start_run(nested=True) there, or train in a plain cell and register with the line %hokusai_register."
        )
        raise HokusaiError(what, hint) from error


def _cell_identity(cell: str, left: dict[str, Any]) -> str | None:
    """Return what tells a cell that was merely run again from one that made something else.

    Every run of a cell logs a model of its own. It is the same registration if the cell is the same
    and leaves the same estimator; where it leaves none or several, each run is a new one.
    """
    prints = [fingerprint(value) for value in left.values()]
    if len(prints) != 1 or prints[0] is None:
        return None
    return f"cell {hashlib.sha256(cell.encode(errors='surrogatepass')).hexdigest()} {prints[0]}"


def _register(
    call: Call, verb: Register, estimator: Any = None, identity: str | None = None
) -> RegisteredModel | JsonText:
    # A variable may hold a URI, or what log_model returned, instead of the estimator itself.
    uri = estimator if isinstance(estimator, str) else getattr(estimator, "model_uri", None)
    if isinstance(uri, str):
        verb, estimator = verb.model_copy(update={"model": uri}), None
    made = ModelRegistry().register(
        verb,
        estimator=estimator,
        input_example=_rows(call, verb),
        identity=identity,
    )
    suggestions_of(call.shell).invalidate()
    return as_json(made) if verb.as_json else made


def _rows(call: Call, verb: Register) -> Any:
    """Return the input rows that ``--input-example`` names."""
    if verb.input_example is None:
        return None
    found = find_object(verb.input_example, call.namespace)
    if found is None or isinstance(found, str):
        refuse(f"There is no variable {verb.input_example!r} with input rows.", "Name one for --input-example.")
    return found
