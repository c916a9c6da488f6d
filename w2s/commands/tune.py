"""`w2s tune`: search what a recipe's `search:` section asks for, sharing every stage that trials have in common."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.advice import Adviser, ListAdviser, SuggestedAdviser
from cluster.errors import BadInput, Problem
from cluster.events import Listener
from cluster.journal import Journal
from cluster.pool import Pool
from cluster.scheduler import Scheduler, Summary
from cluster.store import Store
from w2s.commands import show
from w2s.commands.at_work import Choices, fetch, journal_of, monitor_of, pool_of, signals
from w2s.machines import Machine
from w2s.search.breed import Breeder
from w2s.search.check import check_search
from w2s.search.drive import Book, Driver
from w2s.search.ending import Ending, as_it_stands, conclude, told
from w2s.search.population import population
from w2s.search.searched import Searched, load_searched, search_folder
from w2s.search.session import Session
from w2s.search.table import Row, Table
from w2s.search.trials import corner_trials, grid_trials, random_trials, trial_recipe

TOGETHER = 64  # probes are fitted many at a time


@dataclass(frozen=True)
class Asked:
    """How a search goes on: `resume` one that must have begun; `extend` it by so many trials."""

    resume: bool = False
    extend: int = 0


def tune(reference: str, overrides: Sequence[str], choices: Choices, asked: Asked) -> int:
    """Search. Returns the exit code."""
    searched = load_searched(reference, overrides)
    _check(searched, choices, asked)
    store = Store.open(choices.store)
    folder = search_folder(store, searched)
    if asked.resume and not Table.open(folder).rows():
        raise BadInput("--resume", f"no such search has begun in {folder}", "leave --resume out to begin it")
    command = shlex.join(["w2s", "tune", reference, *overrides, "--store", choices.store])
    with journal_of(store, searched.base_recipe, monitor_of({}, choices)) as journal:
        with Table.open(folder, writing=True) as table:
            rows = table.rows()
            for note in table.notes():
                show.console(err=True).print(note, style="yellow", markup=False)
            summary = _search(searched, store, table, rows, journal, choices, asked)
        code = _close(searched, store, folder, summary, choices, command)
        journal.end(code)
    return code


def _check(searched: Searched, choices: Choices, asked: Asked) -> None:
    search = searched.search
    if asked.extend < 0:
        raise BadInput("--extend", f"{asked.extend} trials more are none", "give a number above 0")
    if asked.extend and search.algorithm == "grid":
        raise BadInput("--extend", "a grid has as many trials as it has", "widen the space, and run it again")
    if asked.extend and search.algorithm == "pbt":
        raise BadInput("--extend", "a population keeps its size", "set search.trials, for a population of its own")
    if choices.pool == "inline" and search.scheduler != "fifo":
        what = f"{search.scheduler} needs Ray Tune"
        raise BadInput("--pool inline", what, "leave it out, or set search.scheduler=fifo")
    with show.console(err=True).status("checking every trial") as status:
        check_search(searched, lambda done, total: status.update(f"checking every trial: {done} of {total}"))


def _search(
    searched: Searched,
    store: Store,
    table: Table,
    rows: dict[str, Row],
    journal: Journal,
    choices: Choices,
    asked: Asked,
) -> Summary | None:
    """Do what is left of the search. None where nothing is."""
    if searched.search.algorithm == "pbt":
        return _breed(searched, store, table, rows, journal, choices)
    book = Book.of({key: row for key, row in rows.items() if not row.is_member})
    wanted = _enter(searched, book, asked)
    left = [key for key in wanted if not book.finished(key) and not _rests(book, key, searched, asked)]
    new = searched.search.trials + asked.extend - len(book.trials) if searched.search.algorithm == "optuna" else 0
    if not left and new <= 0 and _base_is_there(searched, store):
        return None
    # fifo stops nothing, whatever was stopped before
    continuing = bool(asked.extend) or searched.search.scheduler == "fifo"
    emit = _refreshed(searched, store, table, journal)
    driver = Driver(searched, store, table, book, emit, continuing=continuing)
    if asked.extend:  # those that were stopped are judged last, against all that is new
        wanted = sorted(wanted, key=lambda key: key in book.rows and book.rows[key].status == "stopped")

    def adviser(at_once: int) -> Adviser:
        return _adviser(searched, book, wanted, left, max(0, new), at_once)

    return _run(searched, store, driver, adviser, journal, choices)


def _enter(searched: Searched, book: Book, asked: Asked) -> list[str]:
    """The keys of all trials that are known before the search, in order; new ones are entered into the book."""
    search = searched.search
    if search.algorithm == "random":
        listed = random_trials(searched, 0, search.trials + asked.extend)
    elif search.algorithm == "grid":
        listed = grid_trials(searched)
    else:
        return list(book.trials)
    for trial in listed:
        book.add(trial)
    return [trial.key for trial in listed]


def _rests(book: Book, key: str, searched: Searched, asked: Asked) -> bool:
    """Whether a trial was stopped early and stays so."""
    row = book.rows.get(key)
    return row is not None and row.status == "stopped" and searched.search.scheduler != "fifo" and not asked.extend


def _adviser(
    searched: Searched, book: Book, wanted: Sequence[str], left: Sequence[str], new: int, at_once: int
) -> Adviser:
    from w2s.search.suggest import OptunaSuggester

    search = searched.search
    if search.scheduler == "fifo":
        if search.algorithm != "optuna":
            return ListAdviser(left)
        return SuggestedAdviser(OptunaSuggester(searched, book, first=left), len(left) + new, at_once)
    from cluster.tune_adviser import Stopping, TuneAdviser

    assert search.scheduler != "pbt", "a population is another search"
    stopping = Stopping(search.scheduler, search.grace, search.reduction, _evaluations(searched))
    folder = Path(tempfile.mkdtemp(prefix="w2s-tune-"))
    if search.algorithm == "optuna":
        suggester = OptunaSuggester(searched, book, first=wanted)
        return TuneAdviser(folder, suggester=suggester, count=len(wanted) + new, stopping=stopping, at_once=at_once)
    return TuneAdviser(folder, trials=wanted, stopping=stopping, at_once=at_once)


def _evaluations(searched: Searched) -> int | None:
    """How many evaluations a training has, as far as the recipe says."""
    learner = searched.base_recipe.strong
    return max(1, -int(-learner.epochs // 1)) if learner.evaluate == "epoch" else None


def _breed(
    searched: Searched, store: Store, table: Table, rows: dict[str, Row], journal: Journal, choices: Choices
) -> Summary | None:
    members = {row.number: row for row in rows.values() if row.is_member}
    ended = [row for row in members.values() if len(row.reports) == searched.search.rounds]
    if len(ended) >= searched.search.trials and _base_is_there(searched, store):
        return None

    def adviser(at_once: int) -> Adviser:
        from cluster.tune_adviser import TuneAdviser

        return TuneAdviser(Path(tempfile.mkdtemp(prefix="w2s-tune-")), population=population(searched, members))

    emit = _refreshed(searched, store, table, journal)
    return _run(searched, store, Breeder(searched, store, table, members, emit), adviser, journal, choices)


def _run(
    searched: Searched, store: Store, driver: Session, adviser: Callable[[int], Adviser], journal: Journal,
    choices: Choices,
) -> Summary:  # fmt: skip
    recipe = searched.base_recipe
    journal.begin()
    for each in (recipe, *(trial_recipe(searched, trial) for trial in corner_trials(searched))):
        fetch(each, list(each.graph().values()), choices)
    with (
        redirect_stdout(sys.stderr),
        pool_of(store, choices, journal.monitor) as pool,
        store.leases() as leases,
    ):
        scheduler = Scheduler(store, pool, leases, driver.hear)
        driver.scheduler = scheduler
        journal.follow(scheduler.jobs)
        with signals(scheduler, journal.monitor):
            return driver.run(scheduler, adviser(_at_once(searched, pool)))


def _at_once(searched: Searched, pool: Pool) -> int:
    """How many trials' students the devices hold, and one more so that none of them idles between two."""
    search, recipe = searched.search, searched.base_recipe
    if search.max_concurrent != "auto":
        return search.max_concurrent
    if recipe.strong.probe is not None:
        return TOGETHER
    machine: Machine = recipe.machine(recipe.strong)
    cpus, gpus = pool.totals()
    room = cpus / (machine.cpus * machine.devices)
    if machine.gpus and gpus:
        room = min(room, gpus / (machine.gpus * machine.devices))
    return max(1, int(room / len(searched.seeds))) + 1


