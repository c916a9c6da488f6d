"""A task of written answers from recipe to report: what works unchanged, and one line for whatever needs probabilities."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml

from cluster.store import Store
from tests.w2s.command import Done, w2s
from tests.w2s.puzzles import moves_recipe, write_puzzles
from w2s import registry
from w2s.answers import AnswerTable
from w2s.cost import Rates
from w2s.load import load
from w2s.stages import Adapt, Generate, GradeAnswers, Rows, Stage, Write, walk
from w2s.uses import Use, sizes_in, use_of
from w2s.work import graded
from w2s.work.encode import Tokenizer
from w2s.work.script import Script
from w2s.work.sizes import count
from w2s.work.table import read_all

WRITING = ("bootstrap", "ceiling", "finetune", "floor", "naive", "s2s", "self_distill")


def recipe_file(folder: Path, **changes: Any) -> Path:
    file = folder / "moves.yaml"
    told = json.loads(json.dumps(moves_recipe(write_puzzles(folder, 120), **changes)))
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
    return file


@dataclass(frozen=True)
class Ran:
    recipe: Path
    store: Path
    done: Done

    @property
    def stages(self) -> dict[str, Stage]:
        return load(str(self.recipe)).graph()

    def out(self, stage: Stage) -> Path:
        return self.store / stage.key[:2] / stage.key


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Naive, and a ladder on fresh rows, run whole with learners that do find some moves."""
    folder = tmp_path_factory.mktemp("moves")
    file = recipe_file(folder, baselines=[{"kind": "bootstrap", "data": "fresh"}], weak__epochs=6, strong__epochs=8)
    store = folder / "store"
    return Ran(file, store, w2s("run", file, "--store", store, "--pool", "inline", "--plain"))


def test_naive_and_bootstrap_run_to_a_report(ran: Ran) -> None:
    assert ran.done.code == 0, ran.done.err
    told = w2s("report", ran.recipe, "--store", ran.store, "--json").json
    naive, ladder = told["rows"]
    assert told["chance"] == 0.0
    assert 0 < told["majority"] < 1
    assert [row["seeds"] for row in (naive, ladder)] == [[0], [0]]
    assert naive["ceiling"]["mean"] > 0, "it learned some moves"
    assert 0 <= naive["agreement"] <= 1
    assert "rung 1" in ladder["members"]


def test_grades_are_counted_by_hand(ran: Ran) -> None:
    stages = ran.stages
    [rows] = [stage for stage in stages.values() if isinstance(stage, Rows)]
    whole = read_all(ran.out(rows))
    truth = dict(zip(whole.rows.ids, whole.rows.answers or (), strict=True))
    test = {row_id for row_id, split in zip(whole.rows.ids, whole.splits, strict=True) if split == "test"}
    receipt = json.loads((ran.out(rows) / "receipt.json").read_text())["metrics"]
    answers = [truth[row_id] for row_id in test]
    assert receipt["majority"] == max(map(answers.count, answers)) / len(answers)
    graded_stages = [stage for stage in stages.values() if isinstance(stage, GradeAnswers)]
    assert len(graded_stages) == 1 + 2 + 3
    for stage in graded_stages:
        table = AnswerTable.load(ran.out(stage.labels))
        assert set(table.ids) == test
        right = {
            row_id: text.strip() == truth[row_id].strip() for row_id, text in zip(table.ids, table.texts, strict=True)
        }
        ids, flags = graded.read(ran.out(stage))
        assert dict(zip(ids, flags.tolist(), strict=True)) == right
        metrics = json.loads((ran.out(stage) / "receipt.json").read_text())["metrics"]
        assert metrics["accuracy"] == pytest.approx(sum(right.values()) / len(right))
        assert ("agreement" in metrics) == (stage.supervisor is not None)


def test_fixed_ends_and_curves_are_as_anywhere_and_diagnostics_are_refused(ran: Ran) -> None:
    fixed = w2s("report", ran.recipe, "--store", ran.store, "--fixed", "--json")
    assert fixed.code == 0, fixed.err
    assert fixed.json["rows"][0]["fixed"] is not None
    assert w2s("report", ran.recipe, "--store", ran.store, "--curves").code == 0
    refused = w2s("report", ran.recipe, "--store", ran.store, "--diagnostics")
    assert refused.code == 2
    assert "need class probabilities; task chess answer: move has written answers" in flat(refused.err)


def test_the_second_run_starts_nothing(ran: Ran) -> None:
    again = w2s("run", ran.recipe, "--store", ran.store, "--pool", "inline", "--plain")
    assert again.code == 0
    assert "0 stages run" in again.out + again.err


def test_what_is_exported_is_a_language_model_that_writes_the_same(ran: Ran, tmp_path: Path) -> None:
    to = tmp_path / "student"
    done = w2s("export", ran.recipe, "--store", ran.store, "--to", to, "--json")
    assert done.code == 0, done.err
    stages = ran.stages
    student = stages[done.json["key"]]
    assert isinstance(student, Write)
    assert student.labels is not None
    card = (to / "README.md").read_text()
    assert "to write the answers (a causal language model)" in card
    assert "text-generation" in card
    [code] = re.findall(r"```python\n(.*?)```", card, flags=re.S)
    asked = next(s for s in stages.values() if isinstance(s, Generate) and s.model.key == student.key)
    table = AnswerTable.load(ran.out(asked))
    whole = read_all(ran.out(asked.rows.rows)).rows
    prompt = dict(zip(whole.ids, (texts[0] for texts in whole.texts), strict=True))[table.ids[0]]
    found: dict[str, Any] = {}
    shown = code.replace('folder = "."', f"folder = {str(to)!r}").replace('"A text to be answered."', repr(prompt))
    exec(shown, found)
    assert found["answer"] == table.texts[0]
    model = transformers.AutoModelForCausalLM.from_pretrained(to, dtype=torch.float32)
    its = Tokenizer(transformers.AutoTokenizer.from_pretrained(to), model.config.vocab_size)
    assert Script(its, 100, 10).end == model.config.eos_token_id
    by_key = w2s("export", ran.recipe, "--store", ran.store, "--to", tmp_path / "again", "--stage", student.key[:12])
    assert by_key.code == 0, by_key.err


