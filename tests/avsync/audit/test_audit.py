"""An audit's verdicts: what fails, what warns, how sure that is; what a person reads on screen and page."""

import io
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from avsync.audit.audit import WHOLE, Written, refuse, sum_up
from avsync.audit.config import AuditConfig
from avsync.audit.leak import leak
from avsync.audit.page import page_html, place_chart
from avsync.audit.report import print_audit
from avsync.audit.result import AuditResult, Guesses, Kind, Verdict
from avsync.audit.verdicts import FALSE_ALARMS, conclude, detectable, judge, judge_sampler, strictness
from avsync.config import PairConfig, PairsName
from avsync.data.pairs import PAIRS
from avsync.loading.feed import Feed
from avsync.metrics import Proportion, proportion_of, wilson
from launch.cli import (
    DONE,
    FAILED,
    USAGE,
    main,
)
from sharding.base.files import read_json, write_json
from sharding.config import PackConfig
from sharding.errors import AvsyncError, InputError
from sharding.pack.pack import pack
from tests.pages import alone

SOURCES, EACH = 300, 4
Z = strictness(8, SOURCES)


def guessed(right: float, kind: Kind = "network", probe: str = "sound alone", sources: int = SOURCES) -> Guesses:
    """Of EACH examples of every source this share is right, as evenly as can be."""
    groups = np.repeat(np.arange(sources), EACH)
    hits = np.diff(np.floor(np.arange(len(groups) + 1) * right)) > 0
    return Guesses(
        probe=probe,
        kind=kind,
        asks=f"Does the {probe} tell?",
        accuracy=proportion_of(hits, groups),
        strict=proportion_of(hits, groups, strictness(8, sources)),
        auc=right,
    )


def pairs_of(law: PairsName) -> PairConfig:
    return PairConfig(law=law, window_s=2, min_shift_s=1, max_shift_s=1.9)


def made(dataset: Path, law: PairsName, guesses: Sequence[Guesses]) -> tuple[AuditResult, Feed]:
    config = AuditConfig(pairs=pairs_of(law))
    feed = Feed.open(dataset, "train", config.pairs, WHOLE)
    return sum_up(feed, config, guesses, SOURCES, Z), feed


@pytest.mark.parametrize(
    ("kind", "right", "verdict"),
    [
        ("network", 0.5, "pass"),
        ("network", 0.45, "pass"),
        ("network", 0.7, "fail"),
        ("rule", 0.7, "fail"),
        ("both", 0.58, "fail"),
        ("both", 0.52, "pass"),
        ("position", 0.5, "pass"),
        ("position", 0.58, "warning"),
        ("position", 0.8, "fail"),
    ],
)
@pytest.mark.parametrize("law", PAIRS)
def test_a_label_that_can_be_guessed_fails_and_a_place_fails_where_it_is_plain(kind, right, verdict, law):
    assert judge(guessed(right, kind), law).verdict == verdict


def test_every_reason_says_what_to_do_and_does_not_ask_for_what_is_done():
    kinds: tuple[Kind, ...] = ("network", "rule")
    for kind in kinds:
        assert "--pairs.law symmetric" in judge(guessed(0.9, kind), "cyclic").reason
        assert "another --seed" in judge(guessed(0.9, kind), "symmetric").reason
    assert "--trim-s" in judge(guessed(0.9, "position"), "symmetric").reason
    assert "pack the originals" in judge(guessed(0.9, "both"), "symmetric").reason
    assert all(
        "90.0 % of 1,200 right" in judge(guessed(0.9, kind), "cyclic").reason for kind in ("network", "position")
    )


def test_a_probe_that_saw_nothing_does_not_pass():
    nothing = proportion_of(np.array([], bool), np.array([], int))
    assert judge(replace(guessed(0.5), accuracy=nothing, strict=nothing), "symmetric").verdict == "warning"


