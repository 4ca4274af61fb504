"""When a page is asked for on condition, and when no more."""

import pytest

from poller.model import Tagged
from poller.sources.conditions import MISSES, Conditions

PAGE = Tagged("", True, "", "b", 2, 'W/"1"')  # noqa: FBT003 - as it is stored


def test_a_server_that_never_says_that_nothing_changed_is_not_asked_whether_it_did():
    """Nor are its tags kept any more."""
    conditions = Conditions()
    for _ in range(MISSES):
        assert (conditions.offer(PAGE), conditions.tag({"etag": PAGE.tag})) == (PAGE, PAGE.tag)
        conditions.learn(same=False)
    assert (conditions.offer(PAGE), conditions.tag({"etag": PAGE.tag})) == (None, "")


def test_a_server_that_says_so_now_and_then_is_asked_on():
    """Pages do change."""
    conditions = Conditions()
    for number in range(3 * MISSES):
        conditions.learn(same=number % MISSES == 0)
    assert conditions.offer(PAGE) == PAGE


@pytest.mark.parametrize("tag", ["x" * 1000, "ž", "a\r\nb", "a\x00"])
def test_a_tag_that_no_request_can_carry_is_none(tag):
    """It would be an error at every sweep."""
    assert Conditions().tag({"etag": tag}) == ""


def test_an_answer_without_a_tag_has_none():
    """And nothing is ever offered of it."""
    conditions = Conditions()
    assert (conditions.tag({}), conditions.offer(None)) == ("", None)
