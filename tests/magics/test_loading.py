"""Loading is light, repeatable, and leaves nothing behind when it is undone."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from hokusai_nb.magics import MAGICS, MATCHER
from hokusai_nb.schema import verbs


def in_fresh_python(code):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_ours(shell):
    names = {k: {n for n in table if n.startswith("hokusai")} for k, table in shell.magics_manager.magics.items()}
    matchers = [m for m in shell.Completer.custom_matchers if getattr(m, "matcher_identifier", "") == MATCHER]
    return names, len(matchers)


ALL = {"line": set(MAGICS), "cell": {name for name, spec in MAGICS.items() if spec.cell}}


def test_loading_imports_nothing_heavy_and_takes_few_milliseconds():
    heavy = ["mlflow", "pandas", "matplotlib", "altair", "ipywidgets", "pydantic", "sqlalchemy", "numpy"]
    out = in_fresh_python(
        f"""
        import json, sys, time
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell()
        before = set(sys.modules)
        times = []
        for _ in range(5):
            for name in [n for n in sys.modules if n.partition(".")[0] == "hokusai_nb"]:
                del sys.modules[name]
            shell.extension_manager.loaded.discard("hokusai_nb")
            started = time.process_time()
            shell.run_line_magic("load_ext", "hokusai_nb")
            times.append(1000 * (time.process_time() - started))
        new = {{n.partition(".")[0] for n in set(sys.modules) - before}}
        loaded = "hokusai_lineage" in shell.magics_manager.magics["line"]
        print(json.dumps([sorted(new & set({heavy!r})), min(times), loaded]))
        """
    )
    heavy_ones, best, loaded = json.loads(out)
    assert heavy_ones == []
    assert loaded
    assert best <= 30


def test_listing_the_magics_imports_nothing_either():
    out = in_fresh_python(
        """
        import sys
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell()
        shell.run_line_magic("load_ext", "hokusai_nb")
        print(shell.run_line_magic("lsmagic", ""), "pydantic" in sys.modules)
        """
    )
    assert "%hokusai_register" in out
    assert out.strip().endswith("False")


def test_completing_other_lines_imports_nothing():
    out = in_fresh_python(
        """
        import sys
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell()
        shell.run_line_magic("load_ext", "hokusai_nb")
        shell.complete("import o")
        print("pydantic" in sys.modules, end=" ")
        print(shell.complete("", "%hokusai_models --js", 20)[1], "mlflow" in sys.modules)
        """
    )
    assert out == "False ['--json'] False\n"


def test_every_magic_is_there_once_with_its_matcher(shell):
    assert of_ours(shell) == (ALL, 1)


def test_loading_again_and_reloading_replace_what_was_there(shell):
    from hokusai_nb import load_ipython_extension

    first = shell.magics_manager.magics["line"]["hokusai"]
    load_ipython_extension(shell)
    shell.run_line_magic("reload_ext", "hokusai_nb")
    assert of_ours(shell) == (ALL, 1)
    assert shell.magics_manager.magics["line"]["hokusai"] is not first


def test_unloading_leaves_the_shell_as_it_was(bare_shell):
    def state():
        return (
            {kind: set(table) for kind, table in bare_shell.magics_manager.magics.items()},
            list(bare_shell.Completer.custom_matchers),
            list(bare_shell.configurables),
            list(bare_shell.input_transformers_post),
            {name: list(callbacks) for name, callbacks in bare_shell.events.callbacks.items()},
            set(bare_shell.user_ns),
        )

    before = state()
    for _ in range(2):
        bare_shell.extension_manager.load_extension("hokusai_nb")
        assert state() != before
        bare_shell.extension_manager.unload_extension("hokusai_nb")
        assert state() == before


def test_unloading_what_was_never_loaded_does_nothing(bare_shell):
    from hokusai_nb import unload_ipython_extension

    unload_ipython_extension(bare_shell)
    assert of_ours(bare_shell) == ({"line": set(), "cell": set()}, 0)


def test_a_magic_of_the_users_own_with_our_name_survives_unloading(shell):
    shell.register_magic_function(lambda line: line, "line", "hokusai_models")
    shell.run_line_magic("unload_ext", "hokusai_nb")
    assert of_ours(shell)[0] == {"line": {"hokusai_models"}, "cell": set()}


def test_a_magic_that_is_gone_is_not_found(shell):
    shell.run_line_magic("unload_ext", "hokusai_nb")
    assert not shell.run_cell("%hokusai_models").success


@pytest.mark.parametrize("name", sorted(MAGICS))
def test_the_docstring_is_the_help(shell, name):
    magic = shell.find_line_magic(name)
    assert magic.__doc__.startswith(f"%{name}")
    assert shell.object_inspect(f"%{name}")["docstring"].startswith(f"%{name}")


def test_every_magic_has_its_verb_and_its_function():
    import importlib

    for spec in MAGICS.values():
        assert issubclass(spec.read_as(), verbs.Verb)
        for target in filter(None, (spec.line, spec.cell)):
            module, _, function = target.partition(":")
            assert callable(getattr(importlib.import_module(f"hokusai_nb.magics.{module}"), function))
