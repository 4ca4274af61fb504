"""Which event a change makes, what it carries, and which changes make none."""

import json

from mirror import MINUTE_MS, plan
from polled import CLIENTS, baselined, kinds


def test_fault_43_a_save_that_changed_nothing_is_no_event(rig, account, org):
    """Only updatedAt moved, or a change was undone before anyone looked."""
    one = account.create(org, CLIENTS, {"name": "Orbit"})
    baselined(rig, org)
    account.touch(org, CLIENTS, one)
    assert rig.poll(org, CLIENTS) == []
    account.update(org, CLIENTS, one, {"name": "Lunar"})
    account.update(org, CLIENTS, one, {"name": "Orbit"})
    assert rig.poll(org, CLIENTS) == []
    assert rig.poll(org, CLIENTS, full=True) == []


def test_volatile_fields_make_no_event(rig_of, account, org):
    """Ignored paths never count, not even beside others, and are not among the changed ones."""
    rig = rig_of(plan("documents", ignore=["custom.seen"]))
    one = account.create(org, "documents", {"pdf": "a", "custom": {"seen": 1, "tag": "x"}})
    baselined(rig, org, "documents")
    account.update(org, "documents", one, {"pdf": "b", "custom": {"seen": 2, "tag": "x"}})
    assert rig.poll(org, "documents") == []
    account.update(org, "documents", one, {"pdf": "c", "custom": {"seen": 3, "tag": "y"}})
    (event,) = rig.poll(org, "documents")
    assert event.changed == ["custom.tag"]
    assert event.previous == {"custom.tag": "x"}
    assert event.object["custom"] == {"seen": 3, "tag": "y"}


def test_rendered_texts_count_only_when_the_record_was_saved(rig_of, account, org):
    """A note whose smart codes come out otherwise is no update; a note that someone wrote is."""
    rig = rig_of(plan("documents"))
    one = account.create(org, "documents", {"note": "Due [days]"})
    baselined(rig, org, "documents")
    rendered = account.get("documents", one) | {"note": "Due in 3 days"}
    account.put_raw(org, "documents", one, json.dumps(rendered).encode())
    assert rig.poll(org, "documents", full=True) == []
    account.update(org, "documents", one, {"note": "Paid"})
    (event,) = rig.poll(org, "documents")
    assert event.changed == ["note"]


def test_fault_44_a_record_s_whole_life(rig, account, org):
    """Created, updated with what it was, deleted with its tombstone, and created again when restored."""
    baselined(rig, org)
    one = account.create(org, CLIENTS, {"name": "Orbit", "custom": {"tier": "a"}})
    (created,) = rig.poll(org, CLIENTS)
    assert (created.kind, created.record_id, created.changed, created.previous) == ("created", one, None, None)
    assert created.object == account.get(CLIENTS, one)
    rig.now_ms.advance(MINUTE_MS)
    account.update(org, CLIENTS, one, {"name": "Lunar", "custom": {"tier": "b", "new": True}})
    (updated,) = rig.poll(org, CLIENTS)
    assert set(updated.changed) == {"name", "custom.tier", "custom.new"}
    assert updated.previous == {"name": "Orbit", "custom.tier": "a"}
    assert updated.object == account.get(CLIENTS, one)
    rig.now_ms.advance(MINUTE_MS)
    account.soft_delete(org, CLIENTS, one)
    (deleted,) = rig.poll(org, CLIENTS)
    assert deleted.kind == "deleted"
    assert deleted.object == account.get(CLIENTS, one)
    assert deleted.object["_isDeleted"] is True
    rig.now_ms.advance(MINUTE_MS)
    account.restore(org, CLIENTS, one)
    (restored,) = rig.poll(org, CLIENTS)
    assert restored.kind == "created"
    assert restored.object == account.get(CLIENTS, one)
    assert rig.poll(org, CLIENTS, full=True) == []


def test_born_and_deleted_between_polls_is_no_event(rig, account, org):
    """Never known, never told, however often it is listed."""
    baselined(rig, org)
    account.soft_delete(org, CLIENTS, account.create(org, CLIENTS))
    account.hard_delete(org, CLIENTS, account.create(org, CLIENTS))
    assert rig.poll(org, CLIENTS) == []
    assert rig.poll(org, CLIENTS, full=True) == []


def test_a_deletion_is_told_once(rig, account, org):
    """A tombstone in the overlap and in every sweep says nothing new, nor does its removal for good."""
    one = account.create(org, CLIENTS)
    baselined(rig, org)
    account.soft_delete(org, CLIENTS, one)
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", one)]
    assert rig.poll(org, CLIENTS) == []
    assert rig.poll(org, CLIENTS, full=True) == []
    account.hard_delete(org, CLIENTS, one)
    assert rig.poll(org, CLIENTS, full=True) == []
