"""A cache directory is data: whatever stands in it, nothing of it is run;
what diskcache kept there is kept on.
"""

import asyncio
import json
import os
import pickle
import sqlite3
import threading

import pytest
from diskcache_left import OLD, TRUTH, of_diskcache
from judge_server import JudgeServer

from reward_fns.expert import AnswerRequest, BudgetExhausted, ExpertError, make_expert, stats_of
from reward_fns.expert.__main__ import main
from reward_fns.expert.keeping.store import Store
from reward_fns.expert.serving.limits import Limits


@pytest.fixture
def server():
    with JudgeServer() as running:
        yield running


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


def config(server, cache, **options):
    base = {"kind": "openai", "model": "judge", "base_url": server.url, "cache": str(cache)}
    return base | {"max_retries": 0} | options


def ask(expert, requests=OLD):
    async def at_once():
        return await asyncio.gather(*map(expert.ask, requests), return_exceptions=True)

    return asyncio.run(at_once())


def use_everything(server, cache, out):
    """All that reads a cache directory; what each command says of it is its own matter."""
    for make in (
        lambda: make_expert(config(server, cache, max_calls=9, requests_per_minute=9e9)),
        lambda: make_expert({"kind": "replay", "recorded": str(cache)}),
    ):
        try:
            ask(make())
        except (ValueError, ExpertError, sqlite3.Error, OSError):
            pass
    main(["inspect", str(cache)])
    main(["export", str(cache), str(out)])


