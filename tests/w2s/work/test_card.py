"""The card: its text, that nothing leaks or breaks out of it, and that what it says about loading is true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from cluster.job import Context
from tests.conftest import ROOT, toy_recipe
from tests.w2s.command import OFFLINE, check_golden
from tests.w2s.work.run_stage import Bench, Ledger
from w2s import bridge
from w2s.learner import Learner
from w2s.losses.xent import Config as Xent
from w2s.recipe import Recipe
from w2s.stages import Train
from w2s.work import body as bodies
from w2s.work import card
from w2s.work.card import Facts, Recovery
from w2s.work.model import describe, load, save

TEXTS = ["A first text.", "Another, somewhat longer text."]  # those of the card
RECOVERY = Recovery(
    "sciq", "confidence alpha=0.5", (0, 1), 800, "0.676 [0.644, 0.708]", "0.746", "0.779", "0.68 [0.43, 0.96]"
)
LORA = {"rank": 4}


def learner(source="tiny:gpt2", **fields) -> Learner:
    tokenizer = {"tokenizer": fields.pop("tokenizer")} if "tokenizer" in fields else {}
    return Learner(**{"model": {"source": source, **tokenizer}, "max_tokens": 64, "head": "normal", **fields})


def facts(spec: Learner, **changes) -> Facts:
    about = {"form": "transformers", "pooling": "last", "n_outputs": 2}
    found = Facts(
        name="toy/train tiny-gpt2-32x2 on strong (tiny-bert labels, xent) s0",
        key="0123456789abcdef" * 4,
        task="toy",
        part="strong",
        rows=1234,
        labels="toy/predict strong by tiny-bert-8x1 on weak (truth, xent) s0",
        seed=0,
        learner=spec.dump(),
        loss=Xent().dump(),
        about=about,
        metrics={"rows": 1234, "steps": 78, "loss": 0.69314718, "select": "last", "tokens_per_s": 1e5},
        versions={"w2s": "0.1.0", "torch": "2.13.0"},
    )
    return replace(found, **changes)


def front_matter(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


@pytest.mark.parametrize(
    ("name", "spec", "changes"),
    [
        ("student", learner("org/model-7B", lora=LORA), {"recovery": RECOVERY}),
        ("supervisor", learner("static:./vectors.safetensors", tokenizer="./t.json"), {"labels": "ground truth"}),
    ],
)
def test_the_text(name, spec, changes):
    if name == "supervisor":
        changes["about"] = {"form": "static", "pooling": "mean", "n_outputs": 1}
    check_golden(f"card/{name}.md", card.card(facts(spec, **changes)))


def test_the_front_matter_is_what_the_hub_expects():
    found = front_matter(card.card(facts(learner("org/model-7B", lora=LORA))))
    assert found == {
        "base_model": "org/model-7B",
        "library_name": "transformers",
        "tags": ["w2s", "weak-to-strong", "text-classification", "lora"],
        "license": "unknown",
    }
    assert "base_model" not in front_matter(card.card(facts(learner()))), "only a hub id means something there"


def test_no_local_path_is_told(tmp_path):
    spec = learner(f"static:{tmp_path}/secret/vectors.safetensors", tokenizer=f"{tmp_path}/secret/t.json")
    text = card.card(facts(spec))
    assert "secret" not in text
    assert "./vectors.safetensors" in text.replace("\\", "")
    local = card.card(facts(learner(str(tmp_path / "models" / "mine"))))
    assert str(tmp_path) not in local
    assert "mine" in local


def test_a_name_cannot_break_out_of_its_place():
    evil = "x`\n---\nlicense: mit\n# <script>alert(1)</script> | [a](http://b) ```" + "y" * 1000
    found = facts(learner(), task=evil, part=evil, labels=evil, metrics={evil: evil}, versions={evil: evil}, name=evil)
    text = card.card(replace(found, recovery=replace(RECOVERY, recipe=evil, method=evil)))
    assert front_matter(text)["license"] == "unknown"
    assert not re.search(r"(?<!\\)<script", re.sub(r"`[^`\n]*`", "", text))
    assert "y" * card.LONGEST not in text
    assert text.count("```") == 2, "one block of code, and it is ours"
    assert len([line for line in text.splitlines() if line.startswith("# ")]) == 1


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"kept": 1234, "dropped": 0}, "Learned from 1,234 rows of the part"),
        ({"kept": 900, "dropped": 0}, "Learned from 900 of 1,234 rows (left out: 334 of weight 0) of the part"),
        (
            {"kept": 1234, "dropped": 6},
            "Learned from 1,234 of 1,240 rows (left out: 6 longer than 64 tokens) of the part",
        ),
        (
            {"kept": 900, "dropped": 6},
            "900 of 1,240 rows (left out: 334 of weight 0 and 6 longer than 64 tokens) of the part",
        ),
    ],
    ids=["all", "filtered", "too long", "both"],
)
def test_rows_that_taught_nothing_are_not_counted_as_learned_from(metrics, said):
    """Filters give weight 0 to labels that are not trusted; `too_long: drop` leaves rows out."""
    assert said in card.card(facts(learner(), metrics={"rows": 1234, **metrics}))


def saved(place: Path, spec: Learner) -> torch.Tensor:
    """A model in a folder with its card; returns our logits for the card's texts."""
    model, tokenizer = load(spec, 2, 0)
    with torch.no_grad():
        for name, weight, _ in model.trainable():
            if "lora_B" in name:
                weight.normal_(0.0, 0.05, generator=torch.Generator().manual_seed(3))
    save(model, tokenizer, place, {"learner": spec.dump()})
    card.write(place, facts(spec, about=describe(place)))
    with torch.no_grad():
        return model(*tokenizer.pad(tokenizer.encode(TEXTS, spec.max_tokens)[0]))


