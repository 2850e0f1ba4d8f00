"""What an operation's declaration makes of a call: which questions are asked, of whom, and what is looked at for them."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mallee.identity import denials, grants, records
from mallee.identity.access import Access, Check, On, ResourceType, check_on
from mallee.identity.authorize import allowed, authorize, check
from mallee.identity.call import ANONYMOUS, Call, Principal, Session
from mallee.identity.records import control, policies, roles, users
from mallee.identity.tools import Tools
from mallee.store import Tx
from mallee.wire import AwsError
from tests.identity.conftest import Identity

ACCOUNT, OTHER = "123456789012", "210987654321"
ROOT = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "root")
LOADED: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_loaded() -> None:
    LOADED.clear()


def _load(call: Call, id: str) -> dict[str, str] | None:
    LOADED.append(id)
    return {"id": id, "size": "7"} if id.startswith("w-") else None


ARN = "arn:{partition}:ec2:{region}:{account}:widget/{id}"
WIDGET = ResourceType("widget", ARN, _load, {"ec2:Size": lambda call, thing: thing["size"]}, lambda call, thing: {"team": "red"})
NAMED = ResourceType("widget", lambda call, name, thing: call.arn(f"widget/{thing['id'] if thing else name}"), _load)
NEW = ResourceType("widget", ARN)


def arn(id: str) -> str:
    return f"arn:aws:ec2:local-1:{ACCOUNT}:widget/{id}"


class World(Identity):
    """A user whose policies a test writes."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.numbers = iter(range(1, 1_000_000))

    def user(self, *statements: dict[str, Any], account_id: str = ACCOUNT) -> Principal:
        with self.database.transaction() as tx:
            made = records.add_user(tx, account_id, f"user{next(self.numbers)}")
            self.write(tx, made.id, *statements)
        return Principal(account_id, made.arn("aws"), made.id, "user", made.name, "AKIA1", made.id, made.arn("aws"))

    def write(self, tx: Tx, holder_id: str, *statements: dict[str, Any]) -> None:
        tx.put(policies.inline_policies, account_id=ACCOUNT, holder_id=holder_id, name="own", document=policy(*statements))
        grants.forget_after(tx, holder_id)

    @contextmanager
    def call(self, principal: Principal, input: dict[str, Any] | None = None, **more: Any) -> Iterator[Call]:
        asked: dict[str, Any] = {"service": "ec2", "operation": "BendWidgets", "protocol": "ec2", **more}
        with self.database.reading(principal.account_id) as tx:
            yield Call(
                **asked, input=input or {}, principal=principal, tx=tx, request_id="r", settings=self.settings,
                tools=Tools(self.vault),
            )  # fmt: skip

    def refusal(self, principal: Principal, access: Access, input: dict[str, Any] | None = None, **more: Any) -> str:
        with self.call(principal, input, **more) as call, pytest.raises(AwsError) as caught:
            authorize(call, access)
        return caught.value.message

    def passes(self, principal: Principal, access: Access, input: dict[str, Any] | None = None, **more: Any) -> None:
        with self.call(principal, input, **more) as call:
            authorize(call, access)


def policy(*statements: dict[str, Any]) -> str:
    usual = {"Effect": "Allow", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [usual | each for each in statements] or [_NOTHING]})


_NOTHING = {"Effect": "Allow", "Action": "none:None", "Resource": "*"}
BEND = {"Action": "ec2:BendWidgets"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("authorize") / "home")
    yield made
    made.database.close()


# ---------------------------------------------------------------------------------------------------- which questions