def _base_is_there(searched: Searched, store: Store) -> bool:
    return all(store.has(stage.key) for stage in searched.base_recipe.goals())


def _refreshed(searched: Searched, store: Store, table: Table, journal: Journal) -> Listener:
    """The journal and what it shows, and TensorBoard kept up to date beside it."""
    from w2s.search.shown.board import write_board
    from w2s.search.shown.refresh import Refresh

    return Refresh(journal, lambda: write_board(as_it_stands(searched, table.folder), store))


def _close(
    searched: Searched, store: Store, folder: Path, summary: Summary | None, choices: Choices, command: str
) -> int:
    found = _show(conclude(searched, folder), store, command)
    code = found.exit_code(summary)
    if choices.json:
        show.as_json({**found.as_dict(), "exit_code": code})
        return code
    told(found, show.console())
    return code


def _show(found: Ending, store: Store, command: str) -> Ending:
    """Write the TensorBoard files and the page. What fails there is told and spoils no search."""
    if not found.rows:
        return found
    from w2s.search.shown.board import write_board
    from w2s.search.shown.page import Asked as PageAsked
    from w2s.search.shown.page import write_page

    try:
        found = replace(found, board=write_board(found, store))
        write_page(found, store, PageAsked(command, _promised(found)))
    except Exception as error:  # a plotting library's fault too: the table and the best recipe are written already
        why = error if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
        show.console(err=True).print(f"what the search found is not shown: {why}", style="yellow", markup=False)
    return found


def _promised(found: Ending) -> int:
    """How many trials the search has when it is finished; an extended one has what it has."""
    search = found.searched.search
    return max(len(found.rows), len(grid_trials(found.searched)) if search.algorithm == "grid" else search.trials)
