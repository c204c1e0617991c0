"""Stores: what goes in comes out, one driver at a time, and trouble that destroys nothing."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import symnas
from symnas import OneOf, Space, Status
from symnas.errors import StoreError, StudyError
from symnas.study.store.base import Event, Store
from symnas.study.store.lock import LockHolder
from symnas.study.store.memory import MemoryStore
from symnas.study.store.sql import SqlStore

SPACE = Space((OneOf("a", tuple(range(50)), 0), OneOf("b", tuple(range(50)), 0)))


def total(decision: Any) -> float:
    return float(decision["a"] + decision["b"])


def run(store: Any, **options: Any) -> symnas.Study:
    return symnas.search(SPACE, total, **{"trials": 5, "store": store, "progress": False, **options})


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = MemoryStore() if request.param == "memory" else SqlStore(tmp_path / "s.db")
    yield made
    made.close()


def test_events_come_back_as_they_went_in(store: Store) -> None:
    row = store.create("one", {"algorithm": "x"})
    other = store.create("two", {})
    events = [Event("propose", 0, 1.5, {"n": [1, 0.1, None]}), Event("done", 0, 2.5, {"text": 'é"'})]
    store.append(row.key, 0, events[:1])
    store.append(other.key, 0, events)
    store.append(row.key, 1, events[1:])
    assert list(store.events(row.key)) == events
    assert store.counts(other.key) == {"propose": 1, "done": 1}
    found = store.find("one")
    assert found is not None
    assert (found.header, found.state) == ({"algorithm": "x"}, "running")
    assert [row.name for row in store.rows()] == ["one", "two"]
    with pytest.raises(StoreError, match="another"):
        store.append(row.key, 1, events)
    assert len(list(store.events(row.key))) == 2
    store.rename(row.key, "uno")
    assert store.find("one") is None
    with pytest.raises(StoreError, match="names of studies are unique in a store; 'two' is taken"):
        store.create("two", {})


def test_a_lock_goes_to_one(store: Store) -> None:
    row = store.create("one", {})
    mine, other = LockHolder.of_this_process(), LockHolder.of_this_process()
    assert store.lock(row.key, mine, None)
    assert not store.lock(row.key, other, None)
    assert store.beat(row.key, mine)
    assert not store.beat(row.key, other)
    store.unlock(row.key, other)
    assert not store.lock(row.key, other, None)
    assert store.lock(row.key, other, mine)
    store.unlock(row.key, other)
    assert store.lock(row.key, mine, None)


def test_owners_know_who_lives() -> None:
    holder = LockHolder.of_this_process()
    assert holder.alive
    assert not replace(holder, started="1").alive  # the number was given to another process
    assert not replace(holder, boot="another boot").alive
    assert not replace(holder, pid=2**22 + 1).alive
    assert replace(holder, host="elsewhere").alive
    assert not replace(holder, host="elsewhere", beat=holder.beat - 3600).alive


def test_a_second_driver_is_told_to_wait(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    inside, leave = threading.Event(), threading.Event()

    def slow(d: Any) -> float:
        inside.set()
        leave.wait(20)
        return total(d)

    first = threading.Thread(
        target=lambda: symnas.search(SPACE, slow, trials=3, store=path, name="x", progress=False, context=1)
    )
    first.start()
    assert inside.wait(20)
    try:
        with pytest.raises(StudyError, match=f"process {os.getpid()} on .* runs 'x' in .*s.db now"):
            symnas.search(SPACE, slow, trials=3, store=path, name="x", progress=False, context=1)
        other = run(path, name="y")  # another study in the same file does not wait
        assert other.counts == {Status.DONE: 5}
        assert {s.name: s.state for s in symnas.studies(path)} == {"x": "running", "y": "done"}
    finally:
        leave.set()
        first.join()
    assert {s.name: s.trials for s in symnas.studies(path)} == {"x": 3, "y": 5}


def test_the_lock_of_a_dead_driver_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run(path)
    store = SqlStore(path)
    row = store.rows()[0]
    store.lock(row.key, replace(LockHolder.of_this_process(), pid=2**22 + 1), None)
    store.set_state(row.key, "running")
    assert symnas.studies(path)[0].state == "killed"
    assert run(path, trials=7).counts == {Status.DONE: 7}
    store.close()


def test_what_is_no_store_is_left_as_it_was(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("my only copy")
    with pytest.raises(StoreError, match=r"a store is a SQLite file; .*notes.txt is something else"):
        run(text)
    assert text.read_text() == "my only copy"
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("create table precious (x)")
    connection.close()
    before = foreign.read_bytes()
    with pytest.raises(StoreError, match="is a database of something else \\(tables precious\\)"):
        run(foreign)
    assert foreign.read_bytes() == before
    with pytest.raises(StoreError, match=r"a store is a file; .* is a folder"):
        run(tmp_path)
    with pytest.raises(StoreError, match="the folder of a store must exist"):
        run(tmp_path / "no" / "s.db")
    with pytest.raises(StoreError, match="there is no store at"):
        symnas.studies(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(StoreError, match="a path or a SQLAlchemy URL whose driver is installed"):
        run("nosuch://host/db")


def test_a_newer_store_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run(path)
    with sqlite3.connect(path) as connection:
        connection.execute("update symnas_meta set value = '99'")
    connection.close()
    with pytest.raises(StoreError, match=r"has schema 99, from a newer SymNAS: upgrade symnas"):
        run(path)


def test_a_damaged_store_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run(path, trials=400)
    data = bytearray(path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 600] = b"\xff" * 600
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"the file is damaged .*recover"):
        run(path, trials=500)
    assert path.read_bytes()[: len(data)] == bytes(data)


@pytest.mark.parametrize("mode", ["delete", "truncate", "wal", "empty wal"])
def test_a_foreign_database_is_looked_at_without_being_changed(tmp_path: Path, mode: str) -> None:
    foreign = tmp_path / "foreign.db"
    writer = sqlite3.connect(foreign)
    writer.execute(f"pragma journal_mode = {mode.split()[-1]}")
    writer.execute("create table precious (x)")
    writer.execute("insert into precious values (1)")
    writer.commit()
    if mode != "wal":  # else its log lies beside it
        writer.close()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}
    for look in (run, symnas.studies, symnas.load_study):
        with pytest.raises(StoreError, match="is a database of something else"):
            look(foreign)
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}
    assert after == before
    writer.close()


DAMAGE = {
    "no text": "update symnas_events set payload = '{\"call\": 0' where seq = 0",
    "another kind of thing": "update symnas_events set payload = '[1, 2]' where seq = 0",
    "nothing in it": "update symnas_events set payload = '{}' where seq = 0",
    "an unknown kind": "update symnas_events set kind = 'dnoe' where seq = 2",
    "another trial": "update symnas_events set trial = 77 where seq = 1",
    "an event lost": "delete from symnas_events where seq = 0",
    "a header cut off": "update symnas_studies set header = substr(header, 1, 40)",
    "a header of nothing": "update symnas_studies set header = '{}'",
    "a holder of nothing": "update symnas_studies set owner = '{}', token = 'x'",
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_store_that_says_something_else_is_told(tmp_path: Path, how: str) -> None:
    path = tmp_path / "s.db"
    run(path, name="x")
    with sqlite3.connect(path) as connection:
        connection.execute(DAMAGE[how])
    connection.close()
    with pytest.raises(StoreError, match="the store is damaged"):
        symnas.load_study(path)
    with pytest.raises(StoreError, match="the store is damaged"):
        run(path, name="x", trials=7)


TOGETHER = """
import sys, time
import symnas.study.search, symnas.study.store.sql, sqlalchemy.dialects.sqlite
from tests_space import SPACE, total
while not __import__("pathlib").Path(sys.argv[1]).exists():
    time.sleep(0.001)
