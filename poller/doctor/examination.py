"""All that the doctor looks at, in the order in which it is worth reading, and how that is told."""

from collections.abc import Iterator, Sequence
from contextlib import closing

import msgspec

from poller.assembly import source
from poller.config import Config
from poller.doctor import Finding, Verdict, account, local, probes, writing
from poller.doctor.api import Api
from poller.settings import SettingError
from poller.sources import SourceError


def examine(config: Config, *, offline: bool = False, document: str = "") -> Iterator[Finding]:
    """Look at the machine, then, unless ``offline``, ask the API.

    With ``document`` a payment is booked on it and deleted again; else nothing is written anywhere.
    """
    yield from local.looked(config)
    if offline:
        return
    try:
        api = Api(config)
    except SettingError:
        return  # told of already, among the secrets
    with api:
        account_id, found = account.token(api)
        yield from found
        if account_id:
            yield from _asked(api, config, account_id)
            if document:
                yield writing.payment(api, document)


def _asked(api: Api, config: Config, account_id: str) -> Iterator[Finding]:
    expected = "those that are to be followed"
    try:
        with closing(source(config)) as reached:
            orgs = [organization.id for organization in reached.organizations()]
    except SourceError as error:
        yield Finding("organizations", Verdict.FAIL, expected, str(error), "poller check tells more")
        return
    verdict = Verdict.OK if orgs else Verdict.FAIL
    yield Finding("organizations", verdict, expected, f"{len(orgs)} to be seen", "" if orgs else "use another token")
    yield account.organizations(api, account_id, orgs)
    known = []
    for found in probes.listings(api, config.plan(), orgs):
        if isinstance(found, Finding):
            yield found
        else:
            known.append(found)
    yield from probes.asked(api, known)
    yield account.included(api, orgs)


def plain(found: Sequence[Finding]) -> bytes:
    """The findings as a list in JSON."""
    return msgspec.json.encode([finding._asdict() for finding in found])


def lines(finding: Finding) -> list[str]:
    """A finding for people, without its verdict: what was seen, and, where it is not well, what was expected."""
    told = [f"{finding.name:<16} {finding.seen}"]
    if finding.verdict in (Verdict.WARN, Verdict.FAIL):
        told.append(f"{'':<16} expected: {finding.expected}")
    if finding.follows:
        told.append(f"{'':<16} {finding.follows}")
    return told
