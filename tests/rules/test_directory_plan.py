"""What a directory means for the accounts here, by example and by property."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mallee.identity.directory.plan import Changes, Person, Present, Snapshot, plan


def people(*names: str) -> dict[str, Person]:
    return {name: Person(name, f"uid={name},dc=example") for name in names}


def snapshot(**accounts: dict[str, set[str]]) -> Snapshot:
    names = {name for groups in accounts.values() for each in groups.values() for name in each}
    frozen = {account: {group: frozenset(who) for group, who in groups.items()} for account, groups in accounts.items()}
    return Snapshot(frozen, people(*names))


def only(snap: Snapshot, present: dict[str, Present], clean: bool = False) -> Changes:
    made = plan(snap, present, ("mallee",), clean)
    assert len(made.changes) == 1 and not made.skipped
    return made.changes[0]


def test_a_new_account() -> None:
    found = only(snapshot(acme={"sales": {"alice", "bob"}}), {})
    assert found.create_account and found.create_groups == ("sales",)
    assert [person.name for person in found.create_users] == ["alice", "bob"]
    assert found.join == (("sales", "alice"), ("sales", "bob"))
    assert found.count == 6


def test_an_account_that_is_here_is_merged_into() -> None:
    here = Present({"alice": True, "carol": False}, {"sales": True}, frozenset({("sales", "alice")}))
    found = only(snapshot(acme={"sales": {"alice", "bob"}}), {"acme": here})
    assert not found.create_account and [person.name for person in found.create_users] == ["bob"]
    assert [person.name for person in found.update_users] == ["alice"] and found.join == (("sales", "bob"),)


def test_what_is_gone_stays_unless_it_is_to_be_cleaned() -> None:
    here = Present(
        {"alice": True, "gone": True, "local": False}, {"sales": True, "old": True, "mine": False},
        frozenset({("sales", "alice"), ("sales", "gone"), ("old", "alice")}),
    )  # fmt: skip
    kept = only(snapshot(acme={"sales": {"alice"}}), {"acme": here})
    assert kept.remove_users == kept.remove_groups == ()
    assert kept.leave == (("old", "alice"), ("sales", "gone"))  # who left a group has no more of its rights, cleaned or not
    cleaned = only(snapshot(acme={"sales": {"alice"}}), {"acme": here}, clean=True)
    assert cleaned.remove_users == ("gone",) and cleaned.remove_groups == ("old",) and cleaned.leave == ()
    whole = only(snapshot(), {"acme": here}, clean=True)
    assert whole.remove_users == ("alice", "gone") and whole.remove_groups == ("old", "sales")


def test_what_was_made_here_is_never_taken_over() -> None:
    here = Present({"alice": False}, {"sales": False}, frozenset())
    made = plan(snapshot(acme={"Sales": {"Alice", "bob"}, "other": {"ALICE"}}), {"acme": here}, (), clean=True)
    (found,) = made.changes
    assert [person.name for person in found.create_users] == ["bob"] and found.create_groups == ("other",)
    assert found.join == () and found.update_users == () and found.remove_users == () and len(made.skipped) == 3


def test_who_is_never_imported() -> None:
    made = plan(snapshot(mallee={"g": {"u"}}, **{"Bad Alias": {"g": {"u"}}}), {}, ("mallee",), clean=False)
    assert made.changes == [] and len(made.skipped) == 2
    made = plan(snapshot(acme={"g": {"Admin", "a/b", "ok", "OK", "x" * 65}}), {}, (), clean=False)
    assert [person.name for person in made.changes[0].create_users] in (["ok"], ["OK"]) and len(made.skipped) == 4


NAMES = st.sampled_from(["a", "A", "b", "c", "admin", "sp ace", "d"])
GROUPS = st.dictionaries(NAMES, st.frozensets(NAMES, max_size=4), max_size=4)


@given(st.dictionaries(st.sampled_from(["acme", "beta", "mallee"]), GROUPS, max_size=3), st.data())
def test_nothing_is_left_to_do_after_it_is_done(accounts: dict[str, dict[str, frozenset[str]]], data: st.DataObject) -> None:
    snap = Snapshot(accounts, people(*(name for groups in accounts.values() for who in groups.values() for name in who)))
    flags = st.dictionaries(st.sampled_from(["a", "b", "c", "e"]), st.booleans(), max_size=4)
    present = {
        account: Present(data.draw(flags), data.draw(flags), frozenset()) for account in data.draw(st.sets(st.sampled_from(["acme", "x-y"])))
    }  # fmt: skip
    clean = data.draw(st.booleans())
    first = plan(snap, present, ("mallee",), clean)
    for changes in first.changes:
        old = present.get(changes.account, Present({}, {}, frozenset()))
        assert not {person.name.lower() for person in changes.create_users} & set(old.users)
        assert all(old.users[name] for name in changes.remove_users) and all(old.groups[name] for name in changes.remove_groups)
        present[changes.account] = done(old, changes)
    again = plan(snap, present, ("mallee",), clean)
    assert sum(changes.count for changes in again.changes) == 0 and again.skipped == first.skipped


def done(old: Present, changes: Changes) -> Present:
    users = {name: ours for name, ours in old.users.items() if name not in changes.remove_users}
    groups = {name: ours for name, ours in old.groups.items() if name not in changes.remove_groups}
    users |= {person.name.lower(): True for person in changes.create_users}
    groups |= {name.lower(): True for name in changes.create_groups}
    members = (old.members | set(changes.join)) - set(changes.leave)
    return Present(users, groups, frozenset(pair for pair in members if pair[0] in groups and pair[1] in users))
