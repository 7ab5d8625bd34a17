"""What was put into the registration form, and what it asks for: as values, as a line and as a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hokusai_nb.config import settings
from hokusai_nb.errors import HokusaiError
from hokusai_nb.schema.lines import Code, is_uri, magic_line, python_call
from hokusai_nb.schema.verbs import Register
from hokusai_nb.widgets.facts import problem_of, store_problems
from hokusai_nb.widgets.workspace import Lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hokusai_nb.backends.mlflow.client import Backend
    from hokusai_nb.schema.problems import Problem
    from hokusai_nb.widgets.fields import Field
    from hokusai_nb.widgets.inquiry import Inquiry
    from hokusai_nb.widgets.tag_rows import TagRows
    from hokusai_nb.widgets.workspace import Workspace

__all__ = ["Entered", "Reader"]


@dataclass(frozen=True)
class Entered:
    """What was put into a form, and what its words stand for.

    Attributes:
        texts: Text of each field.
        tags: Further tags.
        options: What a line may say and the form has no field for: ``run`` if it was named, ``force_new`` …
        run_id: The run that the form is about.
        estimator: The object to log first, if the model's text is the name of one.
        model_uri: The model's URI, if its text is the name of a variable that leads to one.
        uri_source: Python source of that URI.
        contributor: Address of the settings, which stands in for an empty field.
        problems: What is wrong with the words themselves.
        shadowed: Names of the run's models that would be read as a variable's.
    """

    texts: Mapping[str, str]
    tags: Mapping[str, str]
    options: Mapping[str, Any]
    run_id: str | None = None
    estimator: object = None
    model_uri: str | None = None
    uri_source: str = ""
    contributor: str | None = None
    problems: tuple[Problem, ...] = ()
    shadowed: frozenset[str] = frozenset()

    @classmethod
    def read(
        cls,
        texts: Mapping[str, str],
        tags: Mapping[str, str],
        options: Mapping[str, Any],
        *,
        run_id: str | None,
        find: Callable[[str | None], object],
        models: Iterable[str] = (),
        problems: Sequence[Problem] = (),
    ) -> Entered:
        """Look up what the words stand for; what cannot be looked up is a problem.

        Args:
            texts: Text of each field.
            tags: Further tags.
            options: What a line may say and the form has no field for.
            run_id: The run that the form is about.
            find: Returns what a variable's name stands for.
            models: Names of the run's models.
            problems: What is wrong besides.
        """
        found, contributor, told = None, None, list(problems)
        try:
            found = find(texts["model"] or None)
        except HokusaiError as error:
            told.append(problem_of(error, "model"))
        try:
            contributor = settings().contributor
        except HokusaiError as error:
            told.append(problem_of(error, "contributor"))
        # A variable may hold a URI, or what log_model returned, instead of the estimator itself.
        uri = found if isinstance(found, str) else getattr(found, "model_uri", None)
        leads_to_uri = isinstance(uri, str)
        return cls(
            texts=texts,
            tags=tags,
            options=options,
            run_id=run_id,
            estimator=None if leads_to_uri else found,
            model_uri=uri if leads_to_uri else None,
            uri_source=texts["model"] if found is uri else f"{texts['model']}.model_uri",
            contributor=contributor,
            problems=tuple(told),
            shadowed=frozenset(name for name in models if _leads_somewhere(name, find)),
        )

    @property
    def by_uri(self) -> bool:
        """Whether the model is named by a URI, which leads to its own run."""
        return self.model_uri is not None or (self.estimator is None and is_uri(self.texts["model"]))

    def values(self) -> dict[str, Any]:
        """Return what is asked for, by field of `Register`; what is empty is left out."""
        values: dict[str, Any] = {key: text for key, text in self.texts.items() if text}
        if self.model_uri is not None:
            values["model"] = self.model_uri
        if self.tags:
            values["tags"] = dict(self.tags)
        if self.run_id and not self.by_uri:
            values["run"] = self.run_id
        return {**values, **self.options}

    def magic_line(self, *, finds_run: bool, read_value: str) -> str:
        """Return the line that asks for this, without what it finds by itself.

        Args:
            finds_run: Whether a line that names no run means the same run.
            read_value: The value that was read from the run; empty if none was.
        """
        values = {**self.values(), "model": self.texts["model"]}  # a variable by its name
        if finds_run and "run" not in self.options:
            values.pop("run", None)
        if read_value and values.get("value") == read_value:
            values.pop("value")
        return magic_line(Register, "hokusai_register", values)

    def python_call(self) -> str:
        """Return the Python that asks for this."""
        values = self.values()
        if self.model_uri is not None:
            values["model"] = Code(self.uri_source)
        estimator = Code(self.texts["model"]) if self.estimator is not None else None
        rows = values.pop("input_example", None)
        return python_call(values, estimator=estimator, input_example=Code(rows) if rows else None)


def _leads_somewhere(name: str, find: Callable[[str | None], object]) -> bool:
    try:
        return find(name) is not None
    except HokusaiError:
        return True


class Reader:
    """Reads what stands in a form, and what it stands for.

    Args:
        workspace: The variables that can be named.
        backend: Where the form registers.
        options: What a line may say and the form has no field for.
    """

    def __init__(self, workspace: Workspace, backend: Backend, options: Mapping[str, Any]) -> None:
        self._find = Lookup(workspace.find)
        self._backend = backend
        self._options = options
        self.look_around()

    def look_around(self) -> None:
        """Notice what changes outside of the form: the variables, and what MLflow is set to."""
        self._find.forget()
        self._outside = store_problems(self._backend)

    def read(self, fields: Mapping[str, Field], tags: TagRows, inquiry: Inquiry) -> Entered:
        """Return what was put in, by what was found when it was last looked around."""
        return Entered.read(
            {key: field.value for key, field in fields.items()},
            tags.tags,
            self._options,
            run_id=inquiry.run_id,
            find=self._find,
            models=inquiry.facts.model_names,
            problems=[*tags.problems(), *self._outside],
        )
