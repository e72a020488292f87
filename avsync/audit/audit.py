"""`avsync audit DATASET`: can a network cheat on the labels? Leaks are computed, probes are run, all is judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from avsync.audit.config import WHOLE, AuditConfig, count_sources
from avsync.audit.leak import Leak, Leakage, leak
from avsync.audit.report import print_audit
from avsync.audit.result import AuditFinding, AuditResult, Guesses
from avsync.audit.verdicts import (
    FAIR,
    HONEST,
    MIXTURES,
    conclude,
    judge,
    judge_mixtures,
    judge_sampler,
    strictness,
    words_of,
)
from avsync.data.pairs import build_sampler, in_sync_sampler
from avsync.loading.feed import Feed
from avsync.run.network import pick_device
from avsync.run.paths import full_name
from avsync.staging.mirror import StagedDataset
from sharding.base.console import Bar, open_console
from sharding.base.files import check_output, publish, write_json, writing
from sharding.errors import AvsyncError


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """Files to write beside what is printed."""

    page: Path | None = None
    json: Path | None = None

    def check(self, dataset: Path) -> None:
        """Before anything is read for them. Raises InputError."""
        for flag, path, suffix in (("--page", self.page, ".html"), ("--json", self.json, ".json")):
            if path is not None:
                check_output(path, flag, (suffix,), never={"the dataset": dataset})


def audit(
    dataset: Path, config: AuditConfig, written: Written, repeat: str, console: Console | None = None
) -> AuditResult:
    """Print what was found, write it, and return it. repeat: the command as typed, for the page.

    Raises InputError, FormatError when there is nothing to look at.
    """
    written.check(dataset)
    mixtures = config.labels == "mixtures"
    found_in, sampler = StagedDataset.of_folder(dataset), in_sync_sampler if mixtures else build_sampler
    feed = Feed.of(found_in, config.split, config.pairs.judged, WHOLE, sampler=sampler)
    found = look_at_mixtures(feed, config) if mixtures else look(feed, config)
    print_audit(found, console or open_console(wide=True))
    if written.json is not None:
        with writing(written.json, "--json"):
            write_json(written.json, found)
    if written.page is not None:
        with writing(written.page, "--page"):
            _write_page(written.page, found, feed, repeat)
    return found


def look(feed: Feed, config: AuditConfig) -> AuditResult:
    """Compute, probe and judge pairs. Raises InputError when there are not two sources."""
    from avsync.audit.probes import PROBES, run_probes

    sources = count_sources(feed, config)
    z = strictness(len(PROBES), sources)
    with Bar("audit", passing=True) as bar:
        guesses = list(run_probes(feed, config, z, _shown_by(bar)))
    return sum_up(feed, config, guesses, sources, z)


def sum_up(feed: Feed, config: AuditConfig, guesses: Sequence[Guesses], sources: int, z: float) -> AuditResult:
    """Judge the sampler, and what probes guessed on clips of so many sources."""
    leaked = leak(feed.sampler, feed.dataset.index.frames[feed.clips])
    findings = (*judge_sampler(leaked, config.pairs.law), *(judge(one, config.law) for one in guesses))
    return _result(feed, config, findings, sources, z, min(len(feed.clips), config.clips), leak=leaked)


def look_at_mixtures(feed: Feed, config: AuditConfig) -> AuditResult:
    """The same of mixtures."""
    from avsync.audit.mixture_labels import PROBES, gather_mixtures, law_of_mixtures, probe_mixtures

    sources = count_sources(feed, config) // 2 * 2  # two by two
    z = strictness(PROBES, sources // 2)
    group, device = feed.dataset.index.group, pick_device(config.device)
    with Bar("audit", passing=True) as bar:
        rows = gather_mixtures(feed, config, _shown_by(bar))
        guesses = list(probe_mixtures(rows, group, config.seed, z, device, _shown_by(bar)))
    told = law_of_mixtures(rows)
    findings = judge_mixtures(told), *(judge(one, MIXTURES) for one in guesses)
    return _result(feed, config, findings, sources, z, len(np.unique(rows.clips)), mixtures=told)


def _shown_by(bar: Bar) -> Callable[[str, int, int], None]:
    """Gets what is done now, and how much of how much."""
    return lambda what, done, total: bar.update(done, total=total, doing=what)


def _result(
    feed: Feed,
    config: AuditConfig,
    findings: tuple[AuditFinding, ...],
    sources: int,
    z: float,
    looked_at: int,
    *,
    leak: Leak | None = None,
    mixtures: Leakage | None = None,
) -> AuditResult:
    outcome = conclude(findings, sources)
    return AuditResult(
        dataset=full_name(feed.dataset.folder.resolve()),
        verdict=outcome.verdict,
        sentence=outcome.sentence,
        notes=outcome.notes,
        config=config,
        clips=len(feed.clips),
        looked_at=looked_at,
        sources=sources,
        z=z,
        leak=leak,
        mixtures=mixtures,
        findings=findings,
    )


def _write_page(path: Path, found: AuditResult, feed: Feed, repeat: str) -> None:
    from avsync.audit.page import page_html, place_chart  # late: what draws is slow to load

    lengths, counts = np.unique(feed.dataset.index.frames[feed.clips], return_counts=True)
    frames, fps = int(lengths[counts.argmax()]), feed.dataset.info.clock.fps
    chart = place_chart(feed.sampler, frames, fps) if found.config.labels == "pairs" else None
    page = page_html(found, chart, float(frames / fps), repeat)
    with publish(path) as file:
        file.write(page.encode())


def refuse(found: AuditResult, *, strict: bool) -> None:
    """Raises AvsyncError when the audit failed; `strict`: also when it warns."""
    if found.verdict == "pass" or (found.verdict == "warning" and not strict):
        return
    law, worst = found.config.law, [one for one in found.findings if one.verdict == found.verdict]
    failed = "fails its audit" if found.verdict == "fail" else "passes its audit with a warning only (--strict)"
    names = ", ".join(one.guesses.probe for one in worst) or found.notes[-1].rstrip(".")
    remedy = "each reason above says what to do" if law in FAIR else f"use --pairs.law {HONEST}"
    raise AvsyncError(f"{found.dataset} with {words_of(law)} {failed}: {names}; {remedy}")
