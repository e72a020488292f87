"""An audit on the terminal: what the pair sampler tells, what every probe found, and the verdict at the end."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from avsync.audit.leak import Leakage
from avsync.audit.result import AuditFinding, AuditResult, Verdict
from avsync.audit.verdicts import ROUNDING, words_of
from sharding.base.text import counted, interval, percent, plain

STYLE: dict[Verdict, str] = {"pass": "bold green", "warning": "bold yellow", "fail": "bold red"}
WIDE = 120
"""Cells from which on the table has room for what each probe asks."""


def bits(leakage: Leakage) -> str:
    """`0`, `0.0595`, `1`."""
    near = round(leakage.bits)
    return str(near) if abs(leakage.bits - near) < ROUNDING else f"{leakage.bits:.4f}"


def seen_from(finding: AuditFinding) -> str:
    """`56.1 %`: a leak of less would go unseen; `never` where the sample is too small for any."""
    return "never" if finding.detectable >= 1 else percent(finding.detectable)


def about(audit: AuditResult) -> str:
    """What was looked at, in a line."""
    config = audit.config
    return (
        f"split {config.split}, {words_of(config.law)}; of {counted(audit.clips, 'clip')}, probes on "
        f"{counted(audit.looked_at, 'clip')} of {counted(audit.sources, 'source')}"
    )


def print_audit(audit: AuditResult, console: Console) -> None:
    """All of it."""
    console.print(Text.assemble((plain(audit.dataset), "bold"), f"  {about(audit)}"), soft_wrap=True)
    console.print(_sampler(audit))
    console.print(_probes(audit, asks=console.width >= WIDE))
    for names, finding in audit.troubles:
        note = f" ({finding.guesses.note})" if finding.guesses.note else ""
        why = f": {finding.guesses.asks} {finding.reason}{note}"
        console.print(Text.assemble(_verdict(finding.verdict), " ", (names, "bold"), why))
    for note in audit.notes:
        console.print(Text(note))
    console.print(Text.assemble(_verdict(audit.verdict), " ", (audit.sentence, "bold")))


def _verdict(verdict: Verdict) -> tuple[str, str]:
    return verdict.upper(), STYLE[verdict]


def _sampler(audit: AuditResult) -> Table:
    title = "what the places of the windows tell" if audit.leak else "what the law of mixtures tells"
    table = Table(title=Text(f"{title} about the label"), title_justify="left")
    table.add_column("who knows")
    table.add_column("bits", justify="right")
    table.add_column("guesses right", justify="right")
    table.add_column("verdict")
    for name, leakage, finding in audit.told:
        verdict = Text(*_verdict(finding.verdict)) if finding else ""
        table.add_row(name, bits(leakage), percent(leakage.accuracy), verdict)
    return table


def _probes(audit: AuditResult, *, asks: bool) -> Table:
    table = Table(title=Text("what probes guess on labels of sources they never saw"), title_justify="left")
    table.add_column("probe", overflow="fold")
    for name in ("right", "95 % interval", "AUC", "seen from"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if asks:
        table.add_column("asks", overflow="fold", style="dim")
    for finding in audit.by_probes:
        guesses = finding.guesses
        table.add_row(
            Text(guesses.probe),
            Text(percent(guesses.accuracy.value), STYLE[finding.verdict]),
            interval(guesses.accuracy.low, guesses.accuracy.high),
            f"{guesses.auc:.3f}",
            seen_from(finding),
            Text(*_verdict(finding.verdict)),
            *((Text(guesses.asks),) if asks else ()),
        )
    return table
