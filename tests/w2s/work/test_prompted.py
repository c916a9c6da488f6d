"""The Prompted stage, held against transformers' own forward pass over prompts put together here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.work import gang
from tests.w2s.work.run_stage import Bench
from w2s.labels import LabelTable
from w2s.learner import ModelRef
from w2s.recipe import Recipe
from w2s.stages import Prompted
from w2s.work import language
from w2s.work.prompted import answers
from w2s.work.prompted import shown as shown_ids
from w2s.work.table import RowTable, read

TEMPLATE = {"template": "{text}\nGood? ", "words": ["0", "1"]}


def raw(model: Any, task: dict[str, Any] | None = None, **method: Any) -> dict[str, Any]:
    """The toy recipe with a prompted strong model; `method` holds the method's choices."""
    method = {"kind": "prompted", "prompt": TEMPLATE, **method}
    return toy_recipe(
        strong__model=model, strong__max_tokens=400, method=method, baselines=[], **({"task": task} if task else {})
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Language models as folders, with a logit cap on one: what a model does to its logits counts."""
    made = {}
    for family in ("gpt2", "llama"):
        place = tmp_path_factory.mktemp(family)
        whole, tokenizer = language.load(ModelRef(source=f"tiny:{family}"))
        language.save(whole, tokenizer, whole.state_dict(), place)
        made[family] = place
    place = tmp_path_factory.mktemp("gemma")
    tokenizer = language.load(ModelRef(source="tiny:llama"))[1]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.Gemma2Config(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=32,
            head_dim=8, vocab_size=259, final_logit_softcapping=0.5, initializer_range=0.5, pad_token_id=0, bos_token_id=1,
            eos_token_id=2,
        )  # fmt: skip
        transformers.Gemma2ForCausalLM(config).save_pretrained(place)
    tokenizer.save(place)
    made["gemma"] = place
    return made


def run(folder: Path, told: dict[str, Any]) -> tuple[Bench, Prompted, LabelTable, dict[str, Any]]:
    recipe = Recipe.model_validate(told)
    stage = next(s for s in recipe.graph().values() if isinstance(s, Prompted))
    bench = Bench(recipe, folder)
    bench.prepare(stage)
    metrics, _ = bench.run(stage)
    return bench, stage, LabelTable.load(bench.out(stage)), metrics


def part(bench: Bench, stage: Prompted, name: str = "rows") -> RowTable:
    found: RowTable = read(bench.out(stage.rows.rows), stage.science()[name], name)
    return found


def direct(folder: Path, prompts: list[str], words: list[str]) -> np.ndarray:
    """The words' probabilities as the next token, one prompt at a time, as transformers has them."""
    whole = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.convert_tokens_to_ids(words)
    with torch.no_grad():
        found = [whole(**tokenizer(p, return_tensors="pt")).logits[0, -1].double().softmax(-1)[ids] for p in prompts]
    return torch.stack(found).numpy()


def one(probs_NW: np.ndarray) -> np.ndarray:
    return probs_NW / probs_NW.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma"])
def test_zero_shot_is_the_models_own_next_word(family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    place = folders[family]
    bench, stage, table, metrics = run(tmp_path, raw({"source": str(place)}, calibrate="none"))
    rows = part(bench, stage)
    wanted = direct(place, [f"{text}\nGood? " for (text,) in rows.texts], ["0", "1"])
    np.testing.assert_allclose(table.join(rows.ids, "").probs_NC, one(wanted), atol=1e-6)
    assert metrics["words_probability"] == pytest.approx(wanted.sum(axis=1).mean(), rel=1e-5)
    assert np.ptp(one(wanted)[:, 0]) > 1e-3, "texts differ"
    np.testing.assert_allclose(np.exp(table.logits_NC), table.probs_NC, atol=1e-12)


def test_content_free_calibration_divides_by_what_is_said_of_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    place = folders["gpt2"]
    bench, stage, table, metrics = run(tmp_path, raw({"source": str(place)}))
    rows = part(bench, stage)
    own = one(direct(place, [f"{text}\nGood? " for (text,) in rows.texts], ["0", "1"]))
    blank = one(direct(place, [f"{text}\nGood? " for text in ("N/A", "", "[MASK]")], ["0", "1"])).mean(axis=0)
    np.testing.assert_allclose(table.join(rows.ids, "").probs_NC, one(own / blank), atol=1e-6)
    assert np.exp(metrics["bias"][0] - metrics["bias"][1]) == pytest.approx(blank[1] / blank[0], rel=1e-5)


@pytest.mark.parametrize("labels", ["gold", "weak"])
def test_few_shot_shows_balanced_rows_of_the_strong_half(labels: str, folders: dict[str, Path], tmp_path: Path) -> None:
    place = folders["llama"]
    told = raw({"source": str(place)}, shots=3, shot_labels=labels, calibrate="none")
    bench, stage, table, metrics = run(tmp_path, told)
    rows, half = part(bench, stage), part(bench, stage, "drawn_from")
    shown = (bench.out(stage) / "question.txt").read_text().removesuffix("\nGood? ")
    pairs = [block.rsplit("\nGood? ", 1) for block in shown.split("\n\n")[:3]]
    by_text = {text: i for i, (text,) in enumerate(half.texts)}
    truth = list(half.labels)
    if labels == "weak":
        assert stage.shot_labels is not None
        truth = LabelTable.load(bench.out(stage.shot_labels)).join(half.ids, "").probs_NC.argmax(axis=1).tolist()
    assert [int(word) for _, word in pairs] == [truth[by_text[text]] for text, _ in pairs]
    assert metrics["shots"] == [[word for _, word in pairs].count(label) for label in "01"]
    assert shown_ids(bench.out(stage)) == {half.ids[by_text[text]] for text, _ in pairs}
    if labels == "gold":
        assert sorted(metrics["shots"]) == [1, 2]
    wanted = one(direct(place, [f"{shown}{text}\nGood? " for (text,) in rows.texts], ["0", "1"]))
    np.testing.assert_allclose(table.join(rows.ids, "").probs_NC, wanted, atol=1e-6)


def test_prior_calibration_gives_the_half_the_weak_labels_shares(folders: dict[str, Path], tmp_path: Path) -> None:
    bench, stage, _, _ = run(tmp_path, raw({"source": str(folders["gpt2"])}, calibrate="prior"))
    assert stage.prior is not None
    assert stage.drawn_from is not None
    weak = LabelTable.load(bench.out(stage.prior)).probs_NC.mean(axis=0)
    again = stage.on(stage.drawn_from)
    bench.run(again)
    mean = LabelTable.load(bench.out(again)).probs_NC.mean(axis=0)
    np.testing.assert_allclose(mean, weak, atol=1e-6)  # all 107 rows of the half are asked about


def test_neighbours_have_no_say(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in batches of one, and in batches of many, padded: the last token is found by the mask."""
    told = raw({"source": str(folders["llama"])}, shots=2)
    _, _, together, _ = run(tmp_path / "a", told)
    monkeypatch.setattr("w2s.work.evaluate.PREDICT_TOKENS", 1)
    _, _, alone, _ = run(tmp_path / "b", told)
    np.testing.assert_allclose(together.join(alone.ids, "").probs_NC, alone.probs_NC, atol=1e-6)


def test_candidates_are_asked_about_one_by_one(folders: dict[str, Path], tmp_path: Path) -> None:
    place = folders["gpt2"]
    task = {"kind": "toy", "size": 240, "n_test": 20, "pairs": True}
    bench, stage, table, metrics = run(tmp_path, raw({"source": str(place)}, task, shots=2, shot_labels="gold"))
    rows, half = part(bench, stage), part(bench, stage, "drawn_from")
    shown = (bench.out(stage) / "question.txt").read_text().removesuffix("\nGood? ")
    right = {
        text: int(k == row) for texts, row in zip(half.texts, half.labels, strict=True) for k, text in enumerate(texts)
    }
    pairs = [block.rsplit("\nGood? ", 1) for block in shown.split("\n\n")[:2]]
    assert [right[text] for text, _ in pairs] == [int(word) for _, word in pairs]
    assert metrics["shots"] == [1, 1]
    asked = direct(place, [f"{shown}{text}\nGood? " for texts in rows.texts for text in texts], ["0", "1"])
    odds = (asked[:, 1] / asked[:, 0]).reshape(-1, 2)
    np.testing.assert_allclose(table.join(rows.ids, "").probs_NC, one(odds), atol=1e-6)


def test_two_answers_are_the_preference_of_a_reward_model() -> None:
    """P(first) = sigmoid(r1 - r2), r the log odds."""
    logits_MW = np.log(np.array([[0.2, 0.8], [0.5, 0.5]]))
    probs_NC, _ = answers(logits_MW, 2)
    np.testing.assert_allclose(probs_NC, [[0.8, 0.2]], atol=1e-12)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    tiny = {"source": "tiny:gpt2"}
    for told, match in (
        (raw(tiny, prompt={**TEMPLATE, "words": ["0", "1", "2"]}), "3 words, 0/1/2, and this task needs 2"),
        (raw({"source": "tiny:bert"}), "Bert predicts no next word"),
        ({**raw(tiny), "strong": {**raw(tiny)["strong"], "max_tokens": 513}}, "reads at most 512"),
    ):
        with pytest.raises(BadInput, match=match):
            run(tmp_path, told)


def test_keys_share_what_nothing_is_drawn_for() -> None:
    """Zero-shot answers are the same for every seed; shots and priors are drawn anew."""

    def keys(**method: Any) -> set[str]:
        graph = Recipe.model_validate({**raw("tiny:gpt2", **method), "seeds": [0, 1]}).graph().values()
        return {stage.key for stage in graph if isinstance(stage, Prompted)}

    assert len(keys()) == len(keys(shot_labels="gold")) == len(keys() | keys(shot_labels="gold")) == 1
    assert len(keys(shots=5)) == len(keys(calibrate="prior")) == 2
    several = [
        keys(),
        keys(shots=5),
        keys(shots=5, shot_labels="gold"),
        keys(calibrate="none"),
        keys(calibrate="prior"),
    ]
    assert len(set.union(*several)) == 8


@pytest.mark.slow
def test_a_gang_asks_a_model_that_is_cut_up(folders: dict[str, Path], tmp_path: Path) -> None:
    told = raw({"source": str(folders["llama"])}, shots=2)
    bench, stage, alone, _ = run(tmp_path, told)
    found = gang.run(bench.root, told, stage.key, [gang.Case("zero3", {"zero": 3})], ranks=2)["zero3"]
    assert found.errors == [None, None]
    together = LabelTable.load(found.out)
    np.testing.assert_allclose(together.join(alone.ids, "").probs_NC, alone.probs_NC, atol=1e-6)
    assert all(fact["held"] < fact["whole"] / 4 for fact in found.facts), "no rank held the model"