@pytest.mark.parametrize(
    ("freedom", "tail", "point"),
    [
        (1, 1e-3, 318.309),
        (2, 1e-3, 22.327),
        (9, 1e-4, 6.0101),
        (10, 1e-4, 5.6938),
        (29, 1e-4, 4.2539),
        (100, 1e-4, 3.8616),
    ],
)
def test_the_strict_interval_has_the_width_of_students_tables(freedom, tail, point):
    assert strictness(round(FALSE_ALARMS / tail), freedom + 1) == pytest.approx(point, rel=1e-4)


def test_many_sources_make_the_width_that_of_the_normal_law():
    assert strictness(10, 999) == pytest.approx(strictness(10, 5000), rel=0.005)
    assert strictness(10, 10**6) == pytest.approx(3.7190, abs=1e-4)


@given(probes=st.integers(1, 60), sources=st.integers(2, 3000))
def test_more_probes_and_fewer_sources_ask_for_more(probes, sources):
    assert strictness(probes + 1, sources) > strictness(probes, sources) > 3
    assert strictness(probes, sources) >= strictness(probes, sources + 1) - 1e-9


@pytest.mark.parametrize("sources", [12, 60, 400])
def test_clean_labels_fail_about_once_in_a_thousand_audits(sources):
    """Ten probes that only guess, alike within each source; 2000 audits: 2 are expected, 9 would be chance of 1e-4."""
    probes, audits, rng = 10, 2000, np.random.default_rng(sources)
    z, groups = strictness(probes, sources), np.repeat(np.arange(sources), EACH)
    failed = 0
    for _ in range(audits):
        own = rng.beta(2, 2, (probes, sources)).repeat(EACH, axis=1)  # some sources are easy, others deceive
        hits = rng.random(own.shape) < own
        best = hits[hits.mean(axis=1).argmax()]  # no other can have a lower end above chance if this one has not
        failed += proportion_of(best, groups, z).low > 0.5
    assert failed <= 8


@given(value=st.floats(0.02, 0.98), independent=st.floats(5, 5000), z=st.floats(1.5, 6))
def test_what_is_detectable_is_where_the_strict_interval_would_just_leave_chance(value, independent, z):
    strict = Proportion(value, *wilson(value, independent, z), 100)
    limit = detectable(strict)
    assert limit == pytest.approx(min(1.0, 0.5 + z / (2 * independent**0.5)), rel=1e-6)
    if limit < 0.999:
        assert wilson(limit + 1e-6, independent, z)[0] > 0.5 > wilson(limit - 1e-6, independent, z)[0]


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_all_right_or_all_wrong_still_tells_what_is_detectable(right):
    assert 0.5 < detectable(guessed(right).strict) < 0.8


@pytest.mark.parametrize(("law", "verdict"), [("symmetric", "pass"), ("cyclic", "pass"), ("uniform", "fail")])
def test_the_law_itself_is_judged_without_any_interval(law: PairsName, verdict: Verdict):
    leaked = leak(PAIRS[law](window=120, low=60, high=177), np.array([300]))
    findings = judge_sampler(leaked, law)
    assert [one.verdict for one in findings] == [verdict, verdict]
    assert all("--pairs.law symmetric" in one.reason for one in findings if one.verdict == "fail")
    assert ("62.5 %" in findings[0].reason) == (law == "uniform")


def test_the_worst_verdict_is_that_of_the_whole_and_names_who_found_it():
    fine = judge(guessed(0.5, "network", "a"), "symmetric")
    odd = judge(guessed(0.58, "position", "b"), "symmetric")
    bad = judge(guessed(0.8, "both", "c"), "symmetric")
    assert conclude([fine], SOURCES).verdict == "pass"
    assert conclude([fine, odd], SOURCES).verdict == "warning"
    whole = conclude([fine, odd, bad], SOURCES)
    assert whole.verdict == "fail"
    assert whole.sentence == "A network can cheat on these labels. Found by: c."