try:
    study = symnas.search(SPACE, total, trials=3, store=sys.argv[2], name=sys.argv[3], progress=False)
    print(len(study.trials))
except symnas.errors.StudyError as error:
    print("told" if "one driver runs a study at a time" in str(error) else error)
"""


def together(folder: Path, processes: int, rounds: int) -> None:
    """Start drivers of a store that nobody has made at one moment: studies of their own, and one of all."""
    (folder / "tests_space.py").write_text(SHARED)
    (folder / "driver.py").write_text(TOGETHER)
    for number in range(rounds):
        go, store = folder / f"go{number}", folder / f"s{number}.db"
        names = [f"n{place}" if place % 2 else "shared" for place in range(processes)]
        command = [sys.executable, str(folder / "driver.py"), str(go), str(store)]
        drivers = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in names]
        threading.Event().wait(1 + 0.2 * processes)
        go.touch()
        printed = [driver.communicate()[0].strip() for driver in drivers]
        own = [text for text, name in zip(printed, names, strict=True) if name != "shared"]
        shared = [text for text, name in zip(printed, names, strict=True) if name == "shared"]
        assert own == ["3"] * len(own)
        assert "3" in shared
        assert set(shared) <= {"3", "told"}
        assert {s.name: s.trials for s in symnas.studies(store)} == dict.fromkeys(names, 3)


def test_drivers_start_together_on_a_new_store(tmp_path: Path) -> None:
    together(tmp_path, 6, 1)


@pytest.mark.slow
def test_many_drivers_start_together_on_new_stores(tmp_path: Path) -> None:
    together(tmp_path, 20, 5)


def test_urls_of_sqlite_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a folder" / "s.db"
    path.parent.mkdir()
    run(f"sqlite:///{path}", name="x")
    assert len(run(path, name="x", trials=6).trials) == 6
    assert len(run("sqlite:///a folder/s.db", name="x", trials=7).trials) == 7
    assert len(run(f"sqlite+pysqlite:///{path}", name="x", trials=8).trials) == 8
    assert [s.trials for s in symnas.studies(f"sqlite:///{path}")] == [8]
    store = SqlStore(f"sqlite:///{path}")
    assert store.folder == path.with_name("s.db.weights")
    store.close()
    for url in ("sqlite://", "sqlite:///", "sqlite:///:memory:"):
        study = run(url, name="x")
        assert len(run(study.store, name="x", trials=6).trials) == 6
    with pytest.raises(StoreError, match=r"there is no store at .*none.db"):
        symnas.studies(f"sqlite:///{tmp_path}/none.db")


def broken(*_: Any) -> None:
    raise StoreError("the disk is full")


@pytest.mark.parametrize("what", ["unlock", "set_state", "append", "beat"])
@pytest.mark.parametrize("mine", [True, False], ids=["the same store", "the file"])
def test_a_search_that_its_store_failed_goes_on_in_the_same_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, mine: bool
) -> None:
    path = tmp_path / "s.db"
    store: Any = SqlStore(path) if mine else path
    with monkeypatch.context() as patch:
        patch.setattr(SqlStore, "unlock", broken)
        patch.setattr(SqlStore, what, broken)
        if what in ("unlock", "beat"):
            run(store)
        else:
            with pytest.raises(StoreError, match="the disk is full"):
                run(store)
    assert symnas.studies(path)[0].state != "running"
    assert run(store, trials=7).counts == {Status.DONE: 7}
    assert run(path, trials=8).counts == {Status.DONE: 8}
    if mine:
        store.close()


def test_a_full_disk_is_made_room_on_and_the_same_process_goes_on(tmp_path: Path) -> None:
    store = SqlStore(tmp_path / "s.db")
    store._connection.exec_driver_sql("PRAGMA max_page_count = 16")
    store._connection.commit()
    with pytest.raises(StoreError, match="the disk is full"):
        run(store, trials=500)
    kept = symnas.load_study(tmp_path / "s.db").counts[Status.DONE]
    store._connection.exec_driver_sql("PRAGMA max_page_count = 4000")
    store._connection.commit()
    assert run(store, trials=kept + 5).counts == {Status.DONE: kept + 5}
    store.close()


@pytest.mark.slow
def test_a_full_disk_ends_the_search_and_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = SqlStore(path)
    store._connection.exec_driver_sql("PRAGMA max_page_count = 40")
    store._connection.commit()
    finished: list[int] = []
    with pytest.raises(StoreError, match=r"the disk is full .*make room and run the same command again"):
        run(store, trials=2000, on_trial=lambda trial: finished.append(trial.number))
    store.close()
    assert finished
    after_a_full_disk(path, finished)


def after_a_full_disk(path: Path, finished: list[int]) -> None:
    """Check that everything said to be finished is there, and that the search goes on."""
    kept = {t.number: t.metrics for t in symnas.load_study(path).trials if t.status is Status.DONE}
    assert set(finished) <= set(kept)
    study = run(path, trials=len(finished) + 20)
    assert study.counts == {Status.DONE: len(finished) + 20}
    assert {number: study.trials[number].metrics for number in kept} == kept
    whole = run(None, trials=len(finished) + 20)
    assert [t.decision for t in study.trials] == [t.decision for t in whole.trials]


LIMITED = """
import resource, sys
import symnas
from tests_space import SPACE, total
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
symnas.search(SPACE, total, trials=2000, store=sys.argv[1], progress=False,
              on_trial=lambda trial: print(trial.number, flush=True))
