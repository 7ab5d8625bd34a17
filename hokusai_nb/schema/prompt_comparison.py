"""Two versions of a prompt side by side."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hokusai_nb.errors import ModelValidationError
from hokusai_nb.schema.display import Shown, diff_lines
from hokusai_nb.schema.problems import Problem, quoted
from hokusai_nb.schema.prompt_metadata import same_value, thawed_json
from hokusai_nb.schema.prompts import PromptVersion, text_card
from hokusai_nb.schema.tag_values import parse_semver
from hokusai_nb.schema.versioning import step_between

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["PromptComparison", "compare_prompts", "text_diff"]

MAX_DIFF_LINES = 2000
"""Longer texts are compared as wholes: finding what moved takes time that grows with the square of the lines."""


class PromptComparison(Shown, Mapping[str, Any], frozen=True):
    """Two versions of one prompt; a mapping of what differs.

    - ``template_diff``: ``variables_added``, ``variables_removed`` (lists of names) and ``text_diff``
      (a unified diff, empty where the texts are equal).
    - ``metadata_diff``: ``added``, ``removed`` (mappings), ``changed`` (key to ``from`` and ``to``).
    - ``version_step``: ``major``, ``minor``, ``patch``, ``prerelease`` or ``none``; None where a version is
      not semantic.
    """

    first: PromptVersion
    second: PromptVersion

    @cached_property
    def parts(self) -> dict[str, Any]:
        """Everything that differs, as plain values."""
        before, after = self.first.variables, self.second.variables
        versions = (self.first.version, self.second.version)
        return {
            "template_diff": {
                "variables_added": [name for name in after if name not in before],
                "variables_removed": [name for name in before if name not in after],
                "text_diff": text_diff(self.first.template, self.second.template, *versions),
            },
            "metadata_diff": _metadata_diff(self.first.metadata, self.second.metadata),
            "version_step": step_between(*versions) if all(parse_semver(v) for v in versions) else None,
        }

    def __getitem__(self, key: str) -> Any:
        return self.parts[key]

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]  # a mapping before a pydantic model
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def _grid(self) -> tuple[Markup, str]:
        template, metadata = self["template_diff"], self["metadata_diff"]
        rows = [
            ("Version step", self["version_step"] or "–"),
            ("Variables added", ", ".join(template["variables_added"]) or "–"),
            ("Variables removed", ", ".join(template["variables_removed"]) or "–"),
            *(("Metadata added", f"{key} = {value}") for key, value in metadata["added"].items()),
            *(("Metadata removed", f"{key} = {value}") for key, value in metadata["removed"].items()),
            *(("Metadata changed", f"{k}: {v['from']} → {v['to']}") for k, v in metadata["changed"].items()),
        ]
        title = f"{self.first.name}: version {self.first.version} and {self.second.version}"
        diff = template["text_diff"]
        return (
            text_card(title, rows, diff, marked=diff_lines) if diff else text_card(title, rows, "The texts are equal.")
        )


def compare_prompts(first: PromptVersion, second: PromptVersion) -> PromptComparison:
    """Return what differs from the first version to the second.

    Raises:
        ModelValidationError: ``Cannot compare models with different names``.
    """
    if first.name != second.name:
        what = f"Cannot compare models with different names: {quoted(first.name)} and {quoted(second.name)}"
        raise ModelValidationError([Problem(field="other", what=what, hint="Compare two versions of one prompt.")])
    return PromptComparison(first=first, second=second)


def text_diff(old: str, new: str, old_label: str = "old", new_label: str = "new") -> str:
    """Return the unified diff of two texts; empty where they are equal.

    >>> print(text_diff("Hi {name}", "Hi {name}!", "1.0.0", "1.0.1"))
    --- 1.0.0
    +++ 1.0.1
    @@ -1 +1 @@
    -Hi {name}
    +Hi {name}!
    """
    if old == new:
        return ""
    before, after = old.split("\n"), new.split("\n")
    if len(before) + len(after) > MAX_DIFF_LINES:
        head = [f"--- {old_label}", f"+++ {new_label}", f"@@ -1,{len(before)} +1,{len(after)} @@"]
        return "\n".join([*head, *(f"-{line}" for line in before), *(f"+{line}" for line in after)])
    return "\n".join(difflib.unified_diff(before, after, old_label, new_label, lineterm=""))


def _metadata_diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    before, after = thawed_json(old), thawed_json(new)
    return {
        "added": {key: value for key, value in after.items() if key not in before},
        "removed": {key: value for key, value in before.items() if key not in after},
        "changed": {
            key: {"from": value, "to": after[key]}
            for key, value in before.items()
            if key in after and not same_value(value, after[key])
        },
    }
