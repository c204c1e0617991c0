"""Studies in a database, by SQLAlchemy Core: SQLite in WAL mode for a path, anything else by its URL."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from symnas.errors import StoreError
from symnas.study.store.base import Event, StudyRow, reading
from symnas.study.store.interrupts import HeldInterrupt
from symnas.study.store.lock import LockHolder
from symnas.study.store.sql_errors import friendly
from symnas.study.store.sqlite_files import (
    BUSY_SECONDS,
    check_file,
    configure,
    path_of,
    tables,
    url_of,
    writable,
)
from symnas.tree.space import Decision

SCHEMA = 1
TRIES = 50
"""How often to look again at a new store that others are making too."""
_metadata = sa.MetaData()

META = sa.Table(
    "symnas_meta",
    _metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
STUDIES = sa.Table(
    "symnas_studies",
    _metadata,
    sa.Column("key", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(500), nullable=False, unique=True),
    sa.Column("header", sa.Text, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("created", sa.Float(53), nullable=False),
    sa.Column("token", sa.String(40), nullable=False),
    sa.Column("owner", sa.Text),  # the holder of the lock
    sa.Column("beat", sa.Float(53)),
)
EVENTS = sa.Table(
    "symnas_events",
    _metadata,
    sa.Column("study", sa.Integer, sa.ForeignKey(STUDIES.c.key), primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("trial", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sqlite_with_rowid=False,  # the log lies on disk in its own order, without a second index
)


class SqlStore:
    """A database of studies.

    Args:
        target: the path of a SQLite file, or a SQLAlchemy URL.
        must_exist: refuse to make a new file.

    Raises:
        StoreError: it cannot be opened, is not a SymNAS store, or was written by a newer SymNAS.
    """

    durable = True

    def __init__(self, target: str | Path, must_exist: bool = False) -> None:
        text = str(target)
        self._path = path_of(target)
        self.location = text if self._path is None else str(self._path)
        if self._path is not None:
            check_file(self._path, must_exist)
            self._check_tables(tables(self._path))  # before it is opened, which writes
        read_only = must_exist and self._path is not None and not writable(self._path)
        url = text if self._path is None else url_of(self._path, read_only)
        self._cut_off = False  # whether the connection was lost in the middle of a transaction
        self._guard = threading.RLock()  # one connection, used by the driver and by its heartbeat
        try:
            self._engine = sa.create_engine(url, connect_args=self._connect_args(), poolclass=sa.NullPool)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise StoreError(
                f"a store is a path or a SQLAlchemy URL whose driver is installed; {text!r} is not: {error}"
            ) from error
        self.location = self._engine.url.render_as_string() if self._path is None else self.location
        if self._engine.dialect.name == "sqlite" and not read_only:
            sa.event.listen(self._engine, "connect", configure)
        try:
            with friendly(self.location):
                self._connection = self._engine.connect()
                self._prepare()
        except StoreError:
            if "_connection" in self.__dict__:
                self._connection.close()
            raise
        self._insert = str(EVENTS.insert().compile(self._engine)) if self._positional else ""

    # ------------------------------------------------------------ studies

    @property
    def folder(self) -> Path | None:
        """The folder beside a SQLite file; a server's weights go beneath the working directory."""
        if self._path is None:
            return Path("symnas.weights").absolute()
        return self._path.with_name(self._path.name + ".weights")

    def create(self, name: str, header: dict[str, Any]) -> StudyRow:
        """Add a study; the name is not taken yet."""
        values = {"name": name, "header": json.dumps(header), "state": "running", "created": time.time()}
        try:
            with self._transaction():
                self._connection.execute(STUDIES.insert().values(**values, token=""))
        except StoreError as error:
            if self.find(name) is None:
                raise
            raise StoreError(
                f"names of studies are unique in a store; {name!r} is taken in {self.location}"
            ) from error
        row = self.find(name)
        assert row is not None
        return row

    def find(self, name: str) -> StudyRow | None:
        """Return the study of that name, if there is one."""
        found = self._select(STUDIES.c.name == name)
        return found[0] if found else None

    def rows(self) -> list[StudyRow]:
        """Return all studies, in the order of their creation."""
        return self._select(sa.true())

    def set_state(self, key: int, state: str) -> None:
        """Record how a study stands."""
        self._update(STUDIES.c.key == key, state=state)

    def rename(self, key: int, name: str) -> None:
        """Give a study another name."""
        self._update(STUDIES.c.key == key, name=name)

    # ------------------------------------------------------------ the lock

    def lock(self, key: int, holder: LockHolder, expected: LockHolder | None) -> bool:
        """Make `holder` the driver if the driver is still `expected`; tell whether that worked."""
        held = STUDIES.c.token == ("" if expected is None else expected.token)
        data = json.dumps(holder.to_json())
        return (
            self._update((STUDIES.c.key == key) & held, token=holder.token, owner=data, beat=holder.beat) == 1
        )

    def beat(self, key: int, holder: LockHolder) -> bool:
        """Say that the driver is alive; False when it no longer is the driver."""
        mine = (STUDIES.c.key == key) & (STUDIES.c.token == holder.token)
        return self._update(mine, beat=time.time()) == 1

    def unlock(self, key: int, holder: LockHolder) -> None:
        """Give the study up, if `holder` drives it."""
        if self._path is not None and not self._path.exists():
            return  # deleted; it would be made again
        mine = (STUDIES.c.key == key) & (STUDIES.c.token == holder.token)
        self._update(mine, token="", owner=None, beat=None)

    # ------------------------------------------------------------ the log

    def append(self, key: int, seq: int, events: Sequence[Event]) -> None:
        """Write events at position `seq` and on, all or none; they are on disk when this returns."""
        rows = [
            (key, seq + place, event.kind, event.trial, event.at, _encode(event.payload))
            for place, event in enumerate(events)
        ]
        with self._transaction():
            if self._positional:
                # The statement is compiled once; SQLAlchemy's own path costs as much as the disk does.
                self._connection.exec_driver_sql(self._insert, rows)
            else:
                names = EVENTS.c.keys()
                self._connection.execute(
                    EVENTS.insert(), [dict(zip(names, row, strict=True)) for row in rows]
                )

    def events(self, key: int) -> Iterator[Event]:
        """Yield a study's events in order."""
        columns = (EVENTS.c.kind, EVENTS.c.trial, EVENTS.c.at, EVENTS.c.payload)
        query = sa.select(*columns).where(EVENTS.c.study == key).order_by(EVENTS.c.seq)
        with self._transaction():
            rows = self._connection.execute(query).fetchall()
        for kind, trial, at, payload in rows:
            with reading(self.location, f"an event of kind {kind!r}"):
                event = Event(kind, trial, at, json.loads(payload))
            yield event

    def counts(self, key: int) -> dict[str, int]:
        """Return how many events of each kind there are."""
        query = sa.select(EVENTS.c.kind, sa.func.count()).where(EVENTS.c.study == key).group_by(EVENTS.c.kind)
        with self._transaction():
            rows = self._connection.execute(query).fetchall()
        return {row[0]: row[1] for row in rows}

    def close(self) -> None:
        """Let go of the file; what is asked of the store afterwards opens it for that moment only."""
        with self._guard, friendly(self.location):
            self._connection.close()

    # ------------------------------------------------------------ inside

    @property
    def _positional(self) -> bool:
        return self._engine.dialect.paramstyle == "qmark"

    def _connect_args(self) -> dict[str, Any]:
        return {} if self._path is None else {"timeout": BUSY_SECONDS}

    def _transaction(self) -> _Transaction:
        return _Transaction(self)

    def _prepare(self) -> None:
        # Others may be making the same new store. Whoever comes second, or is thrown out, finds it made.
        for left in reversed(range(TRIES)):
            found = set(sa.inspect(self._connection).get_table_names())
            self._connection.rollback()
            if META.name in found:
                break
            self._check_tables(found)
            try:
                self._make()
            except sa.exc.SQLAlchemyError:
                self._connection.rollback()
                if not left:
                    raise
                time.sleep(0.01)
        self._check_schema()

    def _make(self) -> None:
        """Make the tables of a new store, with what they say about it, in one transaction."""
        if self._engine.dialect.name == "sqlite":
            # Nobody else makes them meanwhile; sqlite3 by itself begins transactions for rows alone.
            self._connection.exec_driver_sql("BEGIN IMMEDIATE")
        _metadata.create_all(self._connection, checkfirst=True)
        if self._connection.execute(sa.select(META.c.value)).first() is None:
            self._connection.execute(META.insert().values(name="schema", value=str(SCHEMA)))
        self._connection.commit()

    def _check_tables(self, found: set[str]) -> None:
        if found and META.name not in found and self._path is not None:
            raise StoreError(
                f"a store is a file of its own; {self.location} is a database of something else "
                f"(tables {', '.join(sorted(found)[:4])}): name another file; this one was left as it was"
            )

    def _check_schema(self) -> None:
        with self._connection.begin():
            found = self._connection.execute(sa.select(META.c.value).where(META.c.name == "schema")).scalar()
        if found is None or int(found) > SCHEMA:
            raise StoreError(
                f"this SymNAS reads stores of schema {SCHEMA}; {self.location} has schema {found}, from a "
                "newer SymNAS: upgrade symnas, or name another store; this one was left as it is"
            )

    def _select(self, condition: sa.ColumnElement[bool]) -> list[StudyRow]:
        query = sa.select(STUDIES).where(condition).order_by(STUDIES.c.key)
        with self._transaction():
            rows = self._connection.execute(query).fetchall()
        with reading(self.location, "the list of studies"):
            return [_row(row) for row in rows]

    def _update(self, condition: sa.ColumnElement[bool], **values: Any) -> int:
        with self._transaction():
            return int(self._connection.execute(STUDIES.update().where(condition).values(**values)).rowcount)


