"""Which calls an organisation's policy is about, and what it may say."""

from __future__ import annotations

import pytest

from fairlead.accounts.content import ContentPolicy, rule_for, written_policy
from fairlead.content.checking import check_policy
from fairlead.errors import InvalidRequest


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (ContentPolicy(), ""),
        (ContentPolicy(enabled=True), "abc"),
        (ContentPolicy(enabled=True, share=0), ""),
        (ContentPolicy(enabled=True, never=("key_a",)), "bc"),
        (ContentPolicy(enabled=True, keys=("key_a",)), "a"),
        (ContentPolicy(enabled=True, projects=("prj_1",)), "b"),
        (ContentPolicy(enabled=True, keys=("key_a",), projects=("prj_1",)), "ab"),
        (ContentPolicy(enabled=True, projects=("prj_1",), never=("key_b",)), ""),
    ],
)
def test_a_policy_is_about_all_keys_or_some(policy: ContentPolicy, kept: str) -> None:
    text = written_policy(policy)
    projects = {"b": "prj_1", "c": "prj_2"}
    assert "".join(one for one in "abc" if rule_for(text, f"key_{one}", projects.get(one))) == kept
    assert rule_for(None, "key_a", None) is None


def test_all_keys_share_one_rule() -> None:
    text = written_policy(ContentPolicy(enabled=True, share=10))
    found = rule_for(text, "key_a", None)
    assert found is rule_for(text, "key_b", None)
    assert found is not None
    assert found.share == 0.1


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("share", 101.0), ("share", -1.0), ("share", float("nan")), ("days", 0), ("days", 8),
        ("detectors", ("names",)), ("patterns", ("a",) * 21), ("keys", ("k",) * 1_001),
    ],
)  # fmt: skip
def test_what_a_policy_may_not_say(member: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_policy(ContentPolicy(**{"days": 7, member: value}), 7)  # type: ignore[arg-type]
    assert refused.value.param == member
