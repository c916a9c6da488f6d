"""From YAML and overrides to a recipe: what is written is what is meant, and every fault is told with its place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.errors import BadInput
from tests.w2s.command import write_recipe
from w2s.learner import Learner
from w2s.load import find, load, packaged_names
from w2s.recipe import Recipe
from w2s.yaml_source import parse

TEXT = """\
task: toy
weak:
  model: {source: "tiny:bert", width: 8}
  epochs: 1
strong:
  model:
    source: tiny:bert
  optim: {lr: 0.003}
method:
  kind: naive
seeds: 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "mine.yaml"
    place.write_text(TEXT, encoding="utf-8")
    return place


def test_short_forms_mean_what_they_stand_for(file: Path) -> None:
    recipe = load(str(file))
    assert recipe.name == "mine", "the file's name, unless it names itself"
    assert recipe.task.kind == "toy"
    assert recipe.seeds == (0, 1, 2)
    assert recipe.strong.optim.lr == 0.003
    assert load(str(file), ["name=other"]).name == "other"
    assert load(str(file), ["seeds=[7]"]).seeds == (7,)


def test_what_is_not_written_is_the_default(file: Path) -> None:
    recipe = load(str(file))
    assert recipe.weak.batch == Learner.model_fields["batch"].default
    assert recipe.baselines == ()


@pytest.mark.parametrize(
    "override,read,expected",
    [
        ("method.members=2", lambda r: r.method.members, 2),
        ("method=confidence", lambda r: r.method.kind, "confidence"),
        ("method.kind=confidence", lambda r: r.method.kind, "confidence"),
        ("weak.optim.lr=1e-3", lambda r: r.weak.optim.lr, 1e-3),
        ("weak.optim.lr=1.0e-3", lambda r: r.weak.optim.lr, 1e-3),
        ("weak.bucket=false", lambda r: r.weak.bucket, False),
        ("task.size=100", lambda r: r.task.size, 100),
        ("strong.model=gpt2", lambda r: r.strong.model.source, "gpt2"),
        ("strong.model.width=64", lambda r: r.strong.model.width, 64),
        ("baselines=[naive]", lambda r: [m.kind for m in r.baselines], ["naive"]),
        ("machines.strong.micro_batch=4", lambda r: r.machines.strong.micro_batch, 4),
        ("machines.strong.micro_batch=auto", lambda r: r.machines.strong.micro_batch, "auto"),
        ("weak.optim.clip=null", lambda r: r.weak.optim.clip, None),
        ("description=a = b", lambda r: r.description, "a = b"),
    ],
)  # fmt: skip
def test_overrides(override: str, read: object, expected: object, file: Path) -> None:
    assert callable(read)
    assert read(load(str(file), [override])) == expected


def test_later_overrides_win_and_the_file_stays(file: Path) -> None:
    assert load(str(file), ["weak.epochs=2", "weak.epochs=3"]).weak.epochs == 3
    assert file.read_text(encoding="utf-8") == TEXT


def test_another_kind_has_other_fields(tmp_path: Path) -> None:
    """`kind=` on the command line leaves the file's fields behind: they belong to the kind that was there."""
    file = write_recipe(tmp_path, method={"kind": "confidence", "alpha": 0.3})
    assert load(str(file), ["method.kind=naive"]).method.kind == "naive"
    assert load(str(file), ["method.kind=confidence"]).method.model_dump()["alpha"] == 0.3, "the same kind keeps them"


def test_an_element_of_a_list(tmp_path: Path) -> None:
    file = write_recipe(tmp_path, baselines=["naive", {"kind": "ensemble", "members": 3}])
    recipe = load(str(file), ["baselines.0.members=5", "baselines.1.members=2", "seeds=[4,5]", "seeds.1=6"])
    assert [method.members for method in recipe.baselines] == [5, 2]
    assert recipe.seeds == (4, 6)


