"""An estimator that was tried before is recognised, also one that no digest can tell."""

from __future__ import annotations

import random
import threading

from hokusai_nb.core.identity import Acquaintance, identity_of


class Learnt:
    def __init__(self, weight=1):
        self.weight = weight


class Restless(Learnt):
    """Is pickled differently each time."""

    def __getstate__(self):
        return {**vars(self), "stamp": random.random()}


class Closed(Learnt):
    """Cannot be pickled."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def tried(estimator):
    known = Acquaintance()
    identity = known.identity(estimator)
    known.tried(estimator, identity)
    return known, identity


def test_equal_training_is_equal_to_everybody():
    known, identity = tried(Learnt())
    assert identity == identity_of(Learnt()) == known.identity(Learnt())
    assert known.identity(Learnt(2)) != identity


def test_what_an_attempt_changes_does_not_make_another_of_the_same_object():
    estimator, known = Learnt(), Acquaintance()
    identity = known.identity(estimator)
    estimator.weight = 2  # as logging it may
    known.tried(estimator, identity)
    assert known.identity(estimator) == identity
    estimator.weight = 3  # as fitting it does
    assert known.identity(estimator) == identity_of(Learnt(3)) != identity


def test_an_object_whose_digest_cannot_be_told_stays_the_same_object():
    for kind in (Restless, Closed):
        estimator = kind()
        known, identity = tried(estimator)
        assert known.identity(estimator) == identity
        assert known.identity(kind()) != identity


def test_an_attempt_that_never_ended_is_recognised_too():
    for kind in (Learnt, Restless, Closed):
        estimator, known = kind(), Acquaintance()
        assert known.identity(estimator) == known.identity(estimator)
