"""What may happen to an instance, against tables written down again from AWS's documentation, and by property."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.compute import rules
from mallee.wire.errors import AwsError

states = st.sampled_from(rules.STATES)
powers = st.sampled_from([rules.ON, rules.OFF, rules.GONE])

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html and the operations' own pages.
# "-": succeeds and changes nothing; "!": IncorrectInstanceState; otherwise the state that the answer shows.
EXPECTED = {
    #            pending          running          stopping         stopped          shutting-down  terminated
    "start":     ("-",            "-",             "!",             "pending",       "!",           "!"),
    "stop":      ("stopping",     "stopping",      "-",             "-",             "!",           "!"),
    "reboot":    ("!",            "running",       "!",             "!",             "-",           "-"),
    "terminate": ("shutting-down", "shutting-down", "shutting-down", "shutting-down", "-",           "-"),
}  # fmt: skip
ORDER = ("pending", "running", "stopping", "stopped", "shutting-down", "terminated")


@pytest.mark.parametrize("verb", EXPECTED)
@pytest.mark.parametrize("state", ORDER)
def test_verbs_move_instances_as_documented(verb, state):
    expected = EXPECTED[verb][ORDER.index(state)]
    if expected == "!":
        with pytest.raises(AwsError) as refused:
            rules.decide(verb, "i-1", state)
        assert refused.value.code == "IncorrectInstanceState"
        assert "'i-1' is not in a state from which it can be" in refused.value.message
    else:
        assert rules.decide(verb, "i-1", state).to == (None if expected == "-" else expected)


def test_an_instance_that_never_ran_cannot_be_stopped():
    with pytest.raises(AwsError, match="Instance 'i-1' cannot be stopped as it has never reached the 'running' state"):
        rules.decide("stop", "i-1", "pending", has_run=False)
    assert rules.decide("terminate", "i-1", "pending", has_run=False).to == "shutting-down"


@given(st.sampled_from(list(EXPECTED)), st.booleans(), st.booleans())
def test_protection_forbids_its_own_verb_only(verb, termination, stop):
    forbidden = (verb == "terminate" and termination) or (verb == "stop" and stop)
    try:
        rules.protected(verb, "i-1", termination=termination, stop=stop)
        assert not forbidden
    except AwsError as refused:
        assert forbidden and refused.code == "OperationNotPermitted"
        assert refused.message.startswith("The instance 'i-1' may not be")


@given(st.text(st.sampled_from("abcdefg.:- "), max_size=30))
def test_reasons_name_their_code(detail):
    assert rules.reason("pending") == ("pending", "pending")
    code, text = rules.reason("Server.InternalError", detail)
    assert text.startswith(f"{code}: ") and (detail or "Internal error") in text


# ------------------------------------------------------------------------------------------------------- observation


@dataclass(frozen=True)
class Report:
    revision: int
    state: str
    stopped_by: str | None = None
    health: str = "initializing"


reports = st.none() | st.builds(
    Report,
    st.integers(0, 5),
    st.sampled_from(["preparing", "running", "off", "crashed", "failed"]),
    st.sampled_from([None, "guest", "cloud"]),
    st.sampled_from(["initializing", "ok", "impaired"]),
)


@given(states, powers, st.integers(0, 5), reports)
def test_only_reports_of_the_present_wish_count(state, power, revision, report):
    seen = rules.observe(state, power, revision, report)
    assert seen in ("wait", "up", "down", "gone", "went-off", "crashed", "failed")
    if report is None:
        assert seen == ("gone" if power == rules.GONE else "wait")
    elif report.revision < revision or power == rules.GONE:
        assert seen == "wait"
    if seen == "up":
        assert power == rules.ON and report.state == "running"
    if seen == "down":
        assert power == rules.OFF and report.state != "running"
    if seen == "went-off":
        assert report.stopped_by == "guest"


@given(states, reports)
def test_health_is_told_only_of_what_runs(state, report):
    system, guest = rules.health(state, report)
    if state not in ("pending", "running"):
        assert (system, guest) == ("not-applicable", "not-applicable")
    else:
        assert system in rules.REACHABILITY and guest in rules.REACHABILITY


# -------------------------------------------------------------------------------------------------------- parameters


@given(st.binary(min_size=1, max_size=200), st.sampled_from(["", "\n", "\r\n", " "]))
def test_user_data_is_kept_as_one_line_of_base64(raw, gap):
    text = base64.b64encode(raw).decode()
    given_text = gap.join(text[at : at + 7] for at in range(0, len(text), 7))
    assert base64.b64decode(rules.user_data(given_text)) == raw


@given(st.text(max_size=60))
def test_user_data_is_base64_or_refused(text):
    try:
        kept = rules.user_data(text)
        assert kept is None or rules.user_data(kept) == kept
    except AwsError as refused:
        assert refused.code == "InvalidUserData.Malformed"


def test_user_data_has_a_limit():
    assert rules.user_data(base64.b64encode(b"x" * 16384).decode())
    with pytest.raises(AwsError, match="limited to 16384 bytes"):
        rules.user_data(base64.b64encode(b"x" * 16385).decode())


@given(st.integers(-2, 1200) | st.none(), st.integers(-2, 1200) | st.none())
def test_counts_are_ordered_or_refused(minimum, maximum):
    good = minimum is not None and maximum is not None and 1 <= minimum <= maximum <= 1000
    try:
        assert rules.counts(minimum, maximum, 1000) == (minimum, maximum) and good
    except AwsError as refused:
        assert not good
        assert refused.code in ("MissingParameter", "InvalidParameterValue", "InvalidParameterCombination")


mappings = st.lists(
    st.fixed_dictionaries(
        {"DeviceName": st.sampled_from(["/dev/xvda", "xvda", "/dev/sdf", "sdf", "", "a b", "/dev/xvdb"])},
        optional={
            "Ebs": st.fixed_dictionaries(
                {},
                optional={
                    "VolumeSize": st.integers(-1, 20000),
                    "DeleteOnTermination": st.booleans(),
                    "VolumeType": st.sampled_from(["gp2", "gp3", "standard", "io1", "odd"]),
                    "Encrypted": st.booleans(),
                    "Iops": st.integers(0, 3000),
                    "SnapshotId": st.sampled_from(["", "snap-0123456789abcdef0"]),
                },
            ),
            "NoDevice": st.just(""),
            "VirtualName": st.sampled_from(["", "ephemeral0"]),
        },
    ),
    max_size=3,
)


@given(mappings, st.integers(1, 100))
def test_a_root_volume_is_never_smaller_than_its_image_nor_silently_other_than_asked(given_mappings, image_gib):
    try:
        root = rules.root_volume(given_mappings, "/dev/xvda", image_gib)
    except AwsError as refused:
        assert refused.code in (
            "MissingParameter",
            "InvalidParameterValue",
            "InvalidBlockDeviceMapping",
            "UnsupportedOperation",
        )
        return
    assert image_gib <= root.size_gib <= 16384 and root.volume_type in ("gp2", "gp3", "standard")
    asked = [m for m in given_mappings if m["DeviceName"].endswith("xvda")]
    assert len(asked) <= 1
    others = [m for m in given_mappings if not m["DeviceName"].endswith("xvda")]
    assert all("NoDevice" in m for m in others)
    ebs = asked[0].get("Ebs", {}) if asked else {}
    assert root.size_gib == ebs.get("VolumeSize", image_gib)
    assert root.delete_on_termination == ebs.get("DeleteOnTermination", True)
    assert not ebs.get("Encrypted") and not ebs.get("Iops") and not ebs.get("SnapshotId")


option = st.fixed_dictionaries(
    {},
    optional={
        "HttpTokens": st.sampled_from(["optional", "required", "maybe"]),
        "HttpEndpoint": st.sampled_from(["enabled", "disabled", "on"]),
        "HttpPutResponseHopLimit": st.integers(-1, 70),
        "InstanceMetadataTags": st.sampled_from(["enabled", "disabled"]),
        "HttpProtocolIpv6": st.sampled_from(["disabled", "enabled"]),
    },
)


@given(option, option)
def test_metadata_options_keep_what_is_not_given(first, second):
    try:
        present = rules.metadata_options(first)
        changed = rules.metadata_options(second, present)
    except AwsError as refused:
        assert refused.code in ("InvalidParameterValue", "UnsupportedOperation")
        return
    for member, name in (
        ("HttpTokens", "tokens"),
        ("HttpEndpoint", "endpoint"),
        ("HttpPutResponseHopLimit", "hop_limit"),
        ("InstanceMetadataTags", "tags"),
    ):
        assert getattr(changed, name) == second.get(member, getattr(present, name))
    assert 1 <= changed.hop_limit <= 64