def test_every_resource_of_the_request_must_be_allowed(world: World) -> None:
    bob = world.user(BEND | {"Resource": [arn("w-1"), arn("w-2")]})
    access = Access(On(WIDGET, "WidgetIds"), On(WIDGET, "Options.Targets[].Id"))
    world.passes(bob, access, {"WidgetIds": ["w-1", "w-2"]})
    world.passes(bob, access, {"WidgetIds": ["w-1"], "Options": {"Targets": [{"Id": "w-2"}, {}]}})
    assert f"on resource: {arn('w-3')} because" in world.refusal(bob, access, {"WidgetIds": ["w-1", "w-3"]})
    assert f"on resource: {arn('w-4')} because" in world.refusal(
        bob, access, {"WidgetIds": ["w-1"], "Options": {"Targets": [{"Id": "w-4"}]}}
    )


def test_without_a_resource_in_the_request_the_action_is_asked_about_all_the_same(world: World) -> None:
    bob = world.user(BEND | {"Resource": arn("*")})
    access = Access(On(WIDGET, "WidgetIds"))
    assert "on resource" not in world.refusal(bob, access)
    assert "on resource" not in world.refusal(bob, access, {"WidgetIds": []})
    world.passes(world.user(BEND), access)


def test_a_default_names_what_the_request_does_not(world: World) -> None:
    access = Access(On(WIDGET, "WidgetId", default=lambda call: ["w-9"]))
    bob = world.user(BEND | {"Resource": arn("w-9")})
    world.passes(bob, access)
    assert "w-8" in world.refusal(bob, access, {"WidgetId": "w-8"})


def test_what_is_yet_to_be_made_has_a_star_for_its_id(world: World) -> None:
    assert arn("*") in world.refusal(world.user(BEND | {"Resource": arn("w-1")}), Access(On(NEW)))
    world.passes(world.user(BEND | {"Resource": arn("*")}), Access(On(NEW)))


def test_other_actions_count_too_and_do_not_replace_the_own(world: World) -> None:
    def found(call: Call) -> Iterator[Check]:
        yield Check("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/worker")

    for also in (None, ("iam:PassRole",)):
        access = Access(find=found, also=also)
        assert "perform: iam:PassRole on resource" in world.refusal(world.user(BEND), access)
        assert "perform: ec2:BendWidgets because" in world.refusal(world.user({"Action": "iam:PassRole"}), access)
        world.passes(world.user(BEND, {"Action": "iam:*"}), access)


def test_what_is_found_must_be_declared_where_something_is_declared(world: World) -> None:
    access = Access(find=lambda call: [Check("iam:PassRole", "*")], also=("ec2:CreateTags",))
    with world.call(world.user(BEND)) as call, pytest.raises(LookupError):
        authorize(call, access)


def test_an_open_operation_asks_nobody(world: World) -> None:
    world.passes(world.user(), Access(open=True))
    world.passes(ANONYMOUS, Access(open=True))
    assert "User: anonymous is not authorized" in world.refusal(ANONYMOUS, Access())


def test_an_operation_may_have_another_s_action(world: World) -> None:
    world.passes(world.user({"Action": "ec2:TwistWidgets"}), Access(action="ec2:TwistWidgets"))
    assert "perform: ec2:TwistWidgets" in world.refusal(world.user(BEND), Access(action="ec2:TwistWidgets"))


# ------------------------------------------------------------------------------------------------------ what is looked at


def test_nothing_is_loaded_unless_a_statement_asks(world: World) -> None:
    access = Access(On(WIDGET, "WidgetIds"))
    ids = {"WidgetIds": ["w-1", "w-2"]}
    size = {"Condition": {"NumericLessThan": {"ec2:Size": "9"}}}
    for statements in (
        [BEND],
        [BEND | {"Resource": arn("w-*")}],
        [BEND | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}],
        [BEND, {"Action": "ec2:Other", "Effect": "Deny"} | size],
    ):
        world.passes(world.user(*statements), access, ids)
        assert LOADED == [], statements
    world.refusal(world.user(), access, ids | {"DryRun": True}, operation="DescribeWidgets")
    assert LOADED == []
    world.passes(world.user(BEND | size), access, ids)
    assert LOADED == ["w-1", "w-2"]


