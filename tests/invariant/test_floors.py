"""Imports go down, never up; the pure floors load without torch or ray; Ray and DeepSpeed stay behind their doors."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = sorted([*(ROOT / "cluster").rglob("*.py"), *(ROOT / "w2s").rglob("*.py")])

# a floor may import its own and the floors below it; the first prefix that fits decides
FLOORS: list[tuple[str, int]] = [
    ("cluster", 0),
    ("w2s.config", 1), ("w2s.examples", 1), ("w2s.registry", 1), ("w2s.yaml_source", 1), ("w2s.labels", 1), ("w2s.metrics", 1),
    ("w2s.digests", 1), ("w2s.answers", 1), ("w2s.choices", 2), ("w2s.preferences", 2), ("w2s.prompt", 2),
    ("w2s.learner", 2), ("w2s.model_ref", 2), ("w2s.optim", 2), ("w2s.probe", 2),
    ("w2s.loss", 2), ("w2s.losses", 2), ("w2s.task", 2), ("w2s.tasks", 2), ("w2s.sift", 2), ("w2s.hub", 2),
    ("w2s.tables", 2), ("w2s.domains", 2), ("w2s.assets", 2),
    ("w2s.model_files", 2), ("w2s.pip_archive", 2), ("w2s.machines", 2), ("w2s.schema", 2),
    ("w2s.explain", 2), ("w2s.explains", 4), ("w2s.nested", 2), ("w2s.stages", 3), ("w2s.world", 4),
    ("w2s.crowd", 5), ("w2s.method", 5), ("w2s.methods", 5), ("w2s.written", 5), ("w2s.recipe", 6),
    ("w2s.sizes", 4), ("w2s.fit", 4), ("w2s.uses", 4), ("w2s.writes", 4), ("w2s.work", 4),
    ("w2s.shown", 7), ("w2s.board", 8),
    ("w2s.units", 1), ("w2s.site_env", 2), ("w2s.site_file", 1), ("w2s.site", 7), ("w2s.submission", 8),
    ("w2s.seeds", 1), ("w2s.search.domains", 5), ("w2s.search.space", 5), ("w2s.search.config", 5), ("w2s.search", 8),
    ("w2s.faults", 7), ("w2s.load", 7), ("w2s.bridge", 7), ("w2s.cost", 7), ("w2s.report", 8), ("w2s.bench_theory", 8),
    ("w2s.commands", 9), ("w2s.cli", 10), ("w2s.__main__", 11),
]  # fmt: skip
RAY_DOORS = {
    "cluster.ray_connect", "cluster.ray_pool", "cluster.ray_state", "cluster.gang", "cluster.gang_keeper",
    "cluster.tune_adviser", "cluster.tune_hooks", "cluster.tune_proxy", "cluster.ray_probe", "cluster.ray_probe_job",
    "cluster.submit.ray_api", "cluster.submit.ray_jobs", "cluster.submit.ray_told",
}  # fmt: skip
DEEPSPEED_DOORS = {"w2s.work.zero"}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str) -> int | None:
    fits = [(len(prefix), floor) for prefix, floor in FLOORS if module == prefix or module.startswith(prefix + ".")]
    return max(fits)[1] if fits else None


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_imports_go_down(file: Path) -> None:
    own = module_name(file)
    if own == "w2s":
        return
    floor = floor_of(own)
    assert floor is not None, f"{own} stands on no floor: give it one in FLOORS"
    above = {name for name in imports(file) if name.startswith("w2s.") and (floor_of(name) or 0) > floor}
    assert not above, f"{own} (floor {floor}) imports from above: {above}"
    if own.startswith("cluster"):
        assert not any(name == "w2s" or name.startswith("w2s.") for name in imports(file)), (
            "cluster knows nothing of w2s"
        )


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_ray_and_deepspeed_stay_behind_their_doors(file: Path) -> None:
    own = module_name(file)
    roots = {name.partition(".")[0] for name in imports(file)}
    assert "ray" not in roots or own in RAY_DOORS
    assert "deepspeed" not in roots or own in DEEPSPEED_DOORS


def test_planning_needs_neither_torch_nor_ray() -> None:
    """Every task, loss and method loads, and a recipe plans, in a process that never sees torch, ray or pandas."""
    code = (
        "import sys\n"
        "from w2s.load import load\n"
        "from w2s.cli import app\n"
        "import w2s.commands.plan, w2s.commands.status, w2s.commands.check\n"
        "assert load('quickstart').graph()\n"
        "heavy = {'torch', 'ray', 'pandas', 'transformers', 'datasets', 'deepspeed', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_every_file_says_what_it_is_for(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), "a file opens by saying what it is for"
