"""What a store would remember of records, for tests of the comparison."""

from poller.diff import Rules, absent, compare, differing, digest, newest, vanished
from poller.model import Record, State, parse_time

T0, T1, T2 = "2026-02-11T14:02:07.000Z", "2026-02-11T14:02:08.000Z", "2026-02-11T14:02:09.000Z"


def record(text, *, stamp=T0, record_id="a", deleted=False):
    """A record whose body is ``text``, a JSON object."""
    body = text if isinstance(text, bytes) else text.encode()
    return Record(record_id, parse_time(stamp), deleted, body, digest(body))


PLAIN = Rules()


class Memory:
    """What a store would remember: marks and last bodies, as findings say."""

    def __init__(self, *records, rules=PLAIN):
        self.marks, self.bodies, self.changes = {}, {}, []
        self.look(records, rules)

    def look(self, records, rules=PLAIN):
        """Compare, and remember; the changes."""
        fresh = differing(newest(records).values(), self.marks)
        findings, self.quarantined = compare(fresh, self.marks, self.bodies, rules, "")
        return self.keep(findings)

    def keep(self, findings):
        changes = []
        for finding in findings:
            before = self.marks.get(finding.mark.id)
            assert finding.was == (before.state if before else None)
            self.marks[finding.mark.id] = finding.mark
            if finding.body:
                self.bodies[finding.mark.id] = finding.body
            elif finding.body is not None:
                self.bodies.pop(finding.mark.id, None)
            changes += [finding.change] if finding.change else []
        self.changes += changes
        return changes

    def lose(self, ids, rules=PLAIN):
        """These are missing from a complete listing, and confirmed to be gone."""
        self.keep(absent(self.marks.values(), self.marks.keys() - set(ids), ""))
        missing = [mark for mark in self.marks.values() if mark.state == State.MISSING]
        return self.keep([vanished(mark, self.bodies[mark.id], rules) for mark in missing])
