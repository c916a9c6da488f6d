"""Bad input and a bad environment: an exit code that says which, one clear line, no traceback, finished work kept.

What each says is in `tests/golden/errors/` (W2S_UPDATE_GOLDEN=1 rewrites those files).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import toy_recipe
from tests.w2s.command import Done, check_golden, finish, process, receipts, w2s, write_recipe

Rows = list[dict[str, Any]]
NAIVE: dict[str, Any] = {"method": {"kind": "naive"}, "baselines": []}


def said(done: Done, folder: Path) -> str:
    """stderr without what differs between machines and days: folders, keys, lists that grow with every new file, and the
    lines of the toy recipe (`test_load` checks that lines are right)."""
    text = done.err.replace(str(folder), "TMP")
    text = re.sub(r"[0-9a-f]{64}", "KEY", text)
    text = re.sub(r"[0-9a-f]{16}(, [0-9a-f]{16})*", "IDS", text)
    text = re.sub(r"toy\.yaml:\d+", "toy.yaml:LINE", text)
    return re.sub(r"There are: [^;\n(]*[^;\n( ]", "There are: ...", text)


def check(name: str, done: Done, code: int, folder: Path) -> None:
    assert "Traceback" not in done.err + done.out
    assert done.code == code, done.err
    check_golden(f"errors/{name}.txt", said(done, folder))


# ---- recipes


RECIPES: dict[str, dict[str, Any]] = {
    "unknown_field": {"method__alhpa": 0.3},
    "unknown_nested_field": {"weak__optim__lrr": 1},
    "unknown_top_field": {"sedes": 3},
    "wrong_type": {"weak__epochs": "many"},
    "wrong_type_of_choice": {"strong__evaluate": "sometimes"},
    "wrong_element": {"seeds": [0, "one"]},
    "out_of_range": {"method__alpha": 2},
    "two_faults": {"method__alpha": 2, "weak__batch": 2.5},
    "no_such_method": {"method": {"kind": "lader"}},
    "no_such_baseline": {"baselines": ["niave"]},
    "no_such_loss": {"method": {"kind": "ensemble", "loss": "xentt"}},
    "no_such_task": {"task": {"kind": "toi"}},
    "micro_batch_does_not_divide": {"machines__weak__micro_batch": 5},
    "not_a_hub_id": {"strong__model": "a/b/c"},
    "unpinned_pip_model": {"strong__model": "pip:some-model==1.0/model"},
    "no_tiny_model": {"strong__model": {"source": "tiny:t5"}},
    "no_seed": {"seeds": 0},
    "seed_as_count": {"seeds": 123456789},
    "repeated_seed": {"seeds": [1, 1]},
    "name_leaves_the_folder": {"name": "../elsewhere"},
    "selection_without_evaluation": {"weak__select": "best"},
    "three_classes_for_the_reference": {
        "task": {"kind": "file", "path": "rows.jsonl", "text": "text", "n_classes": 3},
        "method": {"kind": "confidence", "variant": "reference"},
    },
    "label_outside_classes": {"task": {"kind": "file", "path": "rows.jsonl", "text": "text", "labels": {"a": 0, "b": 5}}},
    "missing_data_file": {"task": {"kind": "file", "path": "no-such.jsonl", "text": "text"}},
    "missing_model_folder": {"strong__model": "./no-such-model"},
    "batch_does_not_divide_over_devices": {"machines": {"strong": {"devices": 3}}},
    "micro_batch_does_not_divide_a_share": {"machines": {"strong": {"devices": 2, "micro_batch": 3}}},
    "devices_over_nodes": {"machines": {"strong": {"devices": 4, "nodes": 3}}},
    "no_such_zero_stage": {"machines": {"strong": {"zero": 4}}},
    "compile_under_zero_3": {"machines": {"strong": {"devices": 2, "zero": 3, "compile": True}}},
    "layers_of_vectors": {
        "task": {"kind": "features", "path": "rows.npz"},
        "weak": {"model": "given:weak"},
        "strong": {"model": "features:vectors", "probe": {"layer": 3}},
    },
    "compile_with_nvme": {"machines": {"strong": {"offload": "nvme", "nvme_path": "disk", "compile": True}}},
    "offload_without_zero": {"machines": {"strong": {"zero": 0, "offload": "cpu"}}},
    "nvme_without_a_path": {"machines": {"strong": {"zero": 3, "offload": "nvme"}}},
    "half_a_gpu_in_a_gang": {"machines": {"strong": {"devices": 2, "gpus": 0.5}}},
    "adafactor_in_a_gang": {"strong__optim": {"kind": "adafactor"}, "machines": {"strong": {"devices": 2}}},
    "fp16_under_zero_2": {"strong__precision": "fp16", "machines": {"strong": {"devices": 2, "zero": 2}}},
    "machine_for_no_model": {"machines": {"models": {"gpt2": {"devices": 2}}}},
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_check_refuses(name: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", rows())
    file = write_recipe(tmp_path, **RECIPES[name])
    done = w2s("check", file, cwd=tmp_path)
    check(name, done, 2, tmp_path)
    assert done.out == ""


@pytest.mark.parametrize(
    "field", ["task", "weak", "strong", "method", "weak.model", "weak.model.source", "method.kind"]
)
def test_a_missing_field_is_named(field: str, tmp_path: Path) -> None:
    recipe = json.loads(json.dumps(toy_recipe()))
    place = recipe
    *steps, last = field.split(".")
    for step in steps:
        place = place[step]
    del place[last]
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    check(f"missing_{field.replace('.', '_')}", w2s("check", file), 2, tmp_path)


TEXTS = {
    "not_yaml": "task: {kind: toy\nweak: 3\n",
    "tab": "task:\n\tkind: toy\n",
    "doubled_key": "task: toy\nseeds: 1\ntask: toy\n",
    "doubled_nested_key": "task: toy\nweak:\n  epochs: 1\n  epochs: 2\n",
    "anchor_bomb": "\n".join(
        f"{name}: &{name} [{', '.join(['x' if i == 0 else '*' + 'abcdefgh'[i - 1]] * 9)}]"
        for i, name in enumerate("abcdefgh")
    ),
    "anchor_in_itself": "task: &a\n  - *a\n",
    "too_deep": "task: " + "[" * 3000 + "]" * 3000,
    "too_long": "# " + "x" * 1_100_000,
    "code": "task: !!python/object/apply:os.system [ls]\n",
    "unknown_tag": "task: !mine toy\n",
    "merge_key": "a: &a {kind: toy}\ntask:\n  <<: *a\n",
    "list_as_key": "[a]: 1\n",
    "two_documents": "task: toy\n---\ntask: toy\n",
    "control_character": 'task: "\x01"\n',
    "impossible_date": "description: 2020-99-99\n",
    "empty": "",
    "a_list": "- task\n- weak\n",
    "a_word": "task",
}


@pytest.mark.parametrize("name", TEXTS)
def test_unreadable_yaml(name: str, tmp_path: Path) -> None:
    """Where there is a line and a column to name, they are named."""
    file = tmp_path / "recipe.yaml"
    file.write_text(TEXTS[name], encoding="utf-8")
    check(f"yaml_{name}", w2s("check", file), 2, tmp_path)


def test_not_a_text(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes(b"\xff\xfe\x00task")
    check("not_utf8", w2s("check", file), 2, tmp_path)


def test_no_such_recipe(tmp_path: Path) -> None:
    check("no_such_recipe", w2s("check", tmp_path / "quikstart.yaml"), 2, tmp_path)
    check("no_such_packaged_recipe", w2s("run", "quikstart"), 2, tmp_path)
    check("recipe_is_a_folder", w2s("plan", tmp_path), 2, tmp_path)


OVERRIDES = {
    "no_sign": "method.alpha",
    "no_path": "=3",
    "empty_step": "method..alpha=3",
    "unreadable_value": "method.alpha=[1",
    "no_value": "method.alpha=",
    "below_a_number": "weak.model.width.x=3",
    "no_such_element": "baselines.7.kind=naive",
    "word_for_element": "baselines.first=naive",
    "no_such_field": "method.alhpa=0.3",
    "no_such_branch": "weak.nope.deep=1",
    "wrong_type": "weak.epochs=many",
    "no_such_kind": "method.kind=lader",
    "nothing": "method=null",
    "number_for_a_learner": "weak=5",
    "bomb": "seeds=&a [*a]",
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_malformed_overrides(name: str, tmp_path: Path) -> None:
    check(f"override_{name}", w2s("check", write_recipe(tmp_path), OVERRIDES[name]), 2, tmp_path)


@pytest.mark.parametrize(
    "name,arguments",
    [("no_such_option", ["run", "x", "--pol", "inline"]), ("no_such_command", ["rum"]), ("no_recipe", ["run"]),
     ("no_such_pool", ["run", "x", "--pool", "slurm"]), ("no_such_room", ["list", "methds"])],
)  # fmt: skip
def test_usage(name: str, arguments: list[str], tmp_path: Path) -> None:
    check(f"usage_{name}", w2s(*arguments), 2, tmp_path)


@pytest.mark.parametrize("command", ["check", "plan", "run", "status", "report", "fetch"])
def test_json_errors_are_records_on_stdout(command: str, tmp_path: Path) -> None:
    done = w2s(command, write_recipe(tmp_path, method__alhpa=1), "--json")
    assert done.code == 2
    assert set(done.json) == {"error", "where", "what", "remedy"}
    assert done.json["error"] == "BadInput"
    assert done.json["where"].endswith("method.alhpa")


def test_json_error_of_usage(tmp_path: Path) -> None:
    done = w2s("run", write_recipe(tmp_path), "--pool", "slurm", "--json")
    assert done.code == 2
    assert done.json["where"] == "command line"


# ---- data: known only once a stage has looked, and still the user's to mend


def rows(count: int = 120, label: Callable[[int], Any] = lambda i: i % 2) -> Rows:
    return [{"text": f"row {i:03d} is {'good' if i % 2 else 'bad'}", "label": label(i)} for i in range(count)]


def write_rows(file: Path, content: Rows) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return str(file)


def run_file(folder: Path, content: Rows, **changes: Any) -> Done:
    """Run the toy learners on rows of our own."""
    task = {
        "kind": "file",
        "path": write_rows(folder / "rows.jsonl", content),
        "text": "text",
        **changes.pop("task", {}),
    }
    file = write_recipe(folder, task=task, **{**NAIVE, **changes})
    return w2s("run", file, "--store", folder / "store", "--pool", "inline", "--quiet")


DATA: dict[str, tuple[Rows, dict[str, Any]]] = {
    "empty_data": ([], {}),
    "one_class_only": (rows(label=lambda i: 1), {}),
    "labels_outside_range": (rows(label=lambda i: i % 3), {}),
    "words_for_labels": (rows(label=lambda i: "good" if i % 2 else "bad"), {}),
    "unmapped_label": (rows(label=lambda i: "good" if i % 2 else "bda"), {"task": {"labels": {"good": 1, "bad": 0}}}),
    "two_labels_for_one_row": ([*rows(), {"text": rows()[0]["text"], "label": 1}], {}),
    "no_such_column": (rows(), {"task": {"text": "txet"}}),
    "too_few_rows": (rows(3), {}),
    "too_many_tokens": (rows(), {"strong__max_tokens": 600}),
    "every_row_too_long": (rows(), {"strong__max_tokens": 5, "strong__too_long": "drop"}),
    "too_many_layers": (rows(), {"strong__model__layers": 5}),
}


@pytest.mark.parametrize("name", DATA)
def test_bad_data_is_the_users_to_mend(name: str, tmp_path: Path) -> None:
    """A stage that fails for its data exits 2 with the task's words, and says that finished work is kept."""
    content, changes = DATA[name]
    done = run_file(tmp_path, content, **changes)
    check(f"data_{name}", done, 2, tmp_path)
    assert "finished work is kept" in done.err