def code_of(place: Path) -> str:
    [code] = re.findall(r"```python\n(.*?)```", (place / card.README).read_text(), flags=re.DOTALL)
    return code


def run_here(place: Path, monkeypatch) -> torch.Tensor:
    """The card's code in this process: its logits."""
    monkeypatch.chdir(place)
    found: dict = {}
    with bodies.quiet():
        exec(code_of(place), found)
    return found["logits"]


def run_card(place: Path, *names: str) -> dict[str, torch.Tensor]:
    """The card's code as anyone would run it: a fresh process in the folder, which never sees this project."""
    after = f"""
import sys
from safetensors.torch import save_file
assert not {{"w2s", "cluster", "peft"}} & set(sys.modules), "it needs nothing of ours"
save_file({{name: globals()[name].contiguous() for name in {names!r}}}, "found.safetensors")
"""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place), "HF_HUB_OFFLINE": "1", "PYTHONSAFEPATH": "1", **OFFLINE}
    done = subprocess.run(
        [sys.executable, "-c", code_of(place) + after],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return load_file(place / "found.safetensors")


@pytest.mark.parametrize(
    "spec",
    [learner("tiny:bert"), learner("tiny:gpt2", lora=LORA), learner("tiny:llama")],
    ids=["bert", "gpt2 with LoRA", "llama"],
)
def test_the_code_it_shows_gives_our_logits_without_us(spec, tmp_path):
    expected = saved(tmp_path, spec)
    found = run_card(tmp_path, "hidden", "logits")
    torch.testing.assert_close(found["logits"], expected, atol=1e-5, rtol=1e-5)
    if spec.lora is None:
        model, tokenizer = load(spec, 2, 0)
        ids, mask = tokenizer.pad(tokenizer.encode(TEXTS, spec.max_tokens)[0])
        with torch.no_grad():
            ours = model.body(input_ids=ids, attention_mask=mask).last_hidden_state
        torch.testing.assert_close(found["hidden"], ours)


def test_the_first_token_is_pooled_as_shown(tmp_path, monkeypatch):
    expected = saved(tmp_path, learner("tiny:bert", pooling="cls"))
    torch.testing.assert_close(run_here(tmp_path, monkeypatch), expected, atol=1e-5, rtol=1e-5)


def test_word_vectors_load_as_shown(tmp_path, monkeypatch):
    load(learner("tiny:llama"), 2, 0)[1].save(tmp_path)
    vectors = torch.randn(259, 12, generator=torch.Generator().manual_seed(0))
    save_file({"table": vectors}, tmp_path / "vectors.safetensors")
    spec = learner(f"static:{tmp_path}/vectors.safetensors", tokenizer=str(tmp_path / "tokenizer.json"))
    expected = saved(tmp_path / "model", spec)
    torch.testing.assert_close(run_here(tmp_path / "model", monkeypatch), expected)


def test_what_a_training_stage_knows(tmp_path):
    """Of its teacher it knows the name from the receipt, and the key where there is none."""
    recipe = Recipe.model_validate(toy_recipe())
    student = next(s for s in recipe.graph().values() if isinstance(s, Train) and s.labels is not None)
    spec = student.learner
    context = _context(Bench(recipe, tmp_path), student)
    save(*load(spec, 2, 0), context.out / "model", {"learner": spec.dump()})
    found = card.of_training(context, {"rows": 5, "steps": 1})
    assert (found.part, found.rows, found.seed, found.task) == ("strong", 5, student.seed, "toy")
    assert found.labels == f"stage {student.labels.key}"
    folder = context.inputs[student.labels.key]
    folder.mkdir(parents=True)
    (folder / "receipt.json").write_text(json.dumps({"name": bridge.name(student.labels)}))
    assert bridge.name(student.labels) in card.of_training(context, {}).labels
    card.write(context.out / "model", found)
    text = (context.out / "model" / card.README).read_text()
    assert student.key in text
    assert str(ROOT) not in text


def _context(bench, stage):
    job = bridge.job(bench.recipe, stage)
    bench.out(stage).mkdir(parents=True)
    inputs = {key: bench.root / key / "out" for key in job.needs}
    return Context(
        key=job.key, name=job.name, science=job.science, machines=job.machines, inputs=inputs,
        out=bench.out(stage), work=bench.root / "work", watch=Ledger(),
    )  # fmt: skip
