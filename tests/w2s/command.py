"""The real `w2s` command for tests: in this process (quick, torch is loaded once) or in one of its own (signals, limits)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT, toy_recipe
from w2s import cli

OFFLINE = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def w2s(*args: str | Path, cwd: Path | None = None) -> Done:
    """`w2s ARGS` through the entry point that users call, in this process."""
    argv = ["w2s", *map(str, args)]
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with _as_command(argv, cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
    return Done(code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue())


def process(
    *args: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, code: str | None = None
) -> subprocess.Popen[str]:
    """`w2s ARGS` begun in a process of its own, as `python -m w2s`; with `code`, that Python text gets ARGS instead."""
    argv = [sys.executable, *(["-m", "w2s"] if code is None else ["-c", code]), *map(str, args)]
    variables = {**os.environ, **OFFLINE, "PYTHONPATH": str(ROOT), **(env or {})}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        argv, cwd=cwd or ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    )


def finish(started: subprocess.Popen[str], timeout_s: float = 120) -> Done:
    """Wait for a process; it is killed when that takes too long. What was read of its stderr before is not repeated."""
    assert started.stdout is not None
    assert started.stderr is not None
    clock = threading.Timer(timeout_s, started.kill)
    clock.start()
    try:
        err = started.stderr.read()  # not `communicate`, which loses what a line-wise reader has buffered
        out = started.stdout.read()
        code = started.wait()
    finally:
        clock.cancel()
        started.stdout.close()
        started.stderr.close()
    return Done(code, out, err)


def write_recipe(folder: Path, file_name: str = "toy.yaml", **changes: Any) -> Path:
    """The toy recipe with changes (`weak__epochs=2`) as a file."""
    file = folder / file_name
    recipe = json.loads(
        json.dumps(toy_recipe(**{"name": file.stem, **changes}))
    )  # nothing shared, so YAML writes no anchors
    file.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return file


def built(store: Path) -> list[str]:
    """`NAME [KEY]` of every stage that was ever begun in a store, once for each beginning: the headers of its logs."""
    logs = sorted((store / "logs").glob("*.log"))
    text = "".join(log.read_text(encoding="utf-8") for log in logs)
    return re.findall(r"^--- (.+ \[[0-9a-f]{12}\])", text, flags=re.MULTILINE)


def receipts(store: Path) -> dict[str, int]:
    """Every finished key and when its receipt was written, in nanoseconds."""
    return {file.parent.name: file.stat().st_mtime_ns for file in store.glob("??/*/receipt.json")}


@contextlib.contextmanager
def _as_command(argv: list[str], cwd: Path | None) -> Iterator[None]:
    before, here = sys.argv, Path.cwd()
    sys.argv = argv
    try:
        os.chdir(cwd or here)
        yield
    finally:
        os.chdir(here)
        sys.argv = before


def check_golden(name: str, text: str) -> None:
    """Compare with `tests/golden/NAME`. W2S_UPDATE_GOLDEN=1 writes it instead: read the difference before committing it."""
    file = ROOT / "tests" / "golden" / name
    if os.environ.get("W2S_UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.is_file(), f"no golden file {name}: run with W2S_UPDATE_GOLDEN=1 and read what it writes"
    assert text == file.read_text(encoding="utf-8")
