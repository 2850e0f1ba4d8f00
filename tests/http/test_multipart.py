"""Forms, however their bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.http import multipart
from mallee.http.multipart import Form, Malformed, TooLong, boundary_of

BOUNDARY = b"----x"


def body(fields: list[tuple[str, bytes]], content: bytes, filename: str = "f.txt", after: bytes = b"") -> bytes:
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (BOUNDARY, name.encode(), value)
        for name, value in fields
    ]
    head = f'Content-Disposition: form-data; name="file"; filename="{filename}"\r\nContent-Type: text/plain\r\n\r\n'.encode()
    return b"".join(parts) + b"--%s\r\n" % BOUNDARY + head + content + b"\r\n--%s" % BOUNDARY + (after or b"--\r\n")


def taken(data: bytes, cuts: list[int]) -> tuple[Form, bytes]:
    form, content, at = Form(BOUNDARY), b"", 0
    for end in (*sorted(cut for cut in cuts if cut < len(data)), len(data)):
        piece, at = data[at:end], end
        content += form.content(piece) if form.at_file else form.content() if form.head(piece) else b""
    return form, content


_CONTENT = st.lists(
    st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"--", b"\r\n--", b"----x", b"\r\n------", b"\0\xff"]), max_size=12
).map(b"".join)
_NAMES = st.text(alphabet="abcdefg-", min_size=1, max_size=6).filter(lambda name: name != "file")


@given(
    st.lists(st.tuples(_NAMES, st.text(max_size=8)), max_size=4, unique_by=lambda pair: pair[0]),
    _CONTENT.filter(lambda content: b"\r\n------x" not in b"\r\n" + content + b"\r\n"),
    st.lists(st.integers(0, 700), max_size=30),
    st.sampled_from([b"", b"\r\nwhatever", b"--", b'\r\nContent-Disposition: form-data; name="key"\r\n\r\nlate']),
)
def test_any_form_cut_anywhere(fields: list[tuple[str, str]], content: bytes, cuts: list[int], after: bytes) -> None:
    fields = [(name, value) for name, value in fields if "\r\n------x" not in "\r\n" + value + "\r\n"]
    form, found = taken(body([(name, value.encode()) for name, value in fields], content, after=after), cuts)
    assert form.fields == dict(fields)
    assert found == content
    assert form.ended and form.filename == "f.txt"


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_anything_else_is_refused_or_waits(data: bytes, cuts: list[int]) -> None:
    try:
        form, _ = taken(data, cuts)
    except (Malformed, TooLong):
        return
    assert not form.ended


def test_types() -> None:
    assert boundary_of(b"multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of(b'Multipart/Form-Data; charset=utf-8; Boundary="a b"') == b"a b"
    assert boundary_of(b"multipart/mixed; boundary=abc") is None
    assert boundary_of(None) is None
    with pytest.raises(Malformed):
        boundary_of(b"multipart/form-data")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('filename="a.txt"', "a.txt"),
        (r'filename="C:\Program Files\a.txt"', "a.txt"),
        ('filename="/home/me/a b.txt"', "a b.txt"),
        (r'filename="a\"b.txt"', 'a"b.txt'),
        ("filename=a.txt", "a.txt"),
        ("filename=\"a\"; filename*=utf-8''%C3%A4.txt", "ä.txt"),
        ('filename="ä;x.txt"', "ä;x.txt"),
        ('filename=""', ""),
        ("x=y", ""),
    ],
)
def test_names_of_files(header: str, name: str) -> None:
    form = Form(BOUNDARY)
    assert form.head(b'--%s\r\nContent-Disposition: form-data; name="File"; %s\r\n\r\n' % (BOUNDARY, header.encode()))
    assert form.filename == name


def test_limits() -> None:
    with pytest.raises(TooLong):
        taken(body([("a", b"x" * (multipart.MOST_FIELD + 1))], b""), list(range(0, 40_000, 1000)))
    taken(body([("a", b"x" * multipart.MOST_FIELD)], b"y" * 3_000_000), list(range(0, 40_000, 1000)))
    with pytest.raises(TooLong):
        taken(body([(f"a{number}", b"x" * 20_000) for number in range(60)], b""), list(range(0, 2_000_000, 10_000)))
    with pytest.raises(TooLong):
        taken(b"--%s\r\nContent-Disposition: %s" % (BOUNDARY, b"x" * 9000), [])
    with pytest.raises(Malformed):
        taken(b"x" * 30_000, [])


def test_what_came_twice() -> None:
    form, _ = taken(body([("key", b"1"), ("KEY", b"2")], b""), [])
    assert form.fields == {"key": "1"} and form.twice == "key"


def test_little_of_the_file_is_held() -> None:
    form, _ = taken(body([], b"")[:-20], [])
    for _ in range(20):
        form.content(b"\r\n-" * 1000)
        assert form.held < 20
