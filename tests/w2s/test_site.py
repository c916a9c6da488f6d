"""The site file: both ways to write it, where it is looked for, and what it says of a mistake."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cluster.errors import BadInput
from cluster.submit.site import Site
from cluster.submit.slurm_text import package_slurm
from w2s.site import load_site


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("W2S_SITE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def site(folder: Path, text: str, name: str = "site.yaml") -> Site:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return load_site(str(file))


def refused(folder: Path, text: str, name: str = "site.yaml") -> list[str]:
    with pytest.raises(BadInput) as told:
        site(folder, text, name)
    return str(told.value).replace(f"{folder}/", "").splitlines()


def test_the_examples_say_the_same_and_speak_of_every_field() -> None:
    yaml, env = (load_site(str(package_slurm() / f"site.example.{kind}")) for kind in ("yaml", "env"))
    assert yaml == env
    assert (yaml.time_limit_s, yaml.grace_s, yaml.gpus_per_node, yaml.extra) == (86_400, 180, 4, ("--mail-type=FAIL",))
    written = (package_slurm() / "site.example.yaml").read_text()
    lines = [line.removeprefix("# ") for line in written.splitlines()]
    for field in dataclasses.fields(Site):
        name = field.name.removesuffix("_mib").removesuffix("_s")
        line = next((line for line in lines if line.startswith(f"{name}:")), "")
        assert " # " in line, f"site.example.yaml does not explain {name}"


def test_where_it_is_looked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_site() == Site()
    folder = home / ".config" / "w2s"
    folder.mkdir(parents=True)
    (folder / "site.env").write_text("PARTITION=from-home\n")
    assert load_site().partition == "from-home"
    (folder / "site.yaml").write_text("partition: other\n")
    with pytest.raises(BadInput, match=r"site\.yaml and site\.env; keep one"):
        load_site()
    (home / "mine.yml").write_text("partition: from-variable\n")
    monkeypatch.setenv("W2S_SITE", str(home / "mine.yml"))
    assert load_site().partition == "from-variable"
    (home / "given.yaml").write_text("partition: from-flag\n")
    assert load_site("~/given.yaml").partition == "from-flag"
    with pytest.raises(BadInput, match=r"^--site: no such file"):
        load_site("nowhere.yaml")


def test_an_empty_file_is_a_plain_slurm(home: Path) -> None:
    assert site(home, "# nothing yet\n") == Site() == site(home, "# nothing yet\n", "site.env")


TIMES = {
    "2:00:00": 7200,
    "08:00:00": 28_800,
    "1-00:00:00": 86_400,
    "90m": 5400,
    "1d12h": 129_600,
    "600": 600,
    '"3:30:00"': 12_600,
}


@pytest.mark.parametrize("written", TIMES)
def test_times(home: Path, written: str) -> None:
    assert site(home, f"time_limit: {written}\n").time_limit_s == TIMES[written]
    assert site(home, f"TIME_LIMIT={written}\n", "site.env").time_limit_s == TIMES[written]


def test_what_people_write(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    text = "memory_per_node: 64GiB\nports: 21000-22000\nstore: $SCRATCH/w2s\npython: ~/py\nenvironment: {N: 3}\n"
    found = site(home, text + "setup: |\n  a\n\n  b\n")
    assert (found.memory_per_node_mib, found.ports) == (65_536, (21_000, 22_000))
    assert (found.store, found.python) == ("/scratch/me/w2s", f"{home}/py")
    assert (found.environment, found.setup) == ({"N": "3"}, ("a", "b"))
    assert site(home, "store: s3://bucket/w2s\n").store == "s3://bucket/w2s"


def test_lines_of_a_shell_stand_for_themselves(home: Path) -> None:
    text = "export ACCOUNT='a'  # mine\nQOS=\nSETUP=\"module load x; . y\"\nENVIRONMENT='A=$(touch X); B=c=d'\nEXCLUSIVE=no\n"
    found = site(home, text, "site.env")
    assert (found.account, found.qos, found.setup, found.exclusive) == ("a", None, ("module load x", ". y"), False)
    assert found.environment == {"A": "$(touch X)", "B": "c=d"}


def test_all_mistakes_at_once_each_with_its_line(home: Path) -> None:
    text = "acount: x\npartition: a b\ntime_limit_s: 9\ngrace: soon\nmemory_per_node: 64000\nextra: [--output=x]\n"
    text += "gpu_flag: gpus\nenvironment: {A B: 1}\nstore: $NOPE/x\n"
    assert [line.partition("; letters")[0].partition(" There are")[0] for line in refused(home, text)] == [
        "site.yaml:1: acount: no such field; did you mean 'account'?",
        "site.yaml:2: partition: 'a b' is nothing Slurm could be asked for",
        "site.yaml:3: time_limit_s: is written time_limit, with its unit",
        "site.yaml:4: grace: 'soon' is not a length of time; write it like 4:00:00, 1-12:00:00 or 90m",
        "site.yaml:5: memory_per_node: '64000' has no unit; write it like 64GB or 512MiB",
        "site.yaml:6: extra: '--output=x': the script has this flag already; leave it out",
        "site.yaml:7: gpu_flag: input should be 'gpus-per-node' or 'gres', found 'gpus'",
        "site.yaml:8: environment: 'A B' is no variable's name",
        "site.yaml:9: store: $NOPE is not set here; write the path out",
    ]


REFUSED = {
    "- a\n": "is no site file",
    "grace: 2h\ntime_limit: 1h\n": "leaves nothing of a time limit of 3600 s",
    "ports: [40000, 30000]\n": "the lower one first",
    "node_scratch: scratch\n": "must be an absolute path",
    "requeues: -1\n": "greater than or equal to 0",
    "account: a\naccount: b\n": "is written twice",
    "partition: [\n": "not readable as YAML",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(home: Path, text: str) -> None:
    (line,) = refused(home, text)
    assert line.startswith("site.yaml")
    assert REFUSED[text] in line


REFUSED_LINES = {
    "\nPARTITION gpu\n": ("site.env:2", "is not of the form KEY=value"),
    "A=1\nPARTITION=a\nPARTITION=b\n": ("site.env:3", "is written twice"),
    "SETUP=module load x\n": ("site.env:1: SETUP", "is more than one word"),
    "SETUP='module load x\n": ("site.env:1: SETUP", "no closing quotation"),
    "ENVIRONMENT=HF_HOME\n": ("site.env:1: ENVIRONMENT", "of the form NAME=value"),
    "# a\nPARTITON=gpu\n": ("site.env:2: partiton", "did you mean 'partition'?"),
    "GPUS_PER_NODE=many\n": ("site.env:1: gpus_per_node", "valid integer"),
}


@pytest.mark.parametrize("text", REFUSED_LINES)
def test_refused_lines(home: Path, text: str) -> None:
    (line,) = refused(home, text, "site.env")
    where, what = REFUSED_LINES[text]
    assert line.startswith(where)
    assert what in line
