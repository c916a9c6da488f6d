"""Hidden states computed once, and heads on them: through the stages, from packaged forms of models to labels of test rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cluster.errors import BadInput
from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.conftest import toy_recipe
from tests.w2s.work.gang import Case, run
from tests.w2s.work.run_stage import Bench
from w2s import bridge
from w2s.labels import LabelTable
from w2s.learner import Learner, ModelRef
from w2s.recipe import Recipe
from w2s.stages import Embed, Given, Predict, Probe, Train, Truth
from w2s.work import features, model, table, tiny
from w2s.work.hidden import Reader

TINY = {"source": "tiny:bert", "width": 32, "depth": 3}


def recipe(**changes: Any) -> Recipe:
    """The toy with probes for learners."""
    strong = {"model": TINY, "probe": {"layer": 2, "l2": 0.01}, "max_tokens": 32}
    weak = {"model": {**TINY, "width": 8, "depth": 1}, "probe": {"l2": 0.01}, "max_tokens": 32}
    data = toy_recipe(weak=weak, strong=strong, baselines=["naive"])
    for path, value in changes.items():
        node = data
        *folders, last = path.split("__")
        for folder in folders:
            node = node[folder]
        node[last] = value
    return Recipe.model_validate(data)


def of(made: Recipe, kind: type[Any]) -> list[Any]:
    return [stage for stage in made.graph().values() if isinstance(stage, kind)]


def test_one_pass_serves_all_seeds_methods_and_halves() -> None:
    made = recipe(seeds=[0, 1, 2])
    assert len(of(made, Embed)) == 2
    assert len(of(made, Probe)) == 3 * 6  # weak (naive's, and the two of the crowd), two students, ceiling
    assert not of(made, Train)


def test_members_of_heads_that_start_from_zero_are_bootstrap_samples() -> None:
    """A seed is nothing to them: members that differed by it alone would be one head."""
    sampled = recipe(method={"kind": "naive", "members": 3}, baselines=[])
    assert len(of(sampled, Probe)) == len(of(sampled, Truth)) + 2 == 5
    drawn = recipe(method={"kind": "naive", "members": 3}, baselines=[], weak__head="normal")
    assert len(of(drawn, Probe)) == 5


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_hidden_states_are_those_of_the_model(family: str, pooling: str) -> None:
    """Against transformers' own states of single texts without padding; layers above the highest are not even computed."""
    reference = ModelRef(source=f"tiny:{family}", width=16, depth=4)
    learner = Learner.model_validate({"model": reference, "pooling": pooling, "probe": {}, "max_tokens": 64})
    body, tokenizer, how = model.load_body(learner)
    whole, _ = tiny.build(reference)
    texts = ["a short one", "and one that goes on and on and on for longer!"]
    rows, _ = tokenizer.encode(texts, 64)
    layers = (0, 2, "middle", -1)
    for chosen in (layers, (1,)):
        reader = Reader(model.load_body(learner)[0], how, chosen, "tiny").eval()
        with torch.no_grad():
            found_BLD = reader(*tokenizer.pad(rows))
            for text, ids in enumerate(rows):
                states = whole.eval()(torch.tensor([ids]), output_hidden_states=True).hidden_states
                for place, layer in enumerate(chosen):
                    index = 2 if layer == "middle" else int(layer)
                    wanted_TD = states[index][0]
                    wanted_D = wanted_TD[-1] if pooling == "last" else wanted_TD.mean(0)
                    assert torch.allclose(found_BLD[text, place], wanted_D, atol=1e-5), (layer, text)
    assert len(list(body.parameters())) > len(list(reader.body.parameters())), "what is above layer 2 of 4 is gone"


def test_a_layer_that_is_not_there() -> None:
    learner = Learner.model_validate({"model": TINY, "probe": {}, "max_tokens": 32})
    body, _, how = model.load_body(learner)
    with pytest.raises(BadInput, match="layer 9, but this model has 3"):
        Reader(body, how, (9,), "tiny")


def test_a_head_learns_and_predicts_through_the_stages(tmp_path: Path) -> None:
    made = recipe(strong__select="best", strong__evaluate=50, strong__probe={"layer": [1, 2], "l2": 0.01, "steps": 100})
    bench = Bench(made, tmp_path)
    student = next(p for p in of(made, Probe) if p.labels is not None and p.loss.kind == "confidence")
    predict = next(p for p in of(made, Predict) if p.model == student and p.rows.name == "test")
    bench.prepare(student)
    metrics, _ = bench.run(student)
    assert metrics["optimizer"] == "adam"
    assert metrics["val_agreement"] == max(p["agreement"] for p in curve(bench.out(student)))
    bench.run(predict)
    told = LabelTable.load(bench.out(predict))
    head = load_file(bench.out(student) / "head.safetensors")
    assert head["weight"].shape == (2, 64), "two layers side by side"
    found = features.read(bench.out(student.features), ("1", "2")).vectors_NKD
    whole = table.read_all(bench.out(student.rows.rows))
    places = [whole.rows.ids.index(row_id) for row_id in told.ids]
    wanted_NC = found[places, 0].double() @ head["weight"].T + head["bias"]
    np.testing.assert_allclose(told.logits_NC, wanted_NC.numpy(), atol=1e-9)
    assert {whole.splits[i] for i in places} == {"test"}


