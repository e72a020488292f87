"""The check-up from its first job to the lines for the profile."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from launch.doctor.examine import CheckUp
from launch.doctor.of_nodes import of_nodes
from launch.doctor.of_signals import of_signals
from launch.doctor.of_site import of_site
from launch.doctor.results import SiteFinding, SiteVerdict, read_tasks, unknown
from launch.doctor.scripts import Looks, scripts
from launch.queue.ask import Unasked
from launch.queue.site import SiteConfig, keeps_books, read_config, read_partitions
from launch.site.profile import ClusterProfile
from sharding.base.console import open_console
from sharding.base.text import counted, plain
from sharding.errors import AvsyncError, InputError


def dry_run(profile: ClusterProfile, folder: Path | None, looks: Looks) -> str:
    """The scripts, as text."""
    where = _folder(profile, folder)
    return "\n".join(f"# {where / name}.sh\n{text}" for name, text in scripts(profile, where, looks).items())


def examine(profile: ClusterProfile, folder: Path | None, looks: Looks, patience_s: float) -> str:
    """Look at everything and print it; returns that all is well. Raises AvsyncError when something must be changed."""
    console, where = open_console(), _folder(profile, folder)
    if where.exists():
        raise InputError(f"--folder {where} is there already; name a new one, or leave it out")
    unasked = Unasked()
    config = unasked.ask(read_config, SiteConfig({}), "how SLURM is set up")
    partitions = unasked.ask(read_partitions, [], "partitions")
    unasked.warn()
    found = of_site(profile, config, partitions, keeps_books())
    looked = CheckUp(profile, where, looks, lambda text: console.print(plain(text), style="dim", soft_wrap=True))
    looked.run(patience_s)
    tasks = read_tasks(where)
    found += of_nodes(profile, tasks, looks.nodes)
    found += of_signals(profile, where, looked.cancelled, looks)
    found += [unknown(f"job {name}", why) for name, why in {**looked.refused, **looked.left}.items()]
    show(console, found)
    return _closing(found, where)


def show(console: Console, findings: Sequence[SiteFinding]) -> None:
    """The table, and what to paste."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("check", "found", "what to do"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        style = finding.verdict.value
        table.add_row(Text(finding.check, style), Text(plain(finding.found)), Text(plain(finding.advice), style))
    console.print(table)
    if lines := toml(findings):
        console.print("For the profile:", style="bold")
        console.print("\n".join(lines), soft_wrap=True)


def toml(findings: Iterable[SiteFinding]) -> list[str]:
    """Lines of a profile; those of a table after the others, as TOML wants it. Of two answers the first counts."""
    lines = dict[str, str]()
    for finding in findings:
        if not lines.keys() & finding.profile.keys():
            lines |= finding.profile
    return [f"{key} = {lines[key]}" for key in sorted(lines, key=lambda key: ("." in key, key))]


def _closing(findings: Sequence[SiteFinding], where: Path) -> str:
    changes = [finding.check for finding in findings if finding.verdict is SiteVerdict.CHANGE]
    unclear = [finding.check for finding in findings if finding.verdict is SiteVerdict.UNKNOWN]
    if changes:
        raise AvsyncError(f"{counted(len(changes), 'thing')} must be changed, as shown above: {', '.join(changes)}")
    if unclear:
        raise AvsyncError(f"not found out: {', '.join(unclear)}; what the probes wrote is in {where}; try again later")
    return f"Nothing must be changed. What the probes wrote is in {where}"


def _folder(profile: ClusterProfile, folder: Path | None) -> Path:
    return (folder or Path(f"avsync-doctor-{profile.name or 'cluster'}-{time.strftime('%m%d-%H%M%S')}")).absolute()