def test_a_plan_counts_writers_with_their_unembedding(ran: Ran) -> None:
    """As an adapted model, and the same for asking as for training; a step of a plan is one of training."""
    stages = ran.stages.values()
    write = next(stage for stage in stages if isinstance(stage, Write))
    asked = next(stage for stage in stages if isinstance(stage, Generate) and stage.model.key == write.key)
    use = use_of(write)
    assert use == use_of(asked) == Use(write.learner, "writing")
    counted = count(write.learner, None)
    assert sizes_in(use, counted) == sizes_in(Use(write.learner, "adapted"), counted) != counted
    rates = Rates(Store.open(str(ran.store)), stages)
    assert rates.seconds(write) is not None
    training, asking = rates.work(write, counted), rates.work(asked, counted)
    assert training is not None
    assert asking is not None
    assert (training.steps or 0) > 0
    assert asking.steps is None
    assert asking.flops < training.flops


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("kind", registry.names("methods"))
def test_a_method_writes_or_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    """Every method there is: those that plan nothing but writing are legal, all others end in one line and exit code 2."""
    done = w2s("check", recipe_file(tmp_path, method={"kind": kind}, split={"val": 0.1}))
    if kind in WRITING:
        assert done.code == 0, done.err
        stages = load(str(tmp_path / "moves.yaml")).graph().values()
        assert {type(stage) for stage in stages} == {Rows, Write, Generate, GradeAnswers}
        return
    assert done.code == 2
    told = (
        f"method: {kind} needs class probabilities; task chess answer: move has written answers; use naive or bootstrap"
    )
    assert told in flat(done.err)
    assert len(done.err.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    ("method", "label"),
    [
        ({"kind": "naive", "members": 3}, "naive members=3"),
        ({"kind": "self_distill", "loss": {"kind": "confidence"}}, "self_distill loss=confidence"),
        (
            {"kind": "bootstrap", "chain": [{"learner": "strong", "loss": {"kind": "entropy"}}, "strong"]},
            "bootstrap chain=",
        ),
    ],
)
def test_a_crowd_and_other_losses_are_refused(method: dict[str, Any], label: str, tmp_path: Path) -> None:
    done = w2s("check", recipe_file(tmp_path, method=method))
    assert done.code == 2
    assert f"method: {label}" in flat(done.err)
    assert "needs class probabilities" in flat(done.err)


def test_an_ensemble_of_one_and_hard_rungs_are_legal(tmp_path: Path) -> None:
    file = recipe_file(tmp_path, method={"kind": "ensemble", "members": 1, "loss": {"kind": "xent"}})
    assert w2s("check", file).code == 0
    hard = {"kind": "bootstrap", "chain": [{"learner": "strong", "labels": "hard"}, "strong"]}
    assert w2s("check", recipe_file(tmp_path, method=hard)).code == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"strong": {"model": "tiny:gpt2", "probe": {}}, "split": {"val": 0.1}},
            "strong.probe: a head on hidden states writes nothing; drop probe",
        ),
        (
            {"strong__evaluate": "epoch", "split": {"val": 0.1}},
            "strong.evaluate: epoch needs class probabilities of held-out",
        ),
        (
            {"weak__evaluate": 5, "weak__select": "best", "split": {"val": 0.1}},
            "weak.select: best needs class probabilities of held-out rows; set select: last",
        ),
        ({"weak__head": "normal"}, "weak.head: a writer has no head"),
        ({"weak__pooling": "mean"}, "weak.pooling: a writer has no head"),
        ({"strong__optim": {"head_lr": 0.1}}, "strong.optim.head_lr: a writer has no head"),
        ({"strong__trainable_layers": 0}, "strong.trainable_layers: 0 leaves nothing that could learn"),
        ({"strong__max_tokens": 10}, "strong.max_tokens: 10 leaves no room beside an answer's 10"),
        ({"strong__model": {"source": "tiny:bert"}}, "(bert) predicts no next word"),
        (
            {"weak__model": {"source": "static:./x.safetensors", "tokenizer": "./y.json"}},
            "is no language model; take a causal one",
        ),
        ({"task__form": "candidates"}, "leave form out"),
    ],
)
def test_a_learner_that_cannot_write_is_refused_in_one_line(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    done = w2s("check", recipe_file(tmp_path, **changes))
    assert done.code == 2
    assert said in flat(done.err), done.err
    assert "Traceback" not in done.err


def test_no_graph_of_classes_knows_of_writing() -> None:
    kinds = {type(stage) for name in ("burns/chess", "quickstart") for stage in walk(*load(name).goals()).values()}
    assert not kinds & {Write, Generate, GradeAnswers, Adapt}