"""
SHARED = """
from symnas import OneOf, Space
SPACE = Space((OneOf("a", tuple(range(50)), 0), OneOf("b", tuple(range(50)), 0)))
def total(decision):
    return float(decision["a"] + decision["b"])
"""


def test_a_file_that_may_not_grow_ends_the_search(tmp_path: Path) -> None:
    (tmp_path / "tests_space.py").write_text(SHARED)
    (tmp_path / "limited.py").write_text(LIMITED)
    command = [sys.executable, str(tmp_path / "limited.py"), str(tmp_path / "s.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "StoreError: the store" in done.stderr
    assert "everything written before is kept" in done.stderr
    finished = [int(line) for line in done.stdout.split()]
    kept = {t.number for t in symnas.load_study(tmp_path / "s.db").trials if t.status is Status.DONE}
    assert finished
    assert set(finished) <= kept
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


READING = """
import os, sys, symnas
import symnas.study.search, symnas.study.store.sql, sqlalchemy.dialects.sqlite, numpy.random, sqlite3
path = sys.argv[1]
sys.path.insert(0, sys.argv[2])
from tests_space import SPACE, total
symnas.search(SPACE, total, trials=1, progress=False)  # imports all that it needs
os.setuid(65534)
print(symnas.load_study(path).best.values, [s.trials for s in symnas.studies(path)])
try:
    symnas.search(SPACE, total, trials=9, store=path, progress=False, context=1)