class _Transaction:
    """One transaction on the store's connection, one thread at a time, with errors in a user's words.

    An interrupt waits until the transaction is over. Should one get through all the same (a second Ctrl-C),
    the connection is left as it was cut off, and the next transaction begins with a new one.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._interrupt = HeldInterrupt()
        self._close = False

    def __enter__(self) -> None:
        store = self._store
        # Interrupts are held back before the connection is taken: one in between would leave it taken.
        self._interrupt.start()
        store._guard.acquire()
        try:
            self._close = store._connection.closed and not store._cut_off
            if self._close or store._cut_off:
                with friendly(store.location):
                    store._connection = store._engine.connect()
                store._cut_off = False
        except BaseException:
            self._let_go()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        store = self._store
        # Whoever is thrown out of what follows leaves a connection of which nobody knows what it has done:
        # it counts as cut off until the transaction is known to be over.
        store._cut_off = not self._close
        try:
            with friendly(store.location):
                if error is None:
                    store._connection.commit()
                else:
                    store._connection.rollback()
                store._cut_off = False
                if isinstance(error, sa.exc.SQLAlchemyError):
                    raise error
        finally:
            if self._close or store._cut_off:
                with suppress(sa.exc.SQLAlchemyError):
                    store._connection.close()
            self._let_go()

    def _let_go(self) -> None:
        self._store._guard.release()
        self._interrupt.end()


def _row(row: sa.Row[Any]) -> StudyRow:
    holder = None
    if row.owner:
        holder = replace(LockHolder.from_json(json.loads(row.owner)), beat=row.beat or 0.0)
    return StudyRow(row.key, row.name, json.loads(row.header), row.state, holder, row.created)


def _encode(payload: Any) -> str:
    return json.dumps(payload, separators=(",", ":"), default=_plain)


def _plain(value: object) -> Any:
    if isinstance(value, Decision):
        return value.flat()
    raise TypeError(f"an event holds plain data; got {value!r}")
