"""One value, one text, one key."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.key import canonical_json, content_key, file_sha256, folder_sha256

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values))
def test_order_of_fields_is_no_difference(value: dict[str, object]) -> None:
    assert content_key(value) == content_key(dict(reversed(value.items())))


def test_known_key_never_moves() -> None:
    """A key made by one version is found by the next: this digest may only change with the store's format."""
    value = {"b": [1, 2.5, None], "a": {"text": "é", "flag": True}}
    assert canonical_json(value) == '{"a":{"flag":true,"text":"\\u00e9"},"b":[1,2.5,null]}'
    assert content_key(value) == "11c7e1ee5598e4448182b5f9afd46262ef744001107899830ae4d176152860f1"


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, object(), {"a": {1, 2}}, b"x"])
def test_what_json_lacks_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        content_key(value)


def test_a_flipped_byte_is_another_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "x.bin"
    file.write_bytes(b"abc")
    before = file_sha256(file), folder_sha256(tmp_path)
    file.write_bytes(b"abd")
    assert file_sha256(file) != before[0]
    assert folder_sha256(tmp_path) != before[1]


def test_folder_digest_ignores_hidden_files_but_not_names(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    before = folder_sha256(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "y").write_text("2")
    assert folder_sha256(tmp_path) == before
    (tmp_path / "x").rename(tmp_path / "z")
    assert folder_sha256(tmp_path) != before
