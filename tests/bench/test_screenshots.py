"""The pictures' terminal: frames are found in what the display wrote, and an SVG asks nothing of the network."""

from __future__ import annotations

import io
import re
import sys

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import screenshots
from rich.text import Text

from cluster.foot import Foot


def test_frames_are_found_in_what_the_display_writes() -> None:
    tape = io.StringIO()
    foot = Foot(tape)
    foot.draw([Text("starting Ray"), Text("─── 0/2")])
    foot.draw([Text("━── 0/2"), Text("train  loss 0.5")], [Text("done a")])
    foot.draw([Text("━━─ 1/2"), Text("train  loss 0.4  agreement 0.7")], [Text("done b")])
    foot.draw([])
    frames, rest = screenshots.taken_apart(tape.getvalue() + "the table\n")
    assert frames[1:] == [
        ["done a", "━── 0/2", "train  loss 0.5"],
        ["done a", "done b", "━━─ 1/2", "train  loss 0.4  agreement 0.7"],
    ]
    assert max(frames, key=screenshots.telling) == frames[2]
    assert rest == ["the table", ""]


def test_a_picture_fetches_nothing() -> None:
    picture = screenshots.svg(["\x1b[32mdone\x1b[0m  a"], "w2s run")
    assert "done" in picture
    assert re.findall(r"https?://[^\"'\s]+", picture.replace("http://www.w3.org/2000/svg", "")) in (
        [],
        ["https://www.textualize.io"],  # a comment of rich's: who made it
    )