def test_train_and_test_overlap(tmp_path: Path) -> None:
    test = write_rows(tmp_path / "test.jsonl", rows()[:30])
    check("data_overlap", run_file(tmp_path, rows(), task={"test_path": test}), 2, tmp_path)
    done = run_file(tmp_path, rows(), task={"test_path": test, "drop_overlap": True})
    assert done.code == 0, done.err
    (made,) = receipts_of(tmp_path / "store", "Rows")
    assert made["metrics"]["n_train"] == 90


def test_a_bad_line_of_json(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": 0}\n{"text": \n', encoding="utf-8")
    file = write_recipe(tmp_path, task={"kind": "file", "path": str(tmp_path / "rows.jsonl"), "text": "text"}, **NAIVE)
    done = w2s("run", file, "--store", tmp_path / "store", "--pool", "inline", "-q")
    check("data_not_json", done, 2, tmp_path)


def test_finished_work_is_kept_and_the_mended_recipe_goes_on(tmp_path: Path) -> None:
    assert run_file(tmp_path, rows(), strong__max_tokens=600).code == 2
    before = receipts(tmp_path / "store")
    assert before, "the supervisor does not depend on the student's fault"
    assert run_file(tmp_path, rows()).code == 0
    after = receipts(tmp_path / "store")
    assert {key: after[key] for key in before} == before


def receipts_of(store: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(file.read_text(encoding="utf-8")) for file in store.glob("??/*/receipt.json")]
    return [receipt for receipt in found if receipt["kind"] == kind]


@pytest.mark.parametrize("how,counted", [("truncate", "truncated"), ("drop", "dropped")])
def test_long_texts_are_counted(how: str, counted: str, tmp_path: Path) -> None:
    """What does not fit is cut or left out as asked, and the receipt says how much it was."""
    content = [{**row, "text": row["text"] + (" and long" * 5 if i % 4 < 2 else "")} for i, row in enumerate(rows())]
    done = run_file(tmp_path, content, strong__max_tokens=30, strong__too_long=how)
    assert done.code == 0, done.err
    students = [r for r in receipts_of(tmp_path / "store", "Train") if "32x2" in r["name"]]
    assert len(students) == 2
    for receipt in students:
        metrics = receipt["metrics"]
        assert {name: metrics[name] > 0 for name in ("truncated", "dropped")} == {
            name: name == counted for name in ("truncated", "dropped")
        }
        assert 10 <= metrics[counted] <= 45, "about half of a half"


# ---- model folders


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in the Hugging Face layout."""
    from w2s.learner import ModelRef
    from w2s.work import tiny
    from w2s.work.body import quiet

    folder = tmp_path_factory.mktemp("models") / "small"
    body, tokenizer = tiny.build(ModelRef(source="tiny:bert", width=8, depth=1))
    with quiet():
        body.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def no_tokenizer(folder: Path) -> None:
    for file in folder.glob("token*"):
        file.unlink()


def cut_off(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])


SPOILERS: dict[str, Callable[[Path], None]] = {
    "no_weights": lambda folder: (folder / "model.safetensors").unlink(),
    "no_config": lambda folder: (folder / "config.json").unlink(),
    "no_tokenizer": no_tokenizer,
    "only_pickle": only_pickle,
    "cut_off_weights": cut_off,
}


@pytest.mark.parametrize("name", SPOILERS)
def test_unusable_model_folders_stop_a_run_before_it_starts(name: str, model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "model")
    SPOILERS[name](tmp_path / "model")
    done = run_file(tmp_path, rows(), strong__model=str(tmp_path / "model"))
    check(f"model_{name}", done, 2, tmp_path)
    assert receipts(tmp_path / "store") == {}


def test_a_whole_model_folder_runs(model_folder: Path, tmp_path: Path) -> None:
    assert run_file(tmp_path, rows(), strong__model=str(model_folder)).code == 0


# ---- the environment


@pytest.mark.parametrize("command", ["run", "plan", "status", "report"])
def test_a_store_below_a_file(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    pool = ["--pool", "inline"] if command == "run" else []
    done = w2s(command, write_recipe(tmp_path), "--store", tmp_path / "file" / "store", *pool)
    check("store_below_a_file", done, 3, tmp_path)


@pytest.mark.parametrize("command", ["run", "plan", "status", "report", "gc", "verify"])
def test_a_store_of_a_newer_version(command: str, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "store.json").write_text('{"format": 99}', encoding="utf-8")
    recipe = [] if command == "verify" else [write_recipe(tmp_path)]
    check("store_is_newer", w2s(command, *recipe, "--store", tmp_path / "store"), 2, tmp_path)


def test_an_unknown_store_protocol(tmp_path: Path) -> None:
    check(
        "store_protocol", w2s("run", write_recipe(tmp_path), "--store", "nosuch://x", "--pool", "inline"), 2, tmp_path
    )


def test_ray_that_does_not_answer(tmp_path: Path) -> None:
    """It says so at once (Ray itself would try for minutes), also as a record."""
    file = write_recipe(tmp_path)
    arguments = ["run", file, "--store", tmp_path / "store", "--ray-address", "127.0.0.1:1"]
    check("ray_does_not_answer", w2s(*arguments), 3, tmp_path)
    done = w2s(*arguments, "--json")
    assert done.json["error"] == "BadEnvironment"


def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    done = w2s("fetch", write_recipe(tmp_path, strong__model="no-such-model-at-all"))
    assert done.code == 3
    assert len(done.err.splitlines()) == 2, "what it was about to do, and why it could not"
    assert "no-such-model-at-all" in done.err


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = ["w2s", *sys.argv[2:]]
from w2s.cli import main
main()
"""


@pytest.mark.parametrize("limit,stage", [(4_000, "toy/rows"), (30_000, "toy/train")])
def test_a_full_disk(limit: int, stage: str, tmp_path: Path) -> None:
    """No file may grow beyond a limit, as on a disk that is full: exit 3, said plainly; with room, the same command ends."""
    arguments = [
        "run",
        str(write_recipe(tmp_path, **NAIVE)),
        "--store",
        str(tmp_path / "store"),
        "--pool",
        "inline",
        "-q",
    ]
    done = finish(process(str(limit), *arguments, code=LIMITED))
    assert done.code == 3, done.err
    assert "Traceback" not in done.err
    first = done.err.splitlines()[0]
    assert first.startswith(f"failed: {stage}")
    assert "the disk is full" in first
    assert "finished work is kept" in done.err.splitlines()[-1]
    kept = receipts(tmp_path / "store")
    assert w2s(*arguments).code == 0
    assert kept.items() <= receipts(tmp_path / "store").items()
