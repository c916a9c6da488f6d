"""`w2s export`: the model that was asked for, whole, with a card that tells the recipe's result; the store untouched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.w2s.command import receipts, w2s, write_recipe
from tests.w2s.conftest import Finished
from w2s.load import load
from w2s.stages import Train, walk
from w2s.work.model import restore


def trained(finished: Finished) -> dict[str, Train]:
    return {key: stage for key, stage in load(str(finished.recipe)).graph().items() if isinstance(stage, Train)}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_student_leaves_with_its_result(finished: Finished, tmp_path: Path) -> None:
    before = receipts(finished.store)
    to = tmp_path / "student"
    done = w2s("export", finished.recipe, "--store", finished.store, "--to", to, "--json")
    assert done.code == 0, done.err
    told = done.json
    stage = trained(finished)[told["key"]]
    assert stage.labels is not None
    assert stage.loss.kind == "confidence"
    source = contents(finished.store / stage.key[:2] / stage.key / "model")
    copy = contents(to)
    assert {name: copy[name] for name in source if name not in ("w2s.json", "README.md")} == {
        name: raw for name, raw in source.items() if name not in ("w2s.json", "README.md")
    }
    card = (to / "README.md").read_text(encoding="utf-8")
    report = w2s("report", finished.recipe, "--store", finished.store, "--json").json
    row = report["rows"][0]
    for side in ("floor", "transfer", "ceiling"):
        assert f"| {side} | {row[side]['mean']:.3f}" in card
        assert told["recovery"][side].startswith(f"{row[side]['mean']:.3f}")
    assert stage.key in card
    assert str(finished.store) not in card
    assert receipts(finished.store) == before
    restore(to)
    assert not list(tmp_path.glob(".*")), "nothing half-done is left beside it"


def test_the_manifest_says_what_it_is_and_from_what(finished: Finished, tmp_path: Path) -> None:
    to = tmp_path / "student"
    told = w2s("export", finished.recipe, "--store", finished.store, "--to", to, "--json").json
    record = json.loads((to / "manifest.json").read_text(encoding="utf-8"))
    place = finished.store / told["key"][:2] / told["key"]
    receipt = json.loads((place / "receipt.json").read_text(encoding="utf-8"))
    assert record["what"] | {"fingerprint": ""} == {
        "recipe": "toy", "fingerprint": "", "method": "confidence members=2", "seed": 0, "side": "transfer"
    }  # fmt: skip
    assert (record["format"], record["key"], record["name"]) == (1, told["key"], receipt["name"])
    assert record["receipt_sha256"] == hashlib.sha256((place / "receipt.json").read_bytes()).hexdigest()
    for field in ("metrics", "versions", "git", "science", "machines", "seconds"):
        assert record[field] == receipt[field], field
    assert record["recovery"] == told["recovery"]
    assert receipt["hardware"]["hostname"] not in record["hardware"].values()
    assert set(record["files"]) == set(contents(to)) - {"manifest.json"}
    for name, raw in contents(to).items():
        if name != "manifest.json":
            facts = {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
            assert record["files"][name] == facts
    inputs = record["inputs"]
    assert sorted(model["name"] for model in inputs["models"]) == ["tiny-bert-32x2", "tiny-bert-8x1"]
    (data,) = inputs["data"]
    rows = json.loads((finished.store / data["key"][:2] / data["key"] / "receipt.json").read_text())
    assert data["task"]["kind"] == "toy"
    assert data["files"] == {name: facts["sha256"] for name, facts in rows["files"].items()}
    assert len(inputs["stages"]) == len(walk(trained(finished)[told["key"]])) - 1
    assert all(len(stage["receipt_sha256"]) == 64 for stage in inputs["stages"])
    assert record["commands"]["trained"] == ["w2s", "run", f"./{finished.recipe.name}"]


def test_a_flipped_byte_of_an_export_is_named(finished: Finished, tmp_path: Path) -> None:
    to = tmp_path / "student"
    assert w2s("export", finished.recipe, "--store", finished.store, "--to", to).code == 0
    whole = w2s("verify", "--export", to)
    assert (whole.code, "each as manifest.json says" in whole.out) == (0, True), whole.err
    for name in ("model.safetensors", "README.md", "manifest.json"):
        raw = (to / name).read_bytes()
        spoiled = bytearray(raw)
        spoiled[raw.index(b"w2s") if name != "model.safetensors" else len(raw) // 2] ^= 1
        (to / name).write_bytes(bytes(spoiled))
        done = w2s("verify", "--export", to, "--json")
        assert done.code == 1
        assert [(one["file"], one["problem"]) for one in done.json] == [(name, "changed")]
        (to / name).write_bytes(raw)
    (to / "w2s.json").rename(to / "other.json")
    found = w2s("verify", "--export", to, "--json").json
    assert [(one["file"], one["problem"]) for one in found] == [("other.json", "extra"), ("w2s.json", "missing")]


@pytest.mark.parametrize("text", [None, "{", "[]", '{"format": 2, "files": {"a": {"sha256": ""}}}'])
def test_a_folder_without_a_manifest_that_can_be_read_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    done = w2s("verify", "--export", tmp_path)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert "manifest.json" in done.err


def test_other_sides_methods_and_stages(finished: Finished, tmp_path: Path) -> None:
    def key(*choice: str) -> str:
        to = tmp_path / "-".join(choice).replace("/", "")
        done = w2s("export", finished.recipe, "--store", finished.store, "--to", to, *choice, "--json")
        assert done.code == 0, done.err
        return str(done.json["key"])

    stages = trained(finished)
    ceiling = stages[key("--side", "ceiling")]
    assert (ceiling.labels, ceiling.rows.name) == (None, "strong")
    naive = stages[key("--method", "naive")]
    assert (naive.loss.kind, naive.labels is None) == ("xent", False)
    weak = next(key for key, stage in stages.items() if stage.rows.name == "weak")
    assert key("--stage", weak[:12]) == weak


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (["--side", "floor"], "2 models together; name one by --stage: "),
        (["--seed", "7"], "7 is none of this recipe's; there are: 0"),
        (["--method", "lader"], "no method 'lader' in this recipe; there are: confidence members=2; naive members=2"),
        (["--stage", "zzz"], "0 training stages of this recipe have a key that begins with 'zzz'; there are: "),
        (["--stage", ""], "5 training stages"),
    ],
)
def test_what_there_is_not_is_said_with_what_there_is(finished, tmp_path, choice, said) -> None:
    done = w2s("export", finished.recipe, "--store", finished.store, "--to", tmp_path / "out", *choice)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_of_a_model_that_was_only_asked_there_are_no_weights(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, strong__model__source="tiny:llama", method={"kind": "prompted"}, baselines=[])
    store, to = tmp_path / "store", tmp_path / "out"
    done = w2s("export", recipe, "--store", store, "--to", to)
    assert done.code == 2
    assert "there are no weights to export: tiny-llama-32x2 was asked as it is, nothing was trained" in done.err
    assert "load tiny:llama itself and ask it as question.txt" in done.err
    assert "--side ceiling" in done.err
    assert done.err.count("\n") == 1
    assert not to.exists()
    trained = w2s("export", recipe, "--store", store, "--to", to, "--side", "ceiling")
    assert (trained.code, "is not in the store" in trained.err) == (1, True), "the remedy names a model there will be"


@pytest.mark.parametrize(("kind", "side"), [("floor", "ceiling"), ("ceiling", "transfer"), ("floor", "transfer")])
def test_a_side_that_a_method_never_makes_is_said_with_the_one_it_does(tmp_path: Path, kind: str, side: str) -> None:
    recipe = write_recipe(tmp_path, method={"kind": kind}, baselines=[])
    done = w2s("export", recipe, "--store", tmp_path / "store", "--to", tmp_path / "out", "--side", side)
    assert done.code == 2
    assert f"--side {side}: method {kind} makes none; take --side {kind}" in done.err


def test_a_folder_that_is_taken_is_left_alone(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = w2s("export", finished.recipe, "--store", finished.store, "--to", tmp_path)
    assert done.code == 2
    assert "is there already" in done.err
    assert contents(tmp_path) == {"mine": b"mine"}


def test_a_model_that_is_not_there_yet(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    done = w2s("export", recipe, "--store", tmp_path / "store", "--to", tmp_path / "out")
    assert done.code == 1
    assert "is not in the store" in done.err
    assert "w2s run" in done.err
    assert not (tmp_path / "out").exists()


def test_damage_is_not_exported(copied: Finished, tmp_path: Path) -> None:
    key = w2s("export", copied.recipe, "--store", copied.store, "--to", tmp_path / "good", "--json").json["key"]
    file = copied.store / key[:2] / key / "model" / "model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(bytes(raw))
    done = w2s("export", copied.recipe, "--store", copied.store, "--to", tmp_path / "bad")
    assert done.code == 1
    assert "model/model.safetensors changed since it was made" in done.err
    assert not (tmp_path / "bad").exists()
    assert not list(tmp_path.glob(".bad*"))


def test_where_a_model_lay_is_not_told(tmp_path: Path, finished: Finished) -> None:
    """A model from a local folder: neither card nor w2s.json of the copy say where that was."""
    first = tmp_path / "secret" / "base"
    first.parent.mkdir()
    assert w2s("export", finished.recipe, "--store", finished.store, "--to", first, "--side", "ceiling").code == 0
    (tmp_path / "recipe").mkdir()
    recipe = write_recipe(tmp_path / "recipe", strong__model={"source": str(first)}, baselines=[])
    store = tmp_path / "store"
    assert w2s("run", recipe, "--store", store, "--pool", "inline").code == 0
    assert w2s("export", recipe, "--store", store, "--to", tmp_path / "out").code == 0
    for name, raw in contents(tmp_path / "out").items():
        assert b"secret" not in raw, name
    about = json.loads((tmp_path / "out" / "w2s.json").read_text())
    assert about["meta"]["learner"]["model"]["source"] == "./base"
    restore(tmp_path / "out")
