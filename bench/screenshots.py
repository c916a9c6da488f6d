"""The pictures of the README, made anew: the terminal while a run goes on and at its end, TensorBoard, and the report page.

    python bench/screenshots.py --store /tmp/pictures            # some minutes: runs the quickstart first
    python bench/screenshots.py --store store --only report      # from what a store holds

Nothing is drawn by hand: `w2s run` runs in a pseudo-terminal and what it writes becomes an SVG; the pages are opened in a
headless Chromium. Where there is none, the terminal's pictures are made and the others are named as missing.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import io
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PICTURES = ("run", "result", "board", "report", "figures")
COLUMNS, ROWS, LASTING = 118, 40, 10
MOST_BYTES = 300_000
DRAWN = re.compile(r"\r(?:\x1b\[\d+A)?\x1b\[J")  # where the display takes away what it had drawn
HEAD = re.compile(r"^(?:\x1b\[[0-9;]*m)*[━─]")  # the first line of what it draws next
URL = re.compile(r"http://127\.0\.0\.1:\d+/\S*")
FONTS = re.compile(r"@font-face \{\{.*?\}\}", re.DOTALL)  # rich's would be fetched from elsewhere
WAIT_MS = 20_000  # of the page's own clock


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe", nargs="?", default="quickstart")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--store", required=True, help="what it lacks is run")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=PICTURES, metavar="PICTURE")
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    recipe = [asked.recipe, *asked.overrides]
    missing: list[str] = []
    if {"run", "result"} & set(asked.only):
        missing += terminal(recipe, asked.store, asked.out, asked.only)
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    pages = [name for name in ("board", "report", "figures") if name in asked.only]
    if pages and browser is None:
        missing += [f"{name}.png: no Chromium on PATH (one of {', '.join(CHROMIUM)})" for name in pages]
    elif browser is not None:
        for name in pages:
            {"board": board, "report": report, "figures": figures}[name](
                browser, recipe, asked.store, asked.out / f"{name}.png"
            )
    for picture in sorted(asked.out.iterdir()):
        size = picture.stat().st_size
        print(f"{picture}  {size / 1000:.0f} kB{'  TOO LARGE' if size > MOST_BYTES else ''}")
    for line in missing:
        print(f"missing: {line}", file=sys.stderr)
    return 1 if missing else 0


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "w2s", *words]


# ---- the terminal


def terminal(recipe: Sequence[str], store: str, out: Path, only: Sequence[str]) -> list[str]:
    """run.svg, the moment at which most was to be seen, and result.svg, the end. Returns what could not be made."""
    written = recorded(command("run", *recipe, "--store", store))
    for name in (str(Path(store).resolve()), str(Path(store).absolute()), store):
        written = written.replace(name, "store")  # where it lies on this machine is no part of the picture
    frames, rest = taken_apart(written)
    title = " ".join(["w2s run", *recipe])
    if "result" in only:
        (out / "result.svg").write_text(svg(rest, title), encoding="utf-8")
    if "run" not in only:
        return []
    if not frames:
        return ["run.svg: the store held everything, so nothing ran; name a new --store"]
    (out / "run.svg").write_text(svg(max(frames, key=telling), title), encoding="utf-8")
    return []


def recorded(words: Sequence[str]) -> str:
    """All that a command writes on a terminal of its own."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        words, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, start_new_session=True,
        env={**environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(slave)
    raw = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody has it open any more
        while piece := os.read(master, 65536):
            raw += piece
    os.close(master)
    if process.wait() != 0:
        raise SystemExit(raw.decode(errors="replace")[-3000:])
    return raw.decode(errors="replace").replace("\r\n", "\n")


def taken_apart(written: str) -> tuple[list[list[str]], list[str]]:
    """Every frame of the display under the last lasting lines above it, and what came after the last."""
    above: list[str] = []
    frames: list[list[str]] = []
    *drawn, rest = DRAWN.split(written)
    for piece in drawn:
        lines = piece.rstrip("\r").split("\n")
        begin = next((index for index, line in enumerate(lines) if HEAD.match(line)), len(lines))
        above += [line for line in lines[:begin] if "starting Ray" not in line and "checking" not in line]
        if begin < len(lines):
            frames.append([*above[-LASTING:], *lines[begin:]])
    lines = [line for line in rest.split("\n") if "\x1b[?25" not in line]
    return frames, lines


def telling(frame: Sequence[str]) -> tuple[int, int]:
    """How much there is to be seen."""
    text = "\n".join(frame)
    return sum(text.count(word) for word in ("loss ", " step", "tokens/s", " left")) + 2 * text.count("agreement"), len(
        text
    )


def svg(lines: Sequence[str], title: str) -> str:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=False)
    return console.export_svg(title=title, code_format=FONTS.sub("", CONSOLE_SVG_FORMAT))


# ---- the pages


def board(browser: str, recipe: Sequence[str], store: str, place: Path) -> None:
    """TensorBoard as `w2s board` opens it."""
    with serving(command("board", *recipe, "--store", store)) as url:
        photograph(browser, url, place, 1400, 1140)


def report(browser: str, recipe: Sequence[str], store: str, place: Path) -> None:
    """The top of the page that `w2s report --out` writes."""
    _report(browser, recipe, store, place, 1200)


def figures(browser: str, recipe: Sequence[str], store: str, place: Path) -> None:
    """The same page's figures alone: a browser that is not looked at does not scroll."""
    _report(browser, recipe, store, place, 985, "<style>header, section:not(#figures) { display: none }</style>")


def _report(browser: str, recipe: Sequence[str], store: str, place: Path, height: int, style: str = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        subprocess.run(command("report", *recipe, "--store", store, "--out", str(page)), cwd=ROOT, check=True)
        page.write_text(page.read_text(encoding="utf-8").replace("</head>", f"{style}</head>", 1), encoding="utf-8")
        photograph(browser, page.as_uri(), place, 1100, height)


@contextlib.contextmanager
def serving(words: Sequence[str]) -> Iterator[str]:
    """The address that a command prints; the command ends with the block."""
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := URL.search(line):
                yield found[0]
                return
        raise SystemExit(f"{' '.join(words)}: ended with {process.wait()} and named no address")
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def photograph(browser: str, url: str, place: Path, width: int, height: int) -> None:
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--virtual-time-budget={WAIT_MS}",
                f"--screenshot={place}", url,
            ],
            check=True, timeout=180, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    from PIL import Image  # matplotlib brings it

    with Image.open(place) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)  # pages have few colours
    few.save(place, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
