"""`doctor` for a Slurm cluster: what it has, what of it will hurt our jobs, and what to do about it: one Finding a check.

As in doctor.py each check is a function of facts; slurm_look.py looks them up, and slurm_probe.py, if it is asked for, takes
two nodes for a moment. `fail` is what would stop every job that the site file describes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cluster import slurm_look, slurm_probe, surroundings
from cluster.doctor import NETWORK, Finding
from cluster.errors import Problem
from cluster.slurm_look import NEEDED, Partition
from cluster.slurm_probe import SeenNode
from cluster.store_mark import absolute, marked
from cluster.submit.site import Site

CLOCKS_S = 5.0  # leases are taken over by their age
LITTLE_KILL_WAIT = 15
NOTICE = "send_user_signal"  # of PreemptParameters; with preempt_ before it, of SlurmctldParameters in older Slurms
GONE = ("down", "drained", "fail", "unknown", "inval", "future", "powered_down")


def examine_slurm(
    site: Site, store: str, *, probe: bool = False, say: Callable[[str], None] = lambda text: None
) -> Iterator[Finding]:
    """All checks of the Slurm whose commands are on PATH, for jobs as `site` describes them and results in `store`.

    With `probe` two nodes are taken for some seconds, and a mark is written into the store and removed.
    """
    found = slurm_look.programs()
    yield programs(found)
    if any(found[name] is None for name in NEEDED):
        return
    say("asking Slurm")
    try:
        up = slurm_look.controllers()
        yield controller(slurm_look.version(), up)
        if not up:
            return
        config, there = slurm_look.config(), slurm_look.partitions()
    except Problem as problem:
        yield Finding("controller", "fail", f"{problem.where}: {problem.what}", problem.remedy)
        return
    yield from partitions(there, site)
    yield account(site.account, slurm_look.accounts())
    yield requeue(config)
    yield preemption(config)
    yield kill_wait(config)
    yield accounting(config)
    if probe:
        say("taking nodes for a moment")
        yield from _probe(site, store, there)
    else:
        yield shared(store, "" if "://" in store else surroundings.filesystem(Path(store).expanduser()))


def _probe(site: Site, store: str, there: Sequence[Partition]) -> Iterator[Finding]:
    usable = max((part.nodes for part in there if _is_used(part, site)), default=1)
    try:
        with marked(store) as mark:
            seen = slurm_probe.run(site, absolute(store), mark, min(2, usable))
    except Problem as problem:
        yield Finding("probe", "fail", f"{problem.where}: {problem.what}", problem.remedy)
        return
    except OSError as error:
        yield Finding("probe", "fail", f"{store} cannot be written to from here: {error}", "choose another folder")
        return
    yield from nodes(store, seen)


def programs(found: Mapping[str, str | None]) -> Finding:
    """`found`: where each command lies."""
    missing = [name for name in NEEDED if found[name] is None]
    if missing:
        remedy = "run this on a login node of the cluster; some sites want `module load slurm` first"
        return Finding("commands", "fail", f"no {', '.join(missing)} on PATH", remedy)
    if found.get("sacct") is None:
        return Finding("commands", "warn", "no sacct on PATH", "how jobs ended is then told from what they wrote")
    return Finding("commands", "ok", f"{', '.join(found)} on PATH")


def controller(version: str, up: str) -> Finding:
    """`up`: what the controllers that answer are called; "" when none does."""
    if not up:
        return Finding(
            "controller", "fail", f"{version}; slurmctld does not answer", "see `scontrol ping`; ask the administrators"
        )
    return Finding("controller", "ok", f"{version}; {up}")


def partitions(there: Sequence[Partition], site: Site) -> Iterator[Finding]:
    """One finding for each partition; those the site does not use are only told."""
    names = [one.name for one in there]
    if site.partition is not None and site.partition not in names:
        near = difflib.get_close_matches(site.partition, names, 1)
        remedy = (f"did you mean '{near[0]}'? " if near else "") + f"there are: {', '.join(names)}"
        yield Finding("partition", "fail", f"the site file's '{site.partition}' does not exist", remedy)
    elif site.partition is None and not any(one.is_default for one in there):
        remedy = f"set `partition` in the site file to one of: {', '.join(names)}" if names else "see `sinfo`"
        yield Finding("partition", "fail", "there is no default partition", remedy)
    for one in there:
        states = ", ".join(f"{count} {state}" for state, count in one.states.items())
        limit = "no limit" if one.limit_s is None else f"at most {_span(one.limit_s)}"
        what = f"{states}; a node: {one.cpus} CPUs, {one.memory_mib} MiB, {one.gpus} GPUs; {limit}"
        fault, remedy = _unfit(one, site) if _is_used(one, site) else ("", "")
        if fault:
            yield Finding(f"partition {one.name}", "fail", f"{fault} ({what})", remedy)
        else:
            yield Finding(f"partition {one.name}", "ok", what)


def _is_used(part: Partition, site: Site) -> bool:
    return part.is_default if site.partition is None else part.name == site.partition


def _unfit(part: Partition, site: Site) -> tuple[str, str]:
    """What keeps jobs of this site from ever starting there, and the remedy; ("", "") when nothing does."""
    if not part.up:
        return "takes no jobs", "use another, or ask the administrators"
    if all(state in GONE for state in part.states):
        return "has no node that works", "use another, or ask the administrators: `sinfo -R` tells why"
    if site.gpus_per_node > part.gpus:
        return f"gpus_per_node is {site.gpus_per_node}", f"set it to {part.gpus} or less, or use another partition"
    if part.limit_s is not None and site.time_limit_s > part.limit_s:
        remedy = f"set it to {_span(part.limit_s)} or less: longer work goes on in a second job"
        return f"time_limit is {_span(site.time_limit_s)}", remedy
    if site.cpus_per_node is not None and site.cpus_per_node > part.cpus:
        return f"cpus_per_node is {site.cpus_per_node}", f"set it to {part.cpus} or less"
    if site.memory_per_node_mib is not None and site.memory_per_node_mib > part.memory_mib > 0:
        return f"memory_per_node is {site.memory_per_node_mib} MiB", f"set it to {part.memory_mib}MiB or less"
    return "", ""


def _span(seconds: float) -> str:
    """As a site file may have it."""
    return f"{seconds / 3600:g}h" if seconds % 3600 == 0 else f"{seconds / 60:g}m"


def account(asked: str | None, ours: Sequence[str] | None) -> Finding:
    """`asked`: the site file's; `ours`: those we may charge, None where Slurm does not tell."""
    if ours is None:
        return Finding("account", "ok", f"{asked or 'none'} (Slurm keeps no list here)")
    if asked is not None and asked not in ours:
        remedy = f"you may charge: {', '.join(ours)}" if ours else "ask the administrators for one"
        return Finding("account", "fail", f"the site file's '{asked}' is not yours", remedy)
    return Finding("account", "ok", asked or f"the default of {', '.join(ours) or 'none'}")