def curve(folder: Path) -> list[dict[str, float]]:
    told: list[dict[str, float]] = json.loads((folder / "curve.json").read_text())
    return told


def test_a_pack_of_students_is_trained_together_and_as_if_alone(tmp_path: Path) -> None:
    """Through store and scheduler: one pass for all, receipts that say so, the bits of each alone."""
    made = recipe(
        seeds=[0, 1, 2], method={"kind": "confidence", "alpha": 0.3}, strong__probe={"l2": "auto", "steps": 40}
    )
    store = Store.open(tmp_path / "store")
    jobs = bridge.jobs(made)
    with store.leases() as leases:
        summary = Scheduler(store, InlinePool(store.url), leases, lambda event: None).run(
            jobs, [stage.key for stage in made.goals()]
        )
    assert summary.exit_code == 0, summary.failures
    students = [p for p in of(made, Probe) if p.labels is not None]
    assert {store.receipt(p.key).hardware["together"] for p in students} == {9}, (
        "two students and the ceiling of three seeds"
    )
    bench = Bench(made, tmp_path / "alone")
    bench.prepare(students[0])
    bench.run(students[0])
    one, other = (
        load_file(place / "head.safetensors") for place in (bench.out(students[0]), store.path(students[0].key))
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert store.verify() == []


def test_candidates_are_scored_by_one_head(tmp_path: Path) -> None:
    """Two texts a row are scored by one head, as when finetuning."""
    made = recipe(task={"kind": "toy", "size": 200, "hard": 0, "n_test": 40, "pairs": True})
    bench = Bench(made, tmp_path)
    student = next(p for p in of(made, Probe) if p.labels is not None)
    bench.prepare(student)
    bench.run(student)
    assert load_file(bench.out(student) / "head.safetensors")["weight"].shape[0] == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_gang_embeds_what_one_device_embeds(tmp_path: Path) -> None:
    """Two ranks, whole and cut up (ZeRO-3), share the rows; a pretrained folder, as ZeRO-3 loads it."""
    folder = tmp_path / "pretrained"
    body, tokenizer = tiny.build(ModelRef(source="tiny:llama", width=32, depth=2))
    body.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    made = recipe(
        strong__model={"source": str(folder)},
        strong__probe={"layer": 1},
        machines={"strong": {"devices": 2, "gpus": 0}},
    )
    bench = Bench(made, tmp_path)
    embed = next(e for e in of(made, Embed) if e.model.form == "local")
    bench.prepare(embed)
    bench.run(embed)
    alone = features.read(bench.out(embed), ("1",)).vectors_NKD
    told = made.model_dump(mode="json")
    cases = [Case("whole", {"zero": 2}), Case("cut", {"zero": 3})]
    for name, result in run(bench.root, told, embed.key, cases, ranks=2).items():
        assert result.errors == [None, None], name
        assert torch.allclose(features.read(result.out, ("1",)).vectors_NKD, alone, atol=1e-5), name


def test_labels_that_came_with_the_rows_supervise(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 6)).astype(np.float32)
    label = (x[:, 0] > 0).astype(np.int64)
    weak = 1 / (1 + np.exp(-(x[:, 0] + generator.normal(size=400))))
    file = tmp_path / "data.npz"
    np.savez(file, label=label, vectors=x, weak=weak.astype(np.float32))
    data = {
        "name": "given", "task": {"kind": "features", "path": str(file)}, "method": "naive",
        "weak": {"model": "given:weak"}, "strong": {"model": "features:vectors", "probe": {"l2": 0.01}},
    }  # fmt: skip
    made = Recipe.model_validate(data)
    bench = Bench(made, tmp_path)
    bench.all(made.graph().values())
    [floor] = [stage for stage in of(made, Given) if stage.rows.name == "test"]
    found = LabelTable.load(bench.out(floor))
    whole = table.read_all(bench.out(floor.rows.rows))
    assert set(found.ids) == {i for i, split in zip(whole.rows.ids, whole.splits, strict=True) if split == "test"}
    came = {round(float(p), 6) for p in weak.astype(np.float32)}
    assert {round(float(p), 6) for p in found.probs_NC[:, 1]} <= came
    with pytest.raises(BadInput, match="no such column of vectors"):
        bench.run(
            next(iter(of(Recipe.model_validate({**data, "strong": {"model": "features:vektors", "probe": {}}}), Embed)))
        )