def test_each_thing_is_loaded_once(world: World) -> None:
    tagged = {"Condition": {"StringEquals": {"aws:ResourceTag/team": "red", "ec2:ResourceTag/Team": "red", "ec2:Size": "7"}}}
    world.passes(world.user(BEND | tagged), Access(On(WIDGET, "WidgetIds")), {"WidgetIds": ["w-1"]})
    assert LOADED == ["w-1"]


def test_who_may_do_everything_is_not_looked_for(world: World) -> None:
    def found(call: Call) -> Iterator[Check]:
        LOADED.append("found")
        yield Check("iam:PassRole", "*")

    access = Access(find=found, also=("iam:PassRole",))
    world.passes(world.user({"Action": "*"}), access)
    world.passes(ROOT, Access(find=found))
    assert LOADED == []
    world.passes(world.user(BEND, {"Action": "iam:PassRole", "Resource": "*"}), Access(find=found))
    assert LOADED == ["found"]


def test_what_is_not_there_has_neither_keys_nor_tags(world: World) -> None:
    access = Access(On(WIDGET, "WidgetIds"))
    absent = {"Condition": {"Null": {"ec2:Size": "true", "aws:ResourceTag/team": "true"}}}
    bob = world.user(BEND | absent)
    world.passes(bob, access, {"WidgetIds": ["x-1"]})
    assert "w-1" in world.refusal(bob, access, {"WidgetIds": ["w-1"]})


def test_a_refusal_names_the_resource_as_the_request_did(world: World) -> None:
    """The policy was asked about the thing's own ARN."""
    access = Access(On(NAMED, "Name"))
    named = world.user(BEND | {"Resource": arn("w-1")})
    world.passes(named, access, {"Name": "w-1"})
    for name in ("w-2", "x-2"):
        assert f"on resource: {arn(name)} because" in world.refusal(named, access, {"Name": name})


def test_declared_keys_are_keys_of_every_question(world: World) -> None:
    access = Access(On(WIDGET, "WidgetIds"), keys={"ec2:Force": lambda call: call.input.get("Force")})
    bob = world.user(BEND | {"Condition": {"Bool": {"ec2:Force": "true"}}})
    world.passes(bob, access, {"WidgetIds": ["w-1"], "Force": True})
    for force in ({"Force": False}, {}):
        world.refusal(bob, access, {"WidgetIds": ["w-1"], **force})


def test_variables_take_the_caller_s_name(world: World) -> None:
    bob = world.user(BEND | {"Resource": arn("${aws:username}-*")})
    access = Access(On(WIDGET, "WidgetId"))
    world.passes(bob, access, {"WidgetId": f"{bob.user_name}-1"})
    world.refusal(bob, access, {"WidgetId": "somebody-1"})


# ------------------------------------------------------------------------------------------------------- tags of what is made


