"""The face of the shell: the `hokusai` command, a process for each call.

Each call is a process, so this face takes part only in tests that say so: ``@pytest.mark.also("command")``. What the
command has no words for, such as holding a token for longer, is not here.
"""

from __future__ import annotations

import os

from hokusai_nb.schema.events import EventPage
from hokusai_nb.schema.lifecycle import Token, TokenHistory, TokenPage
from hokusai_nb.schema.records import Comparison, Lineage, ModelList, RegisteredModel
from tests.forked import hokusai

SWITCHES = ("force_new", "dry_run")
STEPS = {"deployed": "deploy", "archived": "archive"}


class Failed(Exception):  # noqa: N818 - the end of the command, whatever it is about
    """What somebody at a terminal sees of an error: the exit code, what failed and what to try."""

    def __init__(self, code, stderr):
        super().__init__(f"{code} {stderr}")
        assert stderr.startswith("Error: "), stderr
        self.code = code
        self.what, _, self.hint = stderr.removeprefix("Error: ").removesuffix("\n").partition("\n")


class CommandFace:
    """The command, in an environment that names a platform; each answer is read from its JSON.

    Args:
        environment: Variables by which it finds models and tokens.
        place: Where it says that models are.
        folder: Where it is started.
    """

    def __init__(self, environment, place, folder):
        self.environment = {**os.environ, **environment}
        self.place = place
        self.folder = folder

    def run(self, *line):
        done = hokusai(*line, env=self.environment, cwd=self.folder)
        if done.returncode:
            assert done.stdout == ""
            raise Failed(done.returncode, done.stderr)
        return done.stdout

    def read(self, kind, *line):
        return kind.model_validate_json(self.run(*line, "--json"))

    def pages(self, kind, *line, **options):
        given = [f"--{name}={value}" for name, value in options.items() if value is not None]
        cursor = []
        while True:
            page = self.read(kind, *line, *given, *cursor)
            yield from page.entries
            if page.next_cursor is None:
                return
            cursor = ["--cursor", page.next_cursor]

    def register(self, values):
        line = [values["name"]]
        for name, value in values.items():
            if name == "tags":
                line += [f"--tag={key}={text}" for key, text in value.items()]
            elif name in SWITCHES:
                line += [f"--{name.replace('_', '-')}"] if value else []
            elif name != "name":
                line.append(f"--{name}={value}")
        return self.read(RegisteredModel, "model", "register-run", *line)

    def show(self, name, version=None):
        return self.read(RegisteredModel, "model", "show", name, *([] if version is None else [version]))

    def list_models(self, prefix=None, token=None):
        given = ([] if prefix is None else [prefix]) + ([] if token is None else ["--token-id", token])
        return list(self.read(ModelList, "model", "list", *given))

    def lineage(self, name):
        return self.read(Lineage, "model", "lineage", name)

    def compare(self, name, first, second):
        return self.read(Comparison, "model", "compare", name, first, second)

    def update_tags(self, name, version, tags):
        pairs = [f"{key}={value}" for key, value in tags.items()]
        return self.read(RegisteredModel, "model", "tag", name, version, *pairs)

    def delete(self, name, version):
        self.run("model", "delete", name, version, "--yes")

    def create_token(self, values):
        return self.read(Token, "token", "create", values["token_id"])

    def show_token(self, token_id):
        return self.read(TokenHistory, "token", "show", token_id).token

    def list_tokens(self, status=None, page_size=100):
        return self.pages(TokenPage, "token", "list", status=status and status.value, limit=page_size)

    def change_token(self, token_id, values):
        reason = [f"--reason={values['reason']}"] if "reason" in values else []
        return self.read(Token, "token", STEPS[values["to"]], token_id, *reason)

    def history(self, token_id):
        return self.read(TokenHistory, "token", "show", token_id).steps

    def list_events(self, token_id=None, page_size=100):
        given = [] if token_id is None else ["--token-id", token_id]
        return self.pages(EventPage, "events", "list", *given, limit=page_size)

    def retry_event(self, event_id):
        self.run("events", "retry", event_id)
        return next(e for e in self.list_events() if e.event.event_id == event_id)