except symnas.errors.StoreError as error:
    print("refused:", error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root can")
def test_a_read_only_file_can_be_read(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"symnas-read-only-{os.getpid()}"
    folder.mkdir()
    try:
        best = run(folder / "s.db", context=1).best.values
        (folder / "tests_space.py").write_text(SHARED)
        (folder / "s.db").chmod(0o444)
        folder.chmod(0o555)
        code = [sys.executable, "-c", READING, str(folder / "s.db"), str(folder)]
        done = subprocess.run(code, capture_output=True, text=True, check=False, cwd="/")
        assert f"{best} [5]" in done.stdout, done.stderr
        assert "refused: the store" in done.stdout
        assert "read-only" in done.stdout
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_errors_of_databases_are_told_in_words() -> None:
    from symnas.study.store.sql_errors import TROUBLES, explained

    for part, meaning, remedy in TROUBLES:
        error = sa.exc.OperationalError("insert", {}, sqlite3.OperationalError(part))
        assert str(explained(error, "s.db")).startswith(f"the store s.db cannot be used: {meaning}")
        assert remedy in str(explained(error, "s.db"))
    strange = sa.exc.OperationalError("insert", {}, sqlite3.OperationalError("odd"))
    assert "cannot be used: odd; everything written before is kept" in str(explained(strange, "s.db"))


def test_studies_are_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run(path, name="first")
    assert symnas.load_study(path).name == "first"
    run(path, name="second")
    with pytest.raises(StudyError, match=r"no study 'secnd' in .*did you mean 'second'"):
        symnas.load_study(path, "secnd")
    with pytest.raises(StudyError, match=r"several studies needs a name; .* has 'first', 'second'"):
        symnas.load_study(path)


@pytest.mark.parametrize("times", [1, 2], ids=["held back", "insisted on"])
def test_an_interrupt_in_the_middle_of_a_commit(tmp_path: Path, times: int) -> None:
    store = SqlStore(tmp_path / "s.db")
    row = store.create("one", {})

    def interrupt(_: object) -> None:
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    sa.event.listen(store._engine, "commit", interrupt, once=True)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        store.append(row.key, 0, [Event("propose", 0, 1.0, {})])
    assert signal.getsignal(signal.SIGINT) is handler
    # Held back, the commit was whole; insisted on, it was cut off, and either way the store goes on.
    assert len(list(store.events(row.key))) == (1 if times == 1 else 0)
    store.set_state(row.key, "interrupted")
    assert store.rows()[0].state == "interrupted"
    store.close()


def test_an_interrupt_while_the_lock_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = SqlStore.lock

    def lock_and_stop(*arguments: Any) -> bool:
        monkeypatch.setattr(SqlStore, "lock", lock)
        lock(*arguments)
        raise KeyboardInterrupt("locked")

    monkeypatch.setattr(SqlStore, "lock", lock_and_stop)
    with pytest.raises(KeyboardInterrupt, match="locked"):
        run(tmp_path / "s.db")
    assert len(run(tmp_path / "s.db").trials) == 5