def test_tags_for_what_is_made_need_ec2_s_createtags(world: World) -> None:
    access = Access(On(NEW))
    tagged = {"TagSpecifications": [{"ResourceType": "widget", "Tags": [{"Key": "team", "Value": "red"}]}]}
    assert "perform: ec2:CreateTags on resource: " + arn("*") in world.refusal(world.user(BEND), access, tagged)
    world.passes(world.user(BEND), access, {"TagSpecifications": [{"ResourceType": "widget", "Tags": []}]})
    on_create = {"Action": "ec2:CreateTags", "Condition": {"StringEquals": {"ec2:CreateAction": "BendWidgets"}}}
    world.passes(world.user(BEND, on_create), access, tagged)
    other = {"Action": "ec2:CreateTags", "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}}}
    world.refusal(world.user(BEND, other), access, tagged)


@pytest.mark.parametrize("action", ["ec2:BendWidgets", "ec2:CreateTags"])
def test_tags_of_the_request_are_keys_where_they_will_be(world: World, action: str) -> None:
    """Of the widget that is made, not of that which is used."""
    access = Access(On(NEW), On(WIDGET, "SourceId"))
    condition = {"StringEquals": {"aws:RequestTag/team": "red"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost"]}}
    rest = {"Action": ["ec2:BendWidgets", "ec2:CreateTags"], "Resource": arn("w-*")}
    others = {"Action": [each for each in ("ec2:BendWidgets", "ec2:CreateTags") if each != action]}
    bob = world.user({"Action": action, "Resource": arn("*"), "Condition": condition}, rest, others)

    def bend(*tags: tuple[str, str], type: str = "widget") -> dict[str, Any]:
        given = [{"Key": key, "Value": value} for key, value in tags]
        return {"TagSpecifications": [{"ResourceType": type, "Tags": given}], "SourceId": "w-1"}

    world.passes(bob, access, bend(("team", "red")))
    world.passes(bob, access, bend(("team", "red"), ("cost", "1")))
    for refused in (bend(("team", "blue")), bend(("team", "red"), ("owner", "x")), bend(("team", "red"), type="gadget")):
        world.refusal(bob, access, refused)
    only = world.user({"Action": action, "Condition": condition}, others)
    if action == "ec2:BendWidgets":
        assert "w-1" in world.refusal(only, access, bend(("team", "red")))


def test_iam_s_tags_need_the_tagging_action_of_the_type(world: World) -> None:
    new = ResourceType("user", lambda call, id, thing: call.arn(f"user/{call.input['UserName']}", "iam"))
    tagged = {"UserName": "eve", "Tags": [{"Key": "team", "Value": "red"}]}
    asked = {"service": "iam", "operation": "CreateUser", "protocol": "query"}
    bob = world.user({"Action": "iam:CreateUser"})
    text = world.refusal(bob, Access(On(new)), tagged, **asked)
    assert text.startswith(
        f"User: {bob.arn} is not authorized to perform: iam:TagUser on resource: arn:aws:iam::{ACCOUNT}:user/eve"
    )
    world.passes(bob, Access(On(new)), {"UserName": "eve"}, **asked)
    red = {"Condition": {"StringEquals": {"aws:RequestTag/team": "red"}}}
    both = world.user({"Action": ["iam:CreateUser", "iam:TagUser"]} | red)
    world.passes(both, Access(On(new)), tagged, **asked)
    world.refusal(both, Access(On(new)), tagged | {"Tags": [{"Key": "team", "Value": "blue"}]}, **asked)
    taken = world.user({"Action": "iam:UntagUser", "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}})
    asked["operation"] = "UntagUser"
    world.passes(taken, Access(), {"TagKeys": ["team"]}, **asked)
    world.refusal(taken, Access(), {"TagKeys": ["team", "cost"]}, **asked)


# ------------------------------------------------------------------------------------------------------- roots, resources' owners


def test_a_root_is_asked_where_resources_have_policies(world: World) -> None:
    deny = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "ec2:*", "Resource": "*"}]}
    )
    find = lambda call: [Check("ec2:BendWidgets", arn("w-1"), policy=deny)]  # noqa: E731
    world.passes(ROOT, Access(find=find))
    assert "with an explicit deny in a resource-based policy" in world.refusal(ROOT, Access(find=find, shared=True))


def test_a_resource_s_own_policy_counts_for_whom_everything_is_allowed(world: World) -> None:
    everybody = {"Effect": "Deny", "Principal": "*", "Action": "ec2:*", "Resource": "*"}
    deny = json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
    access = Access(find=lambda call: [Check("ec2:BendWidgets", arn("w-1"), policy=deny)], also=(), shared=True)
    assert "in a resource-based policy" in world.refusal(world.user({"Action": "*"}), access)


def test_what_another_account_owns_needs_its_permission(world: World) -> None:
    allow = policy({"Principal": {"AWS": ACCOUNT}, "Action": "ec2:BendWidgets"})
    bob = world.user(BEND)
    with world.call(bob) as call:
        check(call, Check("ec2:BendWidgets", "arn:x", policy=allow, owner=OTHER))
        check(call, Check("ec2:BendWidgets", "arn:x", owner=ACCOUNT))
        assert not allowed(call, Check("ec2:BendWidgets", "arn:x", owner=OTHER)).allowed
        with pytest.raises(AwsError, match="no resource-based policy allows"):
            check(call, Check("ec2:BendWidgets", "arn:x", owner=OTHER))


def test_a_stored_policy_that_is_not_valid_any_more_denies(world: World, caplog: pytest.LogCaptureFixture) -> None:
    bob = world.user(BEND)
    with world.database.transaction() as tx:
        tx.put(policies.inline_policies, account_id=ACCOUNT, holder_id=bob.holder_id, name="broken", document="{}")
        grants.forget_after(tx, bob.holder_id)
    assert "with an explicit deny in an identity-based policy" in world.refusal(bob, Access())
    assert "broken" in caplog.text


# --------------------------------------------------------------------------------------------------------- what is remembered


def test_a_change_is_seen_at_the_commit(world: World) -> None:
    bob = world.user(BEND)
    world.passes(bob, Access())
    with world.database.transaction() as tx:
        world.write(tx, bob.holder_id, {"Action": "ec2:Other"})
    world.refusal(bob, Access())


def test_what_is_not_told_is_seen_after_seconds(world: World) -> None:
    bob = world.user(BEND)
    world.passes(bob, Access())
    with world.database.transaction() as tx:
        tx.remove_all(policies.inline_policies, policies.inline_policies.c.holder_id == bob.holder_id)
    world.passes(bob, Access())
    with world.database.reading() as tx:
        grants.memory(tx).known[bob.holder_id].until = 0.0
    world.refusal(bob, Access())


def test_an_old_look_is_not_remembered(world: World) -> None:
    """A call that began before a change was committed, and reads after it."""
    bob = world.user(BEND)
    with world.call(bob) as call:
        call.tx.first(users.users.select())  # the snapshot is taken
        _in_a_thread(lambda: _change(world, bob))
        authorize(call, Access())  # as it was when the call began
    world.refusal(bob, Access())


def test_what_a_transaction_changed_itself_is_not_remembered(world: World) -> None:
    bob = world.user()
    with pytest.raises(RuntimeError), world.database.transaction() as tx:
        world.write(tx, bob.holder_id, BEND)
        assert grants.of(tx, bob).identity[0].policy.about("ec2:bendwidgets")
        raise RuntimeError
    world.refusal(bob, Access())


def _change(world: World, principal: Principal) -> None:
    with world.database.transaction() as tx:
        world.write(tx, principal.holder_id, {"Action": "ec2:Other"})


def _in_a_thread(work: Any) -> None:
    import threading

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_what_is_remembered_is_bounded(world: World) -> None:
    """What is over goes first."""
    memory = grants.Memory(size=3)
    with world.database.reading() as tx:
        for key, until in (("old", 0.0), ("a", 1e9), ("b", 1e9), ("c", 1e9)):
            memory.keep(tx, key, grants.Entry(until, grants.NOTHING))
        assert set(memory.known) == {"a", "b", "c"}
        memory.keep(tx, "d", grants.Entry(1e9, grants.NOTHING))
    assert set(memory.known) == {"d"}


def test_whoever_is_gone_may_do_nothing(world: World) -> None:
    bob = world.user(BEND)
    with world.database.transaction() as tx:
        tx.remove(users.users, bob.holder_id)
        grants.forget_after(tx, bob.holder_id)
    world.refusal(bob, Access())


# --------------------------------------------------------------------------------------------------------- encoded messages


def encoded(text: str) -> str:
    return text.rpartition("Encoded authorization failure message: ")[2]


def test_ec2_s_message_tells_the_whole_story_to_its_own_account(world: World) -> None:
    bob = world.user(
        BEND,
        {
            "Effect": "Deny",
            "Action": "ec2:Bend*",
            "Sid": "NotRed",
            "Condition": {"StringEquals": {"aws:ResourceTag/team": "red"}},
        },
    )
    text = world.refusal(bob, Access(On(WIDGET, "WidgetIds")), {"WidgetIds": ["w-1"]})
    assert text.startswith(
        f"You are not authorized to perform this operation. User: {bob.arn} is not authorized to perform: ec2:BendWidgets "
        f"on resource: {arn('w-1')} with an explicit deny in an identity-based policy. Encoded authorization failure message: "
    )
    told = denials.decode(world.vault, ACCOUNT, encoded(text))
    assert (told["allowed"], told["explicitDeny"]) == (False, True)
    (statement,) = told["matchedStatements"]["items"]
    assert statement["statementId"] == "NotRed" and statement["effect"] == "DENY"
    assert statement["actions"] == {"items": [{"value": "ec2:Bend*"}]}
    assert statement["conditions"]["items"][0]["key"] == "aws:ResourceTag/team"
    context = told["context"]
    assert context["principal"] == {"id": bob.user_id, "name": bob.user_name, "arn": bob.arn}
    assert (context["action"], context["resource"]) == ("ec2:BendWidgets", arn("w-1"))
    conditions = {each["key"]: [value["value"] for value in each["values"]["items"]] for each in context["conditions"]["items"]}
    assert conditions["ec2:size"] == ["7"] and conditions["aws:resourcetag/team"] == ["red"]
    assert conditions["aws:username"] == [bob.user_name]


def test_the_message_is_nobody_else_s(world: World) -> None:
    text = encoded(world.refusal(world.user(), Access()))
    changed = ("A" if text[20] != "A" else "B").join((text[:20], text[21:]))
    for account, message in (
        (OTHER, text),
        (ACCOUNT, changed),
        (ACCOUNT, text[:-4]),
        (ACCOUNT, ""),
        (ACCOUNT, "x" * 99),
        (ACCOUNT, "é"),
    ):
        with pytest.raises(denials.Undecodable):
            denials.decode(world.vault, account, message)
    assert denials.decode(world.vault, ACCOUNT, text)["explicitDeny"] is False


def test_its_length_does_not_tell_whether_the_thing_exists(world: World) -> None:
    bob = world.user()
    lengths = {
        len(encoded(world.refusal(bob, Access(On(WIDGET, "WidgetIds")), {"WidgetIds": [id]}))) for id in ("w-1", "x-1", "w-222")
    }
    assert len(lengths) == 1


def test_reading_operations_have_none(world: World) -> None:
    assert "Encoded" not in world.refusal(world.user(), Access(), operation="DescribeWidgets")


# ------------------------------------------------------------------------------------------------------ above the account


def test_service_control_policies_bind_roots_too(world: World) -> None:
    with world.database.transaction() as tx:
        records.add_account(tx, OTHER, None, "other")
        scp = control.add_scp(tx, "no-bending", "", policy({"Effect": "Deny", "Action": "ec2:Bend*"}))
        control.attach_scp(tx, scp.id, OTHER)
        grants.forget_after(tx)
    root = dataclasses.replace(ROOT, account_id=OTHER, arn=f"arn:aws:iam::{OTHER}:root", user_id=OTHER)
    assert "with an explicit deny in a service control policy" in world.refusal(root, Access())
    world.passes(root, Access(), operation="TwistWidgets")
    world.passes(ROOT, Access())
    with world.database.transaction() as tx:
        control.detach_scp(tx, control.FULL_ACCESS_ID, OTHER)
        grants.forget_after(tx)
    assert "no service control policy allows the ec2:TwistWidgets action" in world.refusal(
        root, Access(), operation="TwistWidgets"
    )
    with world.call(root) as call:
        made = check_on(call, "ec2:TwistWidgets", WIDGET, "w-1")
        assert not allowed(call, made).allowed


# --------------------------------------------------------------------------------------------------------- other principals


def session(kind: str, holder_id: str, *policies_: str, account_id: str = ACCOUNT, arns: tuple[str, ...] = ()) -> Session:
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return Session(kind, account_id, holder_id, "me", start, start + datetime.timedelta(days=1), policies_, arns)


def role(world: World, *statements: dict[str, Any], account_id: str = ACCOUNT, **more: Any) -> Principal:
    """A session of a new role."""
    with world.database.transaction() as tx:
        made = roles.add_role(tx, account_id, f"role{next(world.numbers)}", "{}", **more)
        world.write(tx, made.id, *statements)
    arn = f"arn:aws:sts::{account_id}:assumed-role/{made.name}/me"
    given = session("assumed-role", made.id, account_id=account_id)
    return Principal(account_id, arn, f"{made.id}:me", "assumed-role", None, "ASIA1", made.id, made.arn("aws"), given)


def test_a_role_s_session_has_the_role_s_policies(world: World) -> None:
    world.passes(role(world, BEND), Access())
    assert "no identity-based policy" in world.refusal(role(world), Access())


def test_a_boundary_that_is_gone_allows_nothing(world: World) -> None:
    within = role(world, BEND, boundary_arn=f"arn:aws:iam::{ACCOUNT}:policy/gone")
    assert "no permissions boundary allows" in world.refusal(within, Access())


def test_service_linked_roles_are_above_service_control_policies(world: World) -> None:
    account = "333333333333"
    with world.database.transaction() as tx:
        records.add_account(tx, account, None, "third")
        scp = control.add_scp(tx, "nothing", "", policy({"Effect": "Deny", "Action": "*"}))
        control.attach_scp(tx, scp.id, account)
        grants.forget_after(tx)
    assert "service control policy" in world.refusal(role(world, BEND, account_id=account), Access())
    world.passes(role(world, BEND, account_id=account, linked_service="autoscaling.amazonaws.com"), Access())


def test_a_federated_user_may_what_issuer_and_session_both_allow(world: World) -> None:
    bob = world.user(BEND, {"Action": "ec2:TwistWidgets"})

    def federated(*given: str, **more: Any) -> Principal:
        arn = f"arn:aws:sts::{ACCOUNT}:federated-user/me"
        made = session("federated-user", bob.holder_id, *given, **more)
        key = f"ASIA{next(world.numbers)}"
        return Principal(ACCOUNT, arn, f"{ACCOUNT}:me", "federated-user", None, key, bob.holder_id, bob.arn, made)

    assert "no session policy allows" in world.refusal(federated(), Access())
    narrow = federated(policy({"Action": ["ec2:BendWidgets", "iam:*"]}))
    world.passes(narrow, Access())
    assert "no session policy allows" in world.refusal(narrow, Access(action="ec2:TwistWidgets"))
    assert "no identity-based policy allows" in world.refusal(narrow, Access(action="iam:ListUsers"))
    world.passes(federated(arns=("arn:aws:iam::aws:policy/AdministratorAccess",)), Access())
    assert "no session policy" in world.refusal(federated(arns=(f"arn:aws:iam::{ACCOUNT}:policy/gone",)), Access())
    root = dataclasses.replace(
        narrow, holder_id="", issuer_arn=ROOT.arn, session=session("federated-user", ACCOUNT, *narrow.session.policies)
    )
    world.passes(root, Access())
    world.passes(root, Access(action="iam:ListUsers"))
    assert "no session policy" in world.refusal(root, Access(action="ec2:TwistWidgets"))


def test_sessions_of_one_holder_are_kept_apart(world: World) -> None:
    """Each has its own policies, though what the holder has is remembered once."""
    whole = role(world, BEND)
    made = session("assumed-role", whole.holder_id, policy({"Action": "iam:*"}))
    narrow = dataclasses.replace(whole, access_key_id="ASIA2", session=made)
    for _ in range(2):
        world.passes(whole, Access())
        assert "no session policy" in world.refusal(narrow, Access())
