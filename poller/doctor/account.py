"""What is asked of the account as a whole: its token and its clock, its sub-accounts, and what lists bring along."""

from collections.abc import Sequence
from functools import partial
from urllib.parse import quote

from poller.doctor import Finding, Verdict, answers
from poller.doctor.api import Api, Unanswered
from poller.doctor.probes import MOST_ORGS


def token(api: Api) -> tuple[str, list[Finding]]:
    """Look at the token and at the clocks; the account's id, empty where the token is no good."""
    expected = "the account that the token is of"
    try:
        answer = api.get("Accounts/authorized")
    except Unanswered as error:
        return "", [Finding("token", Verdict.FAIL, expected, str(error), "mend the network, or source.base_url")]
    known = str(answer.json.get("id", "")) if answer.status == 200 and isinstance(answer.json, dict) else ""
    if not known:
        seen = f"the API answered {answer.status}"
        return "", [Finding("token", Verdict.FAIL, expected, seen, "put a token that never expires into source.token")]
    told = answers.skew(answer.date_ms, answer.before_ms, answer.after_ms)
    return known, [
        Finding("token", Verdict.OK, expected, f"account {known}", ""),
        Finding(
            "clock", told.verdict, "the API's Date is within 5 s of this clock", told.seen, _SKEW.get(told.verdict, "")
        ),
    ]


_SKEW = {
    Verdict.WARN: "increments begin where the newest record says; keep source.overlap at 5m or more",
    Verdict.NOTE: "nothing is lost; set this machine's clock, since events tell its time",
    Verdict.FAIL: "receivers refuse signatures of that age: set this machine's clock (timedatectl set-ntp true)",
}


def organizations(api: Api, account_id: str, own: Sequence[str]) -> Finding:
    """Look whether the organizations of sub-accounts are among those that are followed."""
    found = partial(Finding, "sub-accounts", expected="their organizations are in the account's own list")
    try:
        answer = api.get("accounts")
        if answer.status != 200 or not isinstance(answer.json, list):
            return found(verdict=Verdict.NOTE, seen=f"their list was answered by {answer.status}", follows="")
        children = [str(row.get("id")) for row in answer.rows() if row.get("id") != account_id][:MOST_ORGS]
        query = {"order": ["id ASC"], "limit": answers.LIMIT_RECORDS, "fields": {"id": True}}
        theirs = {
            child: [str(row.get("id")) for row in api.get(f"Accounts/{child}/organizations", filter=query).rows()]
            for child in children
        }
    except Unanswered as error:
        return found(verdict=Verdict.NOTE, seen=str(error), follows="")
    told = answers.reached(own, theirs)
    hint = "name those that are to be followed in source.organizations" if told.verdict == Verdict.WARN else ""
    return found(verdict=told.verdict, seen=told.seen, follows=hint)


def included(api: Api, orgs: Sequence[str]) -> Finding:
    """Look whether price lists bring their prices along, tombstones too."""
    found = partial(Finding, "include", expected="undocumented; price lists with their prices in one answer")
    query = {"order": ["id ASC"], "limit": 10, "deleted": True}
    scope = {"include": {"relation": "prices", "scope": {"deleted": True}}}
    try:
        for org in orgs[:MOST_ORGS]:
            path = f"Organizations/{quote(org, safe='')}/priceLists"
            lists = [row for row in api.get(path, filter=query).rows() if row.get("_isDeleted") is not True]
            if lists:
                one = str(lists[0].get("id"))
                prices = api.get(f"PriceLists/{quote(one, safe='')}/prices", filter=query).rows()
                rows = api.get(path, filter=query | scope | {"where": {"id": one}}).rows()
                told = answers.included(rows, [str(row.get("id")) for row in prices])
                hint = "nothing: poller lists prices by price list" if told.verdict == Verdict.NOTE else ""
                return found(verdict=told.verdict, seen=told.seen, follows=hint)
    except Unanswered as error:
        return found(verdict=Verdict.NOTE, seen=str(error), follows="")
    return found(verdict=Verdict.NOTE, seen="no price list to tell by", follows="")
