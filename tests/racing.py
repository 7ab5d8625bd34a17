"""Processes that work on one store at once, each turn begun at the same moment."""

from __future__ import annotations

import json

from tests.forked import Forked
from tests.processes import finish, release

_BEGIN = """
import json, sys, time, warnings
import mlflow
from hokusai_nb.errors import HokusaiError
warnings.simplefilter("ignore")
store, name, me = sys.argv[1:]
mlflow.set_tracking_uri(store)

def meet():
    print("ready", flush=True)
    time.sleep(max(0, float(sys.stdin.readline()) - time.time()))

def attempt(work):
    try:
        return ["ok", work()]
    except HokusaiError as error:
        return [type(error).__name__, error.what]
"""


def race(code, store, name, *, processes=2, turns=1):
    """Run code in processes, and return what each has printed as JSON.

    The code knows its ``store``, a ``name`` and its number ``me``, as a text. ``meet()`` waits for the others, in
    each turn once; ``attempt(work)`` is ``["ok", what it returns]``, or the name and the words of the error.
    """
    racing = [Forked(_BEGIN + code, store, name, index) for index in range(processes)]
    for _ in range(turns):
        release(*racing)
    return [json.loads(finish(process)) for process in racing]
