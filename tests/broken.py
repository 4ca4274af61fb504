"""Builds of the poller that break its promise, each in one way: what the long tests must notice."""

from dataclasses import replace
from unittest.mock import patch

from poller import diff, envelope, route
from poller import poll as polling
from poller.deliver import Drain
from poller.model import Delivered, Later, Stream
from poller.stores import Settlement, Verdict, outbox, transaction, upkeep
from poller.stores.sqlite import SqliteStore


def settles_first():
    """A delivery is settled before it is sent."""
    call = Drain._call

    def settle_first(queue, batch):
        gone = [Settlement(delivery.sequence, "delivered", 1, 0, 0) for delivery in batch]
        queue.store.settle(queue.name, lambda before: Verdict(gone, before, before), queue.now_ms())
        return call(queue, batch)

    return patch.object(Drain, "_call", settle_first)


def marks_first():
    """What was seen is remembered in one transaction, and told in the next."""
    commit = SqliteStore.commit

    def two(store, stream, step, now_ms):
        commit(store, stream, step._replace(outgoing=()), now_ms)
        with store._writing():
            store._announce(stream, step.outgoing, now_ms)
        return len(step.outgoing)

    return patch.object(SqliteStore, "commit", two)


def tells_later():
    """That a sink fails is kept in one transaction, and told in the next."""
    settle = SqliteStore.settle

    def two(store, sink, judge, now_ms):
        found = []

        def silently(before):
            found.append(judge(before))
            return found[-1]._replace(notices=())

        settle(store, sink, silently, now_ms)
        with store._writing():
            store._announce(Stream("", "sinks"), found[-1].notices, now_ms)
        return found[-1]

    return patch.object(SqliteStore, "settle", two)


def watermark_first():
    """The watermark moves with the first page that is read, not with the last one."""
    take = polling._take

    def early(run, page, parent):
        marks = dict(run.progress.watermarks)
        run.commit(replace(run.progress, watermarks=marks | {parent: run.tools.now_ms()}))
        take(run, page, parent)

    return patch.object(polling, "_take", early)


def other_bytes():
    """A retry is not the same to the byte."""
    due = SqliteStore.due

    def anew(store, *arguments, **keywords):
        found = due(store, *arguments, **keywords)
        return [one._replace(body=one.body + b" ") if one.attempts or one.troubles else one for one in found]

    return patch.object(SqliteStore, "due", anew)


def no_lanes():
    """Nothing waits for what is before it."""
    return patch.object(route, "lane", lambda _order, _stream, _record_id, sequence: sequence)


def believes_every_answer():
    """An answer that got lost on its way is taken for a yes."""
    call = Drain._call

    def believe(queue, batch):
        return [Delivered() if isinstance(said, Later) else said for said in call(queue, batch)]

    return patch.object(Drain, "_call", believe)


def forgets_answers():
    """Where answers cannot be kept, they are forgotten."""
    settle = Drain._settle

    def once(queue):
        flying = dict(queue._flying)
        try:
            settle(queue)
        except Exception:
            for future in [future for future in flying if future.done()]:
                queue._flying.pop(future, None)
            raise

    return patch.object(Drain, "_settle", once)


def prunes_too_much():
    """What is pending for an hour is forgotten, and nobody is told."""
    prune = upkeep.prune

    def more(connection, *, delivered_before_ms, parked_before_ms):
        sql = "DELETE FROM delivery WHERE state = 'pending' AND due_ms < ?"
        gone = connection.execute(sql, [delivered_before_ms + (14 * 24 - 1) * 3_600_000]).rowcount
        return gone + prune(connection, delivered_before_ms=delivered_before_ms, parked_before_ms=parked_before_ms)

    return patch.object(upkeep, "prune", more)


def replay_jumps_the_queue():
    """What is sent again has the turn that it had at first."""

    def again(connection, deliveries, now_ms):
        connection.executemany(
            """UPDATE delivery SET state = 'pending', attempts = 0, troubles = 0, turn = sequence - 1, due_ms = ?,
                 settled_ms = NULL WHERE sequence = ? AND sink = ? AND route = ? AND state <> 'pending'""",
            [(now_ms, *one[:3]) for one in deliveries],
        )

    return patch.object(outbox, "again", again)


def half_a_rollback():
    """A transaction that fails half way is kept as far as it got."""

    def keep(connection):
        if connection.in_transaction:
            connection.execute("COMMIT")

    return patch.object(transaction, "roll_back", keep)


def a_touch_is_a_change():
    """A save without a change is told."""
    return patch.object(diff, "STAMP", "no field")


def sequence_of_the_clock():
    """The sequence is the time, whichever way that goes."""
    return patch.object(outbox, "last_sequence", lambda _connection: 0)


def ids_of_the_clock():
    """The same change has another id when it is told another time."""
    seal = envelope.seal

    def later(source, stream, name, change, *, ordinal, sequence, now_ms):
        change = change._replace(version_ms=now_ms)
        return seal(source, stream, name, change, ordinal=ordinal, sequence=sequence, now_ms=now_ms)

    return patch.object(envelope, "seal", later)


DYING = {build.__name__: build for build in (settles_first, marks_first, watermark_first, other_bytes, no_lanes)}
"""Builds that deaths show."""

ODD = {
    build.__name__: build
    for build in (
        other_bytes,
        no_lanes,
        believes_every_answer,
        forgets_answers,
        prunes_too_much,
        replay_jumps_the_queue,
        a_touch_is_a_change,
        sequence_of_the_clock,
        ids_of_the_clock,
    )
}
"""Builds that odd histories show."""

STUMBLING = {build.__name__: build for build in (half_a_rollback,)}
"""Builds that failures of the machine show."""
