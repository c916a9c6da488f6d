"""`w2s plan`: what each model needs on its machine, how `auto` decides, and that a wish that cannot be met is told in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.memory import FULL, Device
from tests.w2s.command import w2s, write_recipe
from tests.w2s.conftest import Finished
from w2s import cost, uses
from w2s.fit import local_device
from w2s.learner import Learner, ModelRef
from w2s.machines import Machine
from w2s.work import adapt, evaluate, prompted, tiny
from w2s.work.sizes import count

STRONG: dict[str, Any] = {"source": "tiny:llama", "width": 1024, "depth": 24}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for this file: the same models are counted once."""
    monkeypatch.setenv("W2S_CACHE", str(tmp_path_factory.getbasetemp() / "plan-cache"))


def plan(folder: Path, *args: str, **changes: Any) -> Any:
    recipe = write_recipe(folder, strong__model=STRONG, strong__max_tokens=512, strong__batch=32, **changes)
    return w2s("plan", recipe, "--store", folder / "store", *args)


def test_every_model_has_its_sizes_and_its_memory_by_stage(tmp_path: Path) -> None:
    told = plan(tmp_path, "--json", "--device-memory", "80GB", machines={"strong": {"devices": 4}})
    assert told.code == 0, told.err
    weak, strong = told.json["models"]
    assert list(weak["fit"]["memory"]) == ["plain"]
    assert list(strong["fit"]["memory"]) == ["0", "1", "2", "3"]
    assert strong["sizes"]["parameters"] > 400e6
    assert (strong["fit"]["zero"], strong["fit"]["micro_batch"]) == (0, 8)
    assert strong["fit"]["device_bytes"] == 80e9
    trained = [stage for stage in told.json["stages"] if stage["model"] == 1 and stage["kind"] == "Train"]
    assert trained
    for stage in trained:
        work = stage["work"]
        assert work["steps"] > 0
        assert work["flops"] == pytest.approx(work["tokens"] * 6 * 403e6, rel=0.05)


def test_a_wish_that_cannot_be_met_is_told_and_plan_goes_on(tmp_path: Path) -> None:
    machines = {"strong": {"devices": 4, "zero": 0, "micro_batch": 8}}
    told = plan(tmp_path, "--device-memory", "10GB", machines=machines)
    assert told.code == 0, told.err
    assert "too much for 10.0 GB; set micro_batch: auto, zero: auto" in told.out
    told = plan(tmp_path, "--device-memory", "2GB", machines={"strong": {"devices": 4}})
    assert told.code == 0
    assert "none fits" in told.out
    assert "gradient_checkpointing: true" in told.out


def test_a_model_that_is_not_here_is_a_question_mark(tmp_path: Path) -> None:
    told = w2s("plan", write_recipe(tmp_path, strong__model="nobody/has-this"), "--store", tmp_path / "store")
    assert told.code == 0, told.err
    [line] = [line for line in told.out.splitlines() if line.startswith("has-this ")]
    assert line.count("?") >= 5


def test_a_receipt_of_the_same_model_gives_device_hours(finished: Finished) -> None:
    """A new seed of what was run: nothing is cached, but its speed is known; machines' devices share the work."""
    new = w2s("plan", finished.recipe, "seeds=[7]", "--store", finished.store, "--json").json
    hours = [stage["work"]["device_hours"] for stage in new["stages"] if stage["work"]]
    assert hours
    assert all(hour and 0 < hour < 1 for hour in hours)


@pytest.mark.parametrize("written", ["much", "-1GB", "0", "80XB", ""])
def test_a_bad_amount_of_memory_is_one_clear_line(tmp_path: Path, written: str) -> None:
    told = w2s("plan", write_recipe(tmp_path), "--store", tmp_path / "store", f"--device-memory={written}")
    assert told.code == 2
    assert "--device-memory" in told.err
    assert told.err.count("\n") == 1


def test_a_machine_gets_its_share() -> None:
    assert local_device(Machine(gpus=0.25), 80 * 10**9) == Device(20 * 10**9, gpu=True)
    alone, shared = local_device(Machine(gpus=0)), local_device(Machine(gpus=0, devices=4, nodes=2))
    assert not alone.gpu
    assert shared.bytes == alone.bytes // 2


# --- language models, and parts of rows ----------------------------------------------------------------------------

PIECES = ({"piece": {"index": 0, "count": 3}}, {"piece": {"index": 1, "count": 3}}, {"piece": {"index": 0, "count": 2}})
WRITER: dict[str, Any] = {"source": "tiny:llama", "width": 64, "depth": 2}


def language(folder: Path, method: dict[str, Any]) -> Any:
    recipe = write_recipe(folder, strong__model=WRITER, baselines=[], method=method)
    done = w2s("plan", recipe, "--store", folder / "store", "--json", "--device-memory", "16GB")
    assert done.code == 0, done.err
    return done.json