def requeue(config: Mapping[str, str]) -> Finding:
    """Our jobs ask for it themselves (--requeue), which wins over the cluster's default."""
    default = config.get("JobRequeue", "1")
    return Finding(
        "requeue", "ok", f"JobRequeue={default}" + ("; our jobs ask for it themselves" if default == "0" else "")
    )


def preemption(config: Mapping[str, str]) -> Finding:
    """Slurm gives a pre-empted job's script its USR1 only where the administrators have said so."""
    kind, mode = config.get("PreemptType", "preempt/none"), config.get("PreemptMode", "OFF")
    if kind == "preempt/none" or mode == "OFF":
        return Finding("pre-emption", "ok", "off")
    if "REQUEUE" not in mode.upper():
        remedy = "after one, submit again: it goes on from what was saved"
        return Finding("pre-emption", "warn", f"PreemptMode={mode}: jobs do not come back by themselves", remedy)
    told = f"{config.get('SlurmctldParameters', '')},{config.get('PreemptParameters', '')}".lower()
    if NOTICE not in told:
        remedy = f"what was saved last counts then; ask for PreemptParameters={NOTICE} and a GraceTime"
        return Finding("pre-emption", "warn", f"PreemptMode={mode} without notice to the job ({NOTICE})", remedy)
    return Finding("pre-emption", "ok", f"PreemptMode={mode}, with notice to the job")


def kill_wait(config: Mapping[str, str]) -> Finding:
    """From SIGTERM to SIGKILL, when a job is cancelled or out of time."""
    words = config.get("KillWait", "")
    number = words.split()[0] if words else ""
    if number.isdigit() and int(number) < LITTLE_KILL_WAIT:
        remedy = "what runs may not save in that: set `grace` in the site file so that our jobs leave before"
        return Finding("KillWait", "warn", words, remedy)
    return Finding("KillWait", "ok", words or "unknown")


def accounting(config: Mapping[str, str]) -> Finding:
    kind = config.get("AccountingStorageType", "")
    if "none" in kind or not kind or kind == "(null)":
        age = config.get("MinJobAge", "some minutes")
        return Finding(
            "accounting", "ok", f"off: Slurm forgets a job {age} after its end; `w2s status` tells from what it wrote"
        )
    return Finding("accounting", "ok", kind)


def shared(store: str, filesystem: str) -> Finding:
    """The store as its path tells; whether the nodes see it is for `--probe`."""
    if "://" in store:
        return Finding("store", "ok", f"{store} is remote: the nodes need its network and credentials")
    if filesystem in NETWORK:
        return Finding("store", "ok", f"{store} is on {filesystem}")
    remedy = "every node must see it: choose a folder on the shared filesystem, or see with --probe that they do"
    return Finding(
        "store", "warn", f"{store} is on {filesystem or 'an unknown filesystem'}, which is rarely shared", remedy
    )


def nodes(store: str, seen: Sequence[SeenNode]) -> Iterator[Finding]:
    """What the probe found, a finding for each question."""
    where = ", ".join(node.name for node in seen)
    blind = [f"{node.name}: {node.store}" for node in seen if node.store]
    if blind:
        yield Finding(
            "store on nodes", "fail", f"{store} {'; '.join(blind)}", "choose a folder on the shared filesystem"
        )
    else:
        yield Finding("store on nodes", "ok", f"{where} see it and can write")
    pythons = sorted({node.python for node in seen})
    one = len(pythons) == 1
    yield Finding(
        "Python on nodes", "ok" if one else "fail", ", ".join(pythons), "" if one else "use one environment for all"
    )
    unreached = [f"{node.name}: {node.unreached}" for node in seen if node.unreached]
    if unreached:
        remedy = (
            "Ray's nodes speak on `ports` of the site file, over `interface`: have a firewall let them, or change these"
        )
        yield Finding("ports between nodes", "fail", "; ".join(unreached), remedy)
    elif len(seen) > 1:
        yield Finding("ports between nodes", "ok", f"{where} reach each other")
    apart = max((abs(node.apart_s) for node in seen if node.apart_s is not None), default=None)
    if apart is not None:
        far = apart > CLOCKS_S
        remedy = "leases and time-outs go by the clock: ask for NTP on the nodes" if far else ""
        yield Finding("clocks", "warn" if far else "ok", f"{apart:.1f} s apart", remedy)