@pytest.mark.parametrize(
    "old,new,line",
    [("epochs: 1", "epochs: many", 4), ("width: 8", "width: x", 3), ("lr: 0.003", "lrr: 1", 8), ("kind: naive", "kind: naiv", 9)],
)  # fmt: skip
def test_faults_are_told_with_their_line(old: str, new: str, line: int, file: Path) -> None:
    file.write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        load(str(file))
    assert caught.value.where.startswith(f"{file}:{line}: ")


def test_a_fault_of_an_override_is_not_blamed_on_the_file(file: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load(str(file), ["weak.epochs=many"])
    assert caught.value.where == "command line: weak.epochs"


def test_every_fault_is_told_once(file: Path) -> None:
    file.write_text(TEXT.replace("epochs: 1", "epochs: many").replace("seeds: 3", "seeds: [a, b]"), encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        load(str(file))
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["weak.epochs", "seeds.0", "seeds.1"]


def test_a_packaged_recipe_goes_by_its_name() -> None:
    assert "quickstart" in packaged_names()
    assert find("quickstart").name == "quickstart.yaml"
    for outside in ("../pyproject", "../../etc/passwd", "/etc/passwd"):
        with pytest.raises(BadInput):
            load(outside)


def test_order_and_comments_change_nothing(file: Path, tmp_path: Path) -> None:
    data = yaml.safe_load(TEXT)
    other = tmp_path / "other.yaml"
    other.write_text("# a comment\n" + yaml.safe_dump(dict(reversed(data.items()))), encoding="utf-8")
    assert list(load(str(other)).graph()) == list(load(str(file)).graph())


def test_an_anchor_is_a_copy(tmp_path: Path) -> None:
    """An override under one of two places that share an anchor changes that place alone."""
    file = tmp_path / "shared.yaml"
    file.write_text("task: toy\nweak: &w {model: {source: tiny:bert}}\nstrong: *w\nmethod: naive\n", encoding="utf-8")
    recipe = load(str(file), ["weak.model.width=16"])
    assert (recipe.weak.model.width, recipe.strong.model.width) == (16, 32)


STEPS = [
    "weak",
    "strong",
    "method",
    "model",
    "optim",
    "seeds",
    "0",
    "1",
    "kind",
    "lr",
    "x",
    "baselines",
    "task",
    "",
    "-1",
]
VALUES = ["", "naive", "[", "null", "1e400", ".nan", "{}", "[1]", "=", "toy", "true", "2020-99-99", "!x y"]
QUIET = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@QUIET
@given(st.text(alphabet=st.sampled_from(list("abk:-[]{}&*!|>'\"#%@?,. \n\t01<~")), max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    problem: BadInput | None = None
    try:
        assert parse(text, "x.yaml").line(()) is None
    except BadInput as caught:
        problem = caught
    assert problem is None or (problem.where.startswith("x.yaml") and "\n" not in str(problem))


@QUIET
@given(path=st.lists(st.sampled_from(STEPS), max_size=4), value=st.sampled_from(VALUES) | st.text(max_size=8))
def test_any_override_is_taken_or_refused(path: list[str], value: str, tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    if not file.exists():
        write_recipe(tmp_path)
    recipe: Recipe | None = None
    with suppress(BadInput):
        recipe = load(str(file), [f"{'.'.join(path)}={value}"])
    assert recipe is None or recipe.goals()


def test_a_kind_may_be_chosen_before_or_after_its_fields(tmp_path: Path) -> None:
    file = write_recipe(tmp_path, method="naive")
    for order in (["method.kind=confidence", "method.alpha=0.3"], ["method.alpha=0.3", "method.kind=confidence"]):
        assert load(str(file), order).method.label == "confidence alpha=0.3"


def test_curves_need_held_out_rows(tmp_path: Path) -> None:
    file = write_recipe(tmp_path)
    with pytest.raises(BadInput, match=r"split\.val is 0, and strong\.evaluate needs held-out rows"):
        load(str(file), ["split.val=0"])
