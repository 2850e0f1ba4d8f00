"""Settings: what is read, what is refused and in which words, and that writing and reading agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee import settings as module
from mallee.settings import Settings, SettingsError, ensure, load, save


def test_defaults(tmp_path: Path) -> None:
    plain = load(tmp_path, {})
    assert (plain.region, plain.zones, plain.port, plain.tls_port, plain.metrics_port) == (
        "local-1",
        ("local-1a",),
        8773,
        8774,
        8775,
    )
    assert plain.database_url == f"sqlite:///{tmp_path}/cloud/cloud.db"
    assert plain.public_pool == ("198.51.100.0/24",) and plain.admin_alias == "mallee"
    assert plain.endpoint == "http://127.0.0.1:8773" and plain.tls_endpoint == "https://127.0.0.1:8774"
    assert len(plain.tag) == 4 and plain.tag != Settings(home=tmp_path / "other").tag
    assert 61000 <= plain.uid < 65536
    simulated = Settings(home=tmp_path, simulated=True, region="eu-west-1")
    assert simulated.zones == ("eu-west-1a", "eu-west-1b", "eu-west-1c") and simulated.simulated_nodes == 3


def test_the_first_start_chooses_an_account_for_good(tmp_path: Path) -> None:
    first = ensure(tmp_path, port=9000, simulated=True)
    assert len(first.admin_account_id) == 12 and first.port == 9000 and first.tls_port == 9001
    assert ensure(tmp_path, port=1234) == first == load(tmp_path, {})


def test_the_environment_wins(tmp_path: Path) -> None:
    save(Settings(home=tmp_path, region="one-1"))
    given = {
        "MALLEE_REGION": "two-2",
        "MALLEE_ZONES": "two-2a, two-2b",
        "MALLEE_TLS": "no",
        "MALLEE_PORT": "80",
        "MALLEE_HOME": "/x",
    }
    found = load(tmp_path, given)
    assert (found.region, found.zones, found.tls, found.port, found.home) == ("two-2", ("two-2a", "two-2b"), False, 80, tmp_path)
    assert load(tmp_path, {"MALLEE_REGION": ""}).region == "one-1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prot = 1", "there is no setting called prot"),
        ("port = 'x'", "port must be a whole number, not 'x'"),
        ("port = true", "port must be a whole number, not True"),
        ("port = 0", "port must be between 1 and 65535, not 0"),
        ("tls_port = 8773", "port, tls_port and metrics_port must differ"),
        ("zones = 'a'", "zones must be a list of strings"),
        ("zones = ['a-1', 'a-1']", "zones must not name one zone twice"),
        ("region = 'Local 1'", "region must be lower-case"),
        ("public_pool = ['300.0.0.0/24']", "public_pool must hold IPv4 networks"),
        ("federation_networks = ['127.0.0.1/8']", "federation_networks must hold networks"),
        ("public_pool = ['10.0.0.0/8', '10.1.0.0/16']", "public_pool must not overlap"),
        ("egress = 'maybe'", "egress must be nat or none"),
        ("host = 'localhost'", "host must be an IP address"),
        ("database_url = 'mysql://x'", "database_url must begin with"),
        ("admin_account_id = '12'", "admin_account_id must be twelve digits"),
        ("admin_alias = 'A'", "admin_alias cannot be 'A'"),
        ("tls_certificate = '/x.pem'", "must be given together"),
        ("objects_engine = 'tape'", "objects_engine must be local or rados, not 'tape'"),
        ("objects_rados_conf = 'ceph.conf'", "objects_rados_conf must be an absolute path"),
        ("objects_rados_pool = 'a/b'", "objects_rados_pool must be a pool's name"),
        ("objects_rados_user = 'mallee'", "objects_rados_user must be a name such as client.mallee"),
        ("objects_rados_keyring = 'key'", "objects_rados_keyring must be an absolute path"),
        ("objects_rados_seconds = 0", "objects_rados_seconds must be between 1 and 600, not 0"),
        ("threads = 0", "threads must be between 1 and 256, not 0"),
        ("port = ", "cannot be read"),
    ],
)
def test_refusals_name_the_setting(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, {})
    assert sentence in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize("given", [{"MALLEE_PORT": "x"}, {"MALLEE_TLS": "perhaps"}, {"MALLEE_HEADER_SECONDS": "soon"}])
def test_refusals_name_the_variable(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(given))):
        load(tmp_path, given)


_CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "simulated": st.booleans(),
    "region": st.sampled_from(["local-1", "us-east-1"]),
    "port": st.integers(1, 60000),
    "zones": st.sampled_from([(), ("x-1a",), ("x-1a", "x-1b")]),
    "tls_names": st.lists(st.text(max_size=8), max_size=3).map(tuple),
    "tls_certificate": st.just(""),
    "header_seconds": st.floats(0.5, 100),
    "admin_account_id": st.sampled_from(["", "123456789012"]),
    "egress": st.sampled_from(["nat", "none"]),
    "log_mib": st.integers(1, 100),
}


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional=_CHANGES))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, chosen: dict[str, Any]) -> None:
    made = Settings(home=tmp_path_factory.mktemp("home"), **chosen)
    save(made)
    assert load(made.home, {}) == made
    assert not list(made.home.glob(".config*"))


def test_every_setting_is_documented() -> None:
    page = (Path(module.__file__).parents[2] / "docs" / "settings.md").read_text()
    for name in module._KINDS:
        assert f"`{name}`" in page, name