def test_a_model_that_reads_first_has_its_unembedding_its_logits_and_its_work(tmp_path: Path) -> None:
    told = language(tmp_path, {"kind": "generative", "epochs": 2})
    [adapted] = [model for model in told["models"] if model["use"] == "adapted"]
    [trained] = [m for m in told["models"] if m["use"] == "trained" and m["sizes"]["width"] == 64]
    table = adapted["sizes"]["vocabulary"] * 64
    assert adapted["sizes"]["parameters"] - trained["sizes"]["parameters"] == table, "llama's is not tied"
    assert adapted["sizes"]["learning"] - trained["sizes"]["learning"] == table
    more = (m["fit"]["memory"]["plain"]["activations"] for m in (adapted, trained))
    assert next(more) - next(more) == 16 * adapted["sizes"]["vocabulary"] * 16 * 64, "a batch's logits, four times"
    [stage] = [stage for stage in told["stages"] if stage["kind"] == "Adapt"]
    assert told["models"][stage["model"]] == adapted
    assert stage["work"]["tokens"] == stage["work"]["rows"] * 32 * 2
    assert stage["work"]["steps"] > 0
    train = next(s for s in told["stages"] if s["kind"] == "Train" and told["models"][s["model"]] == trained)
    assert stage["work"]["flops"] / stage["work"]["tokens"] > train["work"]["flops"] / train["work"]["tokens"]


def test_a_model_that_is_asked_keeps_no_gradients_and_reads_its_examples(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    told = language(tmp_path, {"kind": "prompted"})
    [asked] = [model for model in told["models"] if model["use"] == "prompted"]
    [trained] = [m for m in told["models"] if m["use"] == "trained" and m["sizes"]["width"] == 64]
    memory = asked["fit"]["memory"]["plain"]
    assert (asked["sizes"]["learning"], memory["gradients"], memory["optimizer"]) == (0, 0, 0)
    assert memory["weights"] == 4 * asked["sizes"]["parameters"] > 4 * trained["sizes"]["parameters"]
    [stage] = [stage for stage in told["stages"] if stage["kind"] == "Prompted"]
    assert (stage["work"]["rows"], stage["work"]["steps"]) == (60, None)
    assert told["models"][stage["model"]] == asked
    # a store that has no rows yet guesses at 2,000 of them: the half has more than calibration asks about
    for choices, rows, length in (({"shots": 1}, 60, 64), ({"calibrate": "prior"}, 60 + cost.CALIBRATING_ROWS, 32)):
        stages = language(tmp_path / "shots", {"kind": "prompted", **choices})["stages"]
        [again] = [stage["work"] for stage in stages if stage["kind"] == "Prompted"]
        assert (again["rows"], again["tokens"]) == (rows, rows * length), "a question has its examples before it"


def test_the_table_tells_uses_of_one_model_apart(tmp_path: Path) -> None:
    methods = {"method": {"kind": "generative"}, "baselines": [{"kind": "prompted"}]}
    recipe = write_recipe(tmp_path, strong__model=WRITER, **methods)
    told = w2s("plan", recipe, "--store", tmp_path / "store")
    assert told.code == 0, told.err
    named = [line.split("  ")[0] for line in told.out.splitlines() if line.startswith("tiny-llama-64x2")]
    assert sorted(named) == ["tiny-llama-64x2", "tiny-llama-64x2 (adapted)", "tiny-llama-64x2 (prompted)"]


def test_logits_take_what_the_stage_says() -> None:
    assert (uses.LOGITS_BYTES, uses.LOGITS_COPIES * FULL) == (adapt.LOGITS_BYTES, adapt.COPIES)
    assert uses.ASKED_TOKENS == evaluate.PREDICT_TOKENS
    assert cost.CALIBRATING_ROWS == prompted.PRIOR_ROWS


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_whether_an_unembedding_is_tied_is_known_without_the_model(family: str) -> None:
    reference = ModelRef(source=f"tiny:{family}", width=16)
    whole, _ = tiny.build_language_model(reference)
    assert uses.ties(reference) == bool(whole.config.tie_word_embeddings)
    learner = Learner(model=reference)
    counted = uses.sizes_in(uses.Use(learner, "prompted"), count(learner, None))
    assert counted.parameters == sum(weight.numel() for weight in whole.parameters()) + 2 * 16, "and a head of two"


def test_a_piece_of_the_rows_costs_what_its_rows_cost(tmp_path: Path) -> None:
    """Three rungs, each on fresh rows: a third of the strong half, in work and in time."""
    chain = ["strong", "strong", "strong"]
    work, seconds = {}, {}
    for data in ("same", "fresh"):
        (tmp_path / data).mkdir()
        recipe = write_recipe(
            tmp_path / data, strong__model=STRONG, baselines=[],
            method={"kind": "bootstrap", "chain": chain, "data": data},
        )  # fmt: skip
        told = w2s("plan", recipe, "--store", tmp_path / "store", "--json").json["stages"]
        rungs = [
            s for s in told if s["kind"] == "Train" and "weak labels" not in s["name"] and "truth" not in s["name"]
        ]
        work[data], seconds[data] = rungs[-1]["work"], rungs[-1]["rough_seconds"]
    assert work["same"]["rows"] == pytest.approx(3 * work["fresh"]["rows"], abs=3)
    assert work["same"]["flops"] == pytest.approx(3 * work["fresh"]["flops"], rel=0.05)
    assert seconds["same"] - cost.LOAD_S == pytest.approx(3 * (seconds["fresh"] - cost.LOAD_S), rel=0.05)


def test_a_receipt_of_a_whole_half_says_nothing_of_a_piece() -> None:
    rows = {"name": "strong", "seed": 0}
    alike = [cost._like("Train", {"learner": {}, "rows": {**rows, **more}}) for more in ({}, *PIECES)]
    assert alike[0] not in alike[1:]
    assert alike[1] == alike[2] != alike[3]
