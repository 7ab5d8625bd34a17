import shutil
import subprocess
import time

import pytest
from limits.errors import StorageError
from pydantic import SecretStr

from hokusai_nb.api.limits import Limiter, parse_rate
from hokusai_nb.errors import HokusaiError
from tests.conftest import free_port
from tests.needs import without


@pytest.mark.parametrize(("text", "amount", "seconds"), [("600/minute", 600, 60), ("10 per 2 seconds", 10, 2)])
def test_a_rate_is_read(text, amount, seconds):
    rate = parse_rate("key", text)
    assert (rate.item.amount, rate.item.get_expiry()) == (amount, seconds)


@pytest.mark.parametrize("text", ["", "many", "0/minute", "5/fortnight", "1/minute;2/hour", "-1/minute"])
def test_what_is_no_rate_is_refused_with_an_example(text):
    with pytest.raises(HokusaiError, match=r"600/minute|at least 1"):
        parse_rate("key", text)


def test_a_key_has_as_many_requests_as_the_rate_says():
    rate, limiter = parse_rate("key", "3/minute"), Limiter()
    granted = [limiter.take(rate, "a") for _ in range(4)]
    assert [(a.granted, a.remaining) for a in granted] == [(True, 2), (True, 1), (True, 0), (False, 0)]
    assert limiter.take(rate, "b").granted
    assert 0 < granted[-1].seconds <= 60


def test_looking_counts_nothing():
    rate, limiter = parse_rate("key", "1/minute"), Limiter()
    assert all(limiter.look(rate, "a").granted for _ in range(3))
    limiter.take(rate, "a")
    assert not limiter.look(rate, "a").granted


@pytest.mark.parametrize("url", ["http://h", "nonsense", "redis://[bad", "memcached://h"])
def test_what_is_no_address_of_redis_is_refused_without_being_repeated(url):
    with pytest.raises(HokusaiError, match="HOKUSAI_REDIS_URL") as caught:
        Limiter(SecretStr(url))
    assert url not in str(caught.value)


@pytest.fixture
def redis():
    if shutil.which("redis-server") is None:
        without("Redis", "redis-server")
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}", process
    process.kill()
    process.wait()


def _until_counted_together(limiter, rate):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            limiter._together.test(rate.item, "probe")
        except StorageError:  # it is starting
            time.sleep(0.05)
        else:
            return
    pytest.fail("redis-server did not start")


@pytest.mark.slow
def test_processes_count_together_in_redis_and_alone_when_it_dies(redis, caplog):
    url, process = redis
    rate = parse_rate("key", "2/minute")
    one, two = Limiter(SecretStr(url)), Limiter(SecretStr(url))
    _until_counted_together(one, rate)
    assert [one.take(rate, "a").granted, two.take(rate, "a").granted, one.take(rate, "a").granted] == [
        True,
        True,
        False,
    ]
    process.kill()
    process.wait()
    began = time.monotonic()
    alone = [one.take(rate, "a").granted for _ in range(3)]
    assert alone == [True, True, False]
    assert time.monotonic() - began < 5
    assert len([r for r in caplog.records if "Redis does not answer" in r.getMessage()]) <= 1


def test_too_many_requests_of_a_key_are_refused_with_the_time_to_wait(start):
    api = start(rate_limit="3/minute")
    answers = [api.ask("GET", "/api/v1/tokens", key="read") for _ in range(4)]
    assert [a.status for a in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"key";q=3;w=60'
    assert [a.headers["ratelimit"].partition(";")[2].partition(";")[0] for a in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert 0 < int(answers[3].headers["retry-after"]) <= 61
    document = answers[3].json()
    assert document["error"] == "RateLimitError"
    assert 0 < document["retry_after"] <= 60
    assert api.ask("GET", "/api/v1/tokens", key="admin").status == 200


def test_an_address_that_sends_wrong_keys_is_held_off_but_not_its_neighbours_with_right_ones(start):
    api = start(wrong_key_limit="3/minute")
    assert api.ask("GET", "/api/v1/tokens", key="read").status == 200
    statuses = [api.ask("GET", "/api/v1/tokens", key=f"hk_wrong_{n}").status for n in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert api.ask("GET", "/api/v1/tokens", key="read").status == 200  # known from before
    assert api.ask("GET", "/api/v1/tokens", key="admin").status == 429  # not known yet
    assert api.ask("GET", "/api/v1/health", key=None).status == 200


def test_files_and_leases_count_for_nothing_but_need_a_key(start):
    api = start(rate_limit="1/minute")
    free = [
        ("PUT", "/api/v1/tokens/NO-SUCH/lease", {"owner": "a", "lease_seconds": 5}),
        ("GET", "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/0/file", None),
        ("PUT", "/api/mlflow/api/2.0/mlflow-artifacts/artifacts/0/file", None),
    ]
    for method, path, body in free * 2:
        assert api.ask(method, path, body, key="register").status in (404, 502, 503)
        assert api.ask(method, path, body, key=None).status == 401
    assert [api.ask("GET", "/api/v1/tokens", key="register").status for _ in range(2)] == [200, 429]
