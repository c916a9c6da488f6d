"""A recipe with a search: where its table is."""

from __future__ import annotations

from pathlib import Path

from cluster.store import Store
from tests.w2s.command import write_recipe
from w2s.search.searched import load_searched, search_folder


def test_a_search_has_a_folder_of_its_own(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    search = {"space": {"method.alpha": {"uniform": [0, 0.9]}}}
    file = str(write_recipe(tmp_path, search=search))
    folder = search_folder(store, load_searched(file))
    assert folder.parent == store.searches == tmp_path / "store" / "searches"
    assert folder.name.startswith("toy-")

    def other(*overrides: str) -> Path:
        return search_folder(store, load_searched(file, overrides))

    for same in (
        "search.trials=99",
        "search.space.method.alpha={uniform: [0, 1]}",
        "search.scheduler=asha",
        "baselines=[]",
        "search.misfit_slope=2",
    ):
        assert other(same) == folder
    for different in ("search.objective=oracle", "search.seeds=2", "strong.epochs=3", "name=x"):
        assert other(different) != folder
    assert other("search.objective=misfit") != other("search.objective=misfit", "search.misfit_slope=2")