@pytest.mark.parametrize(("sources", "verdict"), [(9, "warning"), (10, "pass")])
def test_few_sources_pass_nothing_and_are_told(sources, verdict):
    outcome = conclude([judge(guessed(0.5, sources=sources), "symmetric")], sources)
    assert outcome.verdict == verdict
    assert outcome.notes[0].startswith(f"{sources} sources: ")
    assert any("at least 10 sources" in note for note in outcome.notes) == (sources < 10)


def test_it_is_told_from_where_on_a_leak_would_have_been_seen():
    outcome = conclude([judge(guessed(0.5), "symmetric")], SOURCES)
    limit = re.fullmatch(
        r"300 sources: a leak that gives less than (\d\d\.\d) % right would go unseen\.", outcome.notes[0]
    )
    assert limit
    assert judge(guessed(float(limit[1]) / 100 + 0.01), "symmetric").verdict == "fail"


def test_a_fail_is_refused_and_a_warning_only_if_one_is_strict(dataset):
    verdicts = {"pass": guessed(0.5), "warning": guessed(0.58, "position"), "fail": guessed(0.9)}
    for verdict, guesses in verdicts.items():
        found, _ = made(dataset, "cyclic", [guesses])
        assert found.verdict == verdict
        for strict in (False, True):
            if verdict == "fail" or (verdict == "warning" and strict):
                with pytest.raises(AvsyncError, match=r"with cyclic pairs .*: sound alone; use --pairs.law symmetric"):
                    refuse(found, strict=strict)
            else:
                refuse(found, strict=strict)


def screen(found: AuditResult, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    print_audit(found, console)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 160])
def test_the_screen_tells_bits_accuracies_reasons_and_the_verdict_last(dataset, width):
    guesses = [guessed(0.9), guessed(0.5, probe="picture alone"), guessed(0.58, "position", "place of the [b]sound")]
    text = screen(made(dataset, "uniform", guesses)[0], width)
    assert "what the places of the windows tell about the label" in text
    assert "90.0 %" in text
    assert "place of the [b]sound" in " ".join(text.split())
    assert max(map(len, text.splitlines()[1:])) <= width
    words = " ".join(text.split())
    for finding in made(dataset, "uniform", guesses)[0].findings:
        assert (" ".join(finding.reason.split()) in words) == (finding.verdict != "pass")
    assert words.index("FAIL A network can cheat on these labels") > words.index("would go unseen")


EVIL = "</style><script>alert(1)</script><img src=https://evil/x>"


@pytest.mark.parametrize("law", PAIRS)
def test_the_page_stands_alone_and_every_word_of_data_is_only_a_word(dataset, law):
    found, feed = made(dataset, law, [guessed(0.9, probe=EVIL), guessed(0.5), guessed(0.58, "position")])
    chart = place_chart(feed.sampler, 50, feed.dataset.info.clock.fps)
    html = page_html(replace(found, dataset=EVIL), chart, 5.0, f"avsync audit '{EVIL}'")
    page = alone(html)
    assert all(link.startswith("data:image/svg+xml;base64,") for link in page.loads)
    assert page.text.count("<script>alert(1)</script>") >= 4
    text = " ".join(page.text.split())
    for finding in found.findings:
        if finding.guesses.kind != "law" or finding.verdict != "pass":
            assert finding.guesses.probe in text
        assert finding.reason in text or finding.verdict == "pass"
    assert found.sentence in text
    for flag in ("--pairs.law", "--seed", "--clips"):
        assert flag in text


def test_the_same_audit_gives_the_same_page(dataset):
    found, feed = made(dataset, "uniform", [guessed(0.5)])
    fps = feed.dataset.info.clock.fps
    once, again = (page_html(found, place_chart(feed.sampler, 50, fps), 5.0, "avsync audit d") for _ in range(2))
    assert once == again