def plant(path, bomb):
    """A pickle in each place of a diskcache database that may hold one."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE Cache SET value = ?, mode = 4, tag = ?", (bomb, bomb))
        database.execute("UPDATE Settings SET value = ?", (bomb,))
        insert = "INSERT INTO Cache(key, raw, mode, value, filename) VALUES (?, ?, ?, ?, ?)"
        # A pickled key, and one in a file; the value of a limit.
        database.execute(insert, (bomb, 0, 4, bomb, None))
        database.execute(insert, ("of a file", 1, 4, None, "aa/bomb.val"))
        database.execute(insert, ("of a text file", 1, 3, None, "aa/bomb.val"))
        database.execute(insert, ("spent tokens", 1, 4, bomb, None))
    database.close()


@pytest.mark.parametrize("where", ["diskcache's rows", "the entries", "whole files"])
def test_a_pickle_bomb_anywhere_in_a_cache_directory_runs_nothing(server, tmp_path, where):
    marker = tmp_path / "ran"
    bomb = pickle.dumps(Bomb(marker))
    cache = of_diskcache(tmp_path / "cache")
    if where != "diskcache's rows":
        use_everything(server, cache, tmp_path / "out")
    for path in [cache / "cache.db", cache / "limits" / "cache.db"]:
        if where == "diskcache's rows":
            (path.parent / "aa").mkdir()
            (path.parent / "aa" / "bomb.val").write_bytes(bomb)
            plant(path, bomb)
        elif where == "the entries":
            with sqlite3.connect(path) as database:
                database.execute("UPDATE entries SET value = ?", (bomb,))
                database.execute("INSERT INTO entries VALUES (?, ?)", (bomb, bomb))
            database.close()
        else:
            for file in path.parent.glob("cache.db*"):
                file.write_bytes(bomb)
    use_everything(server, cache, tmp_path / "out")
    assert not marker.exists()
    # It would have run.
    pickle.loads(bomb)
    assert marker.exists()


def test_a_file_that_is_no_store_is_one_line(tmp_path, capsys):
    (tmp_path / "cache.db").write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match=r"cache.db is no store of verdicts .*move it away"):
        make_expert({"kind": "openai", "model": "judge", "cache": str(tmp_path)})
    assert main(["inspect", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "program",
    [
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
        "DROP TABLE entries; CREATE VIEW entries AS SELECT 'key' AS key, 'text' AS value",
    ],
)
def test_a_store_that_holds_programs_is_refused(tmp_path, program):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "cache.db") as database:
        database.executescript(program)
    database.close()
    with pytest.raises(ValueError, match="holds views or triggers"):
        Store(tmp_path)


def test_what_diskcache_kept_is_not_paid_for_again(server, tmp_path):
    cache = of_diskcache(tmp_path)
    expert = make_expert(config(server, cache))
    assert [verdict.overall for verdict in ask(expert)] == [1.0] * 3
    assert (server.total, stats_of(expert).cache_hits) == (0, 3)


def test_a_budget_that_diskcache_kept_goes_on(server, tmp_path):
    limits = Limits(max_calls=5, directory=of_diskcache(tmp_path) / "limits")

    async def spend():
        for _ in range(3):
            await limits.admit()

    # Three of five are spent.
    with pytest.raises(BudgetExhausted):
        asyncio.run(spend())


def test_long_verdicts_that_diskcache_kept_in_files_are_taken_over_and_no_other_file(tmp_path):
    cache = of_diskcache(tmp_path / "cache")
    (cache / "ab").mkdir()
    (cache / "ab" / "long.val").write_text("long")
    (tmp_path / "secret").write_text("not the cache's")
    (cache / "link").symlink_to(tmp_path / "secret")
    with sqlite3.connect(cache / "cache.db") as database:
        insert = "INSERT INTO Cache(key, raw, mode, filename) VALUES (?, 1, 3, ?)"
        for name in ("ab/long.val", "../secret", str(tmp_path / "secret"), "link", "gone", "a\0b"):
            database.execute(insert, (name, name))
    database.close()
    with Store(cache) as store:
        assert [key for key in store if len(key) != 64] == ["ab/long.val"]
        assert store.get("ab/long.val") == "long"


BROKEN = {
    "no JSON": "{torn",
    "endless brackets": "[" * 100_000,
    "half a pair": '"\\ud800"',
    "no object": "[1]",
    "another kind": '{"kind": "Answer", "verdict": {}}',
    "a label that is a text": '{"claim_labels": ["1"], "overall": 1.0}',
    "a number that is a text": '{"claim_labels": [1], "overall": "1"}',
    "no such field": '{"claim_labels": [1], "overall": 1, "x": 1}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_entry_that_is_no_verdict_is_named_and_asked_anew(
    server, tmp_path, name, caplog, capsys
):
    ask(make_expert(config(server, tmp_path)))
    with sqlite3.connect(tmp_path / "cache.db") as database:
        (key, text), *_ = database.execute(
            "SELECT key, value FROM entries WHERE length(key) = 64"
        ).fetchall()
        broken = BROKEN[name]
        if "claim_labels" in broken:
            broken = json.dumps(json.loads(text) | {"verdict": json.loads(broken)})
        database.execute("UPDATE entries SET value = ? WHERE key = ?", (broken, key))
    database.close()
    main(["inspect", str(tmp_path)])
    told = capsys.readouterr()
    assert told.out.startswith("2 verdicts") and "1 entries left out: no verdicts" in told.err
    assert [verdict.overall for verdict in ask(make_expert(config(server, tmp_path)))] == [1.0] * 3
    assert server.total == 4
    assert "an entry that is no verdict" in caplog.text and "paid for again" in caplog.text


@pytest.mark.parametrize(
    "odd",
    [
        {"identity": "x"},
        {"usage": {}},
        {"usage": {"calls": 1}},
        {"time": 1e300},
        {"time": "now"},
        {"judge": []},
    ],
    ids=str,
)
def test_a_record_that_does_not_say_who_was_asked_is_left_out_of_what_is_shown(
    server, tmp_path, odd, capsys
):
    ask(make_expert(config(server, tmp_path)))
    with sqlite3.connect(tmp_path / "cache.db") as database:
        (key, text), *_ = database.execute(
            "SELECT key, value FROM entries WHERE length(key) = 64"
        ).fetchall()
        changed = json.dumps(json.loads(text) | odd)
        database.execute("UPDATE entries SET value = ? WHERE key = ?", (changed, key))
    database.close()
    assert main(["inspect", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("2 verdicts") and "1 entries left out: no verdicts" in told.err


def test_judges_that_are_no_objects_are_none(server, tmp_path):
    with Store(tmp_path) as store:
        store.set("judge m", '["x", {"server": "http://a"}]')
    expert = config(server, tmp_path)
    assert ask(make_expert(expert)) and main(["inspect", str(tmp_path)]) == 0


def test_a_number_that_is_none_names_the_directory_and_what_that_forgets(server, tmp_path):
    ask(make_expert(config(server, tmp_path, max_calls=9)))
    with Store(tmp_path / "limits") as store:
        store.set("spent calls", '"many"')
    expert = make_expert(config(server, tmp_path, max_calls=9))
    (failure,) = ask(expert, [AnswerRequest("new", "QA", ("c",), "r", TRUTH)])
    assert "limits holds no number as 'spent calls': remove that directory" in str(failure)


def test_threads_and_a_fork_count_every_change(tmp_path):
    store = Store(tmp_path)

    def count():
        for _ in range(50):
            store.update("n", lambda text: str(int(text or 0) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if (pid := os.fork()) == 0:
        count()
        os._exit(0)
    count()
    assert os.waitpid(pid, 0)[1] == 0
    assert store.get("n") == "300"


def test_what_raises_leaves_a_text_as_it_was(tmp_path):
    store = Store(tmp_path)
    store.set("n", "1")
    with pytest.raises(ZeroDivisionError):
        store.update("n", lambda text: str(1 // 0))
    store.update("n", lambda text: text + "1")
    assert store.get("n") == "11"
    assert store.move("n", "m", lambda text: text + "2") == "112"
    assert (store.get("n"), store.get("m"), list(store)) == (None, "112", ["m"])
