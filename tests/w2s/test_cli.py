"""Every command on a real, finished store: what it prints, that its JSON parses, what it imports, what it leaves alone."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from tests.w2s.command import built, finish, process, receipts, w2s, write_recipe
from tests.w2s.conftest import Finished
from w2s.load import load, packaged_names

STAGES = 22
IMPORTS = """
import sys
sys.argv = ["w2s", *sys.argv[1:]]
from w2s.cli import main
try:
    main()
finally:
    heavy = {"torch", "ray", "transformers", "datasets", "pandas", "deepspeed", "scipy"} & set(sys.modules)
    sys.stderr.write("heavy: " + " ".join(sorted(heavy)))
"""


@pytest.mark.parametrize("command", ["--help", "--version", "run --help", "check", "plan", "list methods", "status"])
def test_what_should_be_quick_imports_nothing_heavy(command: str, tmp_path: Path) -> None:
    recipe = [write_recipe(tmp_path)] if command in ("check", "plan", "status") else []
    store = ["--store", tmp_path / "store"] if command in ("plan", "status") else []
    done = finish(process(*command.split(), *recipe, *store, code=IMPORTS))
    assert done.code == 0
    assert done.err == "heavy: "


def test_help_has_an_example_for_every_command() -> None:
    helps = {
        name: w2s(name, "--help")
        for name in ("check", "plan", "run", "status", "report", "fetch", "list", "verify", "gc")
    }
    assert all(done.code == 0 and "Example: w2s" in done.out for done in helps.values())
    assert all(name in w2s("--help").out for name in helps)
    assert w2s().out == w2s("--help").out, "`w2s` alone is a question"


# ---- run


def test_run_says_what_it_did_and_where_it_is(finished: Finished) -> None:
    done = finished.done
    assert done.code == 0, done.err
    assert f"{STAGES} stages run, 0 from the store" in done.out
    for word in (
        "floor",
        "transfer",
        "ceiling",
        "PGR",
        "chance 0.500",
        "test rows 60",
        str(finished.store),
        "w2s board ",
    ):
        assert word in done.out
    lines = done.err.splitlines()
    assert sum(" started " in line for line in lines) == sum(" done " in line for line in lines) == STAGES
    assert f"[{STAGES}/{STAGES}]" in lines[-1]
    assert len(built(finished.store)) == len(set(built(finished.store))) == STAGES


def test_the_second_run_starts_nothing(finished: Finished) -> None:
    """No stage, no pool (the address would be refused), no receipt touched; the same table."""
    before = receipts(finished.store)
    done = w2s("run", finished.recipe, "--store", finished.store, "--ray-address", "127.0.0.1:1")
    assert done.code == 0, done.err
    assert receipts(finished.store) == before
    assert done.err == ""
    assert f"0 stages run, {len(set(goals(finished)))} from the store" in done.out
    assert table(done.out) == table(finished.done.out)


def goals(finished: Finished) -> list[str]:
    return [stage.key for stage in load(str(finished.recipe)).goals()]


def table(out: str) -> str:
    return out.partition("stages run")[0].rpartition("\n")[0]


def test_run_json_is_one_document_and_events_are_lines(finished: Finished, tmp_path: Path) -> None:
    recipe = write_recipe(
        tmp_path, method={"kind": "naive"}, baselines=[], task={"kind": "toy", "size": 60, "n_test": 20}
    )
    done = w2s("run", recipe, "--store", tmp_path / "store", "--pool", "inline", "--json")
    assert done.code == 0
    assert done.json["exit_code"] == 0
    assert done.json["stages"] == {"done": 12}
    assert done.json["failures"] == []
    assert Path(done.json["report"]).is_dir()
    assert done.json["results"]["rows"][0]["method"] == "naive"
    events = [json.loads(line) for line in done.err.splitlines()]
    assert {event["event"] for event in events} >= {"planned", "started", "done", "progress", "note"}


def test_run_json_tells_failures(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, strong__max_tokens=600, method={"kind": "naive"}, baselines=[])
    done = w2s("run", recipe, "--store", tmp_path / "store", "--pool", "inline", "--json")
    assert done.code == done.json["exit_code"] == 2
    assert {failure["error"] for failure in done.json["failures"]} == {"BadInput"}
    assert done.json["stages"]["skipped"] > 0


# ---- reading


def test_check(finished: Finished) -> None:
    assert (
        w2s("check", finished.recipe).out
        == f"toy: legal; confidence members=2, naive members=2; 1 seeds, {STAGES} stages\n"
    )
    assert w2s("check", finished.recipe, "--json").json["stages"] == STAGES


def test_check_notes_an_unpinned_hub_model(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, strong__model="gpt2")
    assert "set model.revision to a commit" in w2s("check", recipe).out
    assert w2s("check", recipe, "strong.model.revision=0123abc", "--json").json["notes"] == []


def test_plan_of_an_empty_store_makes_nothing(tmp_path: Path) -> None:
    done = w2s("plan", write_recipe(tmp_path), "--store", tmp_path / "store", "--json")
    assert {row["state"] for row in done.json["stages"]} == {"will run"}
    assert not (tmp_path / "store").exists()


def test_plan_of_a_finished_store(finished: Finished) -> None:
    done = w2s("plan", finished.recipe, "--store", finished.store, "--json")
    states = {row["name"]: row["state"] for row in done.json["stages"]}
    assert len(done.json["stages"]) == STAGES
    assert set(states.values()) == {"in the store", "not needed"}
    text = w2s("plan", finished.recipe, "method.alpha=0.1", "--store", finished.store).out
    assert f"{STAGES} stages, 3 to run, about" in text, "another alpha is another student, its prediction and its grade"


def test_status(finished: Finished, tmp_path: Path) -> None:
    done = w2s("status", finished.recipe, "--store", finished.store, "--json")
    assert {row["state"] for row in done.json["stages"]} == {"done"}
    assert all(row["seconds"] >= 0 for row in done.json["stages"])
    text = w2s("status", finished.recipe, "method.alpha=0.1", "--store", finished.store).out
    assert f"{STAGES - 3} done, 3 missing" in text
    assert w2s("status", finished.recipe, "--store", tmp_path / "none").out.rstrip().endswith(f"toy: {STAGES} missing")


def test_report_formats_agree(finished: Finished) -> None:
    """One result, four ways to read it, and the files that `run` left beside the store say the same."""
    told = {
        form: w2s("report", finished.recipe, "--store", finished.store, "--format", form).out
        for form in ("md", "csv", "json", "table")
    }
    for form in ("md", "csv", "json"):
        assert told[form] == next((finished.store / "reports").glob(f"toy-*/report.{form}")).read_text(encoding="utf-8")
    report = json.loads(told["json"])
    assert w2s("report", finished.recipe, "--store", finished.store, "--json").json == report
    lines = list(csv.DictReader(io.StringIO(told["csv"])))
    for row, line in zip(report["rows"], lines, strict=True):
        assert row["method"] == line["method"]
        assert float(line["floor"]) == pytest.approx(row["floor"]["mean"], abs=1e-6)
        assert f"| {row['method']} |" in told["md"]
        assert f"{row['ceiling']['mean']:.3f}" in told["table"]


def test_report_of_a_part_names_what_is_missing(finished: Finished) -> None:
    done = w2s("report", finished.recipe, "seeds=2", "--store", finished.store, "-f", "md")
    assert done.code == 0
    assert "stages are missing: toy/grade" in done.out


def test_list(finished: Finished) -> None:
    for room, name in (
        ("methods", "naive"),
        ("losses", "xent"),
        ("tasks", "toy"),
        ("models", "HUB-ID"),
        ("recipes", "quickstart"),
    ):
        assert name in w2s("list", room).out
        rows = w2s("list", room, "--json").json
        assert name in [row["name"] for row in rows]
        assert all(row["about"] for row in rows)
    assert [row["name"] for row in w2s("list", "recipes", "--json").json] == packaged_names()


def test_fetch_of_what_needs_nothing(finished: Finished) -> None:
    assert w2s("fetch", finished.recipe, "--json").json == []


# ---- keeping house


def test_verify_of_a_sound_store(finished: Finished) -> None:
    done = w2s("verify", "--store", finished.store)
    assert (done.code, done.out) == (0, f"{STAGES} results, every file as its receipt says\n")
    assert w2s("verify", "--store", finished.store, "--json").json == []


def flip(store: Path, name: str) -> str:
    """Change one bit in the middle of a file of some result. Returns its key."""
    file = sorted(store.glob(f"??/*/{name}"))[0]
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(bytes(raw))
    return file.relative_to(store).parts[1]


def test_a_flipped_bit_is_found_set_aside_and_made_anew(copied: Finished) -> None:
    """`verify` names the file, `--quarantine` moves the result away, and the next run makes that stage and no other."""
    sound = receipts(copied.store)
    key = flip(copied.store, "model/model.safetensors")
    done = w2s("verify", "--store", copied.store)
    assert done.code == 1
    assert "model/model.safetensors changed" in done.out
    assert key[:12] in done.out
    assert receipts(copied.store) == sound, "verify changes nothing"
    (damage,) = w2s("verify", "--store", copied.store, "--json").json
    assert (damage["key"], damage["file"], damage["problem"]) == (key, "model/model.safetensors", "changed")

    assert w2s("verify", "--store", copied.store, "--quarantine").code == 1
    assert key not in receipts(copied.store)
    assert w2s("verify", "--store", copied.store).code == 0
    flipped = [place.read_bytes() for place in (copied.store / "damaged").rglob("model.safetensors")]
    assert len(flipped) == 1, "damage is set aside, not deleted"


def test_only_the_missing_stage_is_made_anew(copied: Finished) -> None:
    key = flip(copied.store, "graded.parquet")
    w2s("verify", "--store", copied.store, "--quarantine")
    left = receipts(copied.store)
    done = w2s("run", copied.recipe, "--store", copied.store, "--pool", "inline")
    assert done.code == 0
    assert "1 stages run" in done.out
    after = receipts(copied.store)
    assert set(after) - set(left) == {key}
    assert {name: after[name] for name in left} == left
    assert table(done.out) == table(copied.done.out), "and it is what it was"


def test_gc_keeps_what_the_recipe_reaches(copied: Finished, tmp_path: Path) -> None:
    before = receipts(copied.store)
    done = w2s("gc", copied.recipe, "--store", copied.store, "--json")
    assert done.json["results"] == []
    assert receipts(copied.store) == before

    naive = write_recipe(tmp_path, "naive.yaml", name="toy", method={"kind": "naive", "members": 2}, baselines=[])
    dry = w2s("gc", naive, "--store", copied.store, "--dry-run", "--json").json
    assert dry["dry_run"] is True
    assert len(dry["results"]) == 3, "the confidence student, its prediction, its grade"
    assert receipts(copied.store) == before, "a dry run deletes nothing"

    assert w2s("gc", naive, "--store", copied.store).out.startswith("deleted 3 results")
    assert set(before) - set(receipts(copied.store)) == set(dry["results"])
    assert w2s("report", naive, "--store", copied.store, "--json").json["rows"][0]["missing"] == []


def test_a_lost_intermediate_is_not_missed_until_it_is_needed(copied: Finished) -> None:
    """Grades are the goals: with all of them there, nothing above is asked for; a new method then remakes what it needs."""
    shutil.rmtree(next(copied.store.glob("??/*/model")).parent)
    assert "0 stages run" in w2s("run", copied.recipe, "--store", copied.store, "--pool", "inline").out
    assert w2s("verify", "--store", copied.store).code == 0