def test_json_gives_back_what_was_found(dataset, tmp_path):
    found, _ = made(dataset, "uniform", [guessed(0.9), guessed(0.58, "position")])
    write_json(tmp_path / "audit.json", found)
    assert read_json(tmp_path / "audit.json", AuditResult) == found


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (Written(page=Path("a.txt")), r"--page a\.txt must end in \.html; name it a\.html"),
        (Written(json=Path("a.html")), r"--json a\.html must end in \.json"),
        (Written(page=Path("no/folder/a.html")), "there is no folder no/folder"),
        (Written(json=Path("data/a.json")), "lies in the dataset"),
    ],
)
def test_files_that_cannot_be_written_are_told_before_any_work(written, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    with pytest.raises(InputError, match=message):
        written.check(Path("data"))


def audit(*words: object) -> int:
    return main(["audit", *map(str, words)])


PAIRS_HERE = ("--pairs.window-s", "2.0", "--pairs.min-shift-s", "1.0", "--pairs.max-shift-s", "1.9")


def test_a_clean_dataset_passes_and_is_told_how_to_go_on(dataset, tmp_path, capsys):
    page, json = tmp_path / "a.html", tmp_path / "a.json"
    assert audit(dataset, *PAIRS_HERE, "--page", page, "--json", json, "--strict") == DONE
    printed = capsys.readouterr().out.splitlines()
    assert shlex.split(printed[-1])[1:] == ["avsync", "train", str(dataset), "RUN", *PAIRS_HERE]
    found = read_json(json, AuditResult)
    assert (found.verdict, found.sources, found.clips) == ("pass", 18, 18)
    assert found.leak
    assert found.leak.sound.bits == found.leak.picture.bits == 0
    assert {"law", "network", "rule", "position", "both"} == {one.guesses.kind for one in found.findings}
    assert found.sentence in page.read_text()
    assert f"avsync audit {dataset} --pairs.window-s 2.0 --pairs.min-shift-s 1.0" in page.read_text()


def test_a_law_that_leaks_fails_with_exit_code_1_after_the_page_is_written(dataset, tmp_path, capsys):
    page = tmp_path / "a.html"
    assert audit(dataset, *PAIRS_HERE, "--pairs.law", "uniform", "--page", page) == FAILED
    shown = capsys.readouterr()
    error = shown.err.splitlines()[-1]
    assert error.startswith("avsync: error: ")
    assert re.search(
        "with uniform pairs fails its audit: law of the sound's place, .*; use --pairs.law symmetric", error
    )
    assert "Next:" not in shown.out
    assert "A network can cheat on these labels" in page.read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--clips", "1"), USAGE, "--clips 1 must be at least 2"),
        (("--pairs-per-clip", "0"), USAGE, "--pairs-per-clip 0 must lie in 1 to 100"),
        (("--seed", "-1"), USAGE, "--seed -1 must lie in 0"),
        (("--pairs.min-shift-s", "9", "--pairs.max-shift-s", "10"), USAGE, "no clip is long enough"),
        (("--page", "."), FAILED, "--page . is a folder; name a file"),
        (("--pairs.mute-samples", "9999999"), USAGE, "leaves nothing to hear"),
        (("--page", "no-such-folder/a.html"), FAILED, "there is no folder no-such-folder"),
    ],
)
def test_what_cannot_be_audited_is_told_with_its_flag(words, code, message, dataset, capsys):
    assert audit(dataset, *words) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("percent", "message"), [("0", "has no clips in split 'val'"), ("100", "clips of 1 source only")]
)
def test_an_empty_split_and_a_single_source_are_told(percent, message, scenes, tmp_path, capsys):
    rows = (scenes / "scenes.csv").read_text().splitlines()
    name = rows[1].split(",")[0]
    (tmp_path / "one.csv").write_text(
        f"path,action,split\n{scenes / name},a,{'val' if percent == '100' else 'train'}\n"
    )
    pack(
        tmp_path / "one.csv",
        tmp_path / "data",
        PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", workers=1),
    )
    assert audit(tmp_path / "data", "--split", "val", *PAIRS_HERE) == USAGE
    assert message in capsys.readouterr().err
