"""What SLURM 20.11 to 26.05 print, by their manuals and sources: each state is understood, in every version.

A state is what job_state_string of src/common/slurm_protocol_defs.c can say; squeue, scontrol and sacct all use it.
"""

import re

import pytest

from launch.doctor.of_site import of_site
from launch.doctor.results import SiteFinding, SiteVerdict
from launch.queue.sacct import BookRow
from launch.queue.scontrol import read_facts
from launch.queue.site import SiteConfig, config_of
from launch.queue.squeue import EXPEDITING, OVER, WAITING, read_rows
from launch.site.profile import ClusterProfile
from launch.submit.check import not_expedited
from launch.watch.status import ENDING, STATES, QueueObservation, Standing, stands

OF_ALL = (
    "COMPLETING STAGE_OUT CONFIGURING RESIZING REQUEUED REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT STOPPED REVOKED "
    "RESV_DEL_HOLD SIGNALING PENDING RUNNING SUSPENDED COMPLETED CANCELLED FAILED TIMEOUT NODE_FAIL PREEMPTED "
    "BOOT_FAIL DEADLINE OUT_OF_MEMORY"
).split()
MORE = {
    "20.11": ["REQUEUED_CRON"], "21.08": [], "22.05": [], "23.02": [], "23.11": [], "24.05": [], "24.11": [],
    "25.05": [], "25.11": [EXPEDITING], "26.05": [EXPEDITING],
}  # fmt: skip
EACH = [(version, state) for version, more in MORE.items() for state in (*OF_ALL, *more)]
HEAD = (
    "QOS=normal JobState={state} Reason={reason} Dependency=(null) Requeue=1 Restarts=2 BatchFlag=1 Reboot=0 "
    "ExitCode=0:0 RunTime=00:00:00 TimeLimit=00:10:00 TimeMin=N/A SubmitTime=2026-11-22T22:07:23 AccrueTime=Unknown "
    "StartTime=Unknown EndTime=Unknown Deadline=N/A PreemptTime=None SuspendTime=None SecsPreSuspend=0 "
)
JOB = {
    "20.11": "JobId=7 JobName=run UserId=me(1000) GroupId=me(1000) MCS_label=N/A Priority=4294901757 Nice=0 " + HEAD
    + "Partition=low AllocNode:Sid=login1:9 ReqNodeList=(null) ExcNodeList=(null) NodeList=(null) NumNodes=2-4 "
    "NumCPUs=2 NumTasks=2 CPUs/Task=1 ReqB:S:C:T=0:0:*:* TRES=cpu=2,mem=800M,node=2 Command=/run/script.sh "
    "WorkDir=/run Comment=avsync:/run Power=",
    "23.11": "JobId=7 JobName=run UserId=me(1000) GroupId=me(1000) MCS_label=N/A Priority=4294901757 Nice=0 " + HEAD
    + "LastSchedEval=2026-11-22T22:07:24 Scheduler=Main Partition=low AllocNode:Sid=login1:9 NodeList= NumNodes=2-4 "
    "ReqTRES=cpu=2,mem=800M,node=2 AllocTRES=(null) Comment=avsync:/run StdErr=/run/log.txt TresPerTask=cpu=1",
    "25.11": "JobId=7 JobName=run SLUID=s5Y4BGTNQ7XR00 UserId=me(1000) Priority=1 Nice=0 FailedNode=n3 " + HEAD
    + "LastSchedEval=2026-11-22T22:07:24 Scheduler=Main Partition=low AllocNode:Sid=login1:9 NodeList= NumNodes=2-4 "
    "AllocTRES=(null) LicensesAlloc=(null) SubmitLine=sbatch --requeue=expedite /tmp/x/script.sh WorkDir=/run "
    "Comment=avsync:/run ExpeditedRequeue=Yes TresPerTask=cpu=1",
}  # fmt: skip
"""`scontrol -o show job`, as it grew; what is not read is left out here and there."""
CONFIG = """\
Configuration data as of 2026-11-22T22:07:23
AccountingStorageHost   = localhost
AuthInfo                = {auth}
MailProg                = /bin/mail
MaxArraySize            = 1001
SchedulerParameters     = {scheduler}
SlurmctldParameters     = {controller}
SLURM_CONF              = /etc/slurm/slurm.conf
SLURM_VERSION           = {version}
"""


def standing(state: str, reason: str = "None") -> tuple[Standing, str]:
    """Of a job as squeue prints it."""
    line = "\x1f".join(("7", "N/A", state, reason, "", "N/A", "low", "run", "(null)", "avsync:/run"))
    return stands(QueueObservation(ids=("7",), outcome=None, rows=read_rows(f"mark{line}\n", "mark")), now=0.0)


@pytest.mark.parametrize(("version", "state"), EACH)
def test_every_state_of_every_version_is_of_one_kind_and_told_in_words(version: str, state: str) -> None:
    kinds = [kind for kind in (OVER, WAITING, STATES, ENDING) if state in kind]
    assert len(kinds) == 1, f"{version}: {state}"
    where, why = standing(state)
    assert "not known" not in why
    assert (where in (Standing.SILENT, Standing.CANCELLED)) == (kinds[0] is OVER)
    assert (where is Standing.WAITING) == (kinds[0] is WAITING)


@pytest.mark.parametrize("version", JOB)
def test_a_job_is_read_alike_however_much_more_scontrol_tells(version: str) -> None:
    for state in (*OF_ALL, EXPEDITING):
        facts = read_facts(JOB[version].format(state=state, reason="Resources"))
        assert facts is not None
        assert (facts.state, facts.reason, facts.restarts, facts.nodes) == (state, "Resources", 2, "")
        assert (facts.requeue, facts.preempted, facts.end_time, facts.exit_code) == (True, False, None, "0:0")


@pytest.mark.parametrize("state", ["REQUEUED", "NODE_FAIL", "PREEMPTED", "COMPLETED", "RESIZING", EXPEDITING])
def test_an_attempt_that_slurm_started_anew_is_no_end_in_its_books(state: str) -> None:
    """The last of several rows is the job as it ended, whatever those before it are called."""
    rows = [
        BookRow(job="7", state=one, exit_code="0:0", nodes="n1", start="", end="") for one in (state, "CANCELLED by 5")
    ]
    assert stands(QueueObservation(ids=("7",), outcome=None, rows=(), books=rows))[0] is Standing.CANCELLED


def test_an_expedited_job_waits_before_all_others_and_is_told_so() -> None:
    for reason in ("None", "Resources", "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved"):
        where, why = standing(EXPEDITING, reason)
        assert where is Standing.WAITING, "its processes are gone"
        assert "before all others" in why
    assert "free nodes" in standing(EXPEDITING, "Resources")[1]


def site(
    version: str = "25.11.2", *, auth: str = "(null)", scheduler: str = "(null)", controller: str = "(null)"
) -> SiteConfig:
    return config_of(CONFIG.format(version=version, auth=auth, scheduler=scheduler, controller=controller))


ON = "cloud_dns,enable_expedited_requeue"


@pytest.mark.parametrize(
    ("config", "seconds", "own"),
    [
        (site(), 121, False), (site("20.11.9"), 121, False), (site(auth="socket=/run/m,cred_expire=5"), 6, False),
        (site(auth="cred_expire=3"), 121, False), (site(scheduler="bf_continue,requeue_delay=5"), 6, True),
        (site(scheduler="requeue_delay=0,bf_continue", auth="cred_expire=600"), 1, True),
        (site("25.05.1", scheduler="requeue_delay=5", auth="cred_expire=60"), 61, False),
    ],
)  # fmt: skip
def test_the_wait_of_a_requeued_job_comes_from_the_setting_that_its_version_obeys(
    config: SiteConfig, seconds: int, own: bool
) -> None:
    assert (config.requeue_delay.seconds, config.requeue_delay.own) == (seconds, own)


def wait(config: SiteConfig, **settings: str) -> SiteFinding:
    """What the doctor says of it."""
    found = of_site(ClusterProfile(**settings), config, [], True)  # type: ignore[arg-type]
    return next(one for one in found if one.check == "wait after a requeue")


@pytest.mark.parametrize(
    ("config", "asked", "not_asked"),
    [
        (site("24.11.5"), "AuthInfo=cred_expire", "requeue_delay"),
        (site("25.11.0"), "SchedulerParameters=requeue_delay", "shorter AuthInfo"),
        (site("26.05.0", auth="cred_expire=900"), "cred_expire, how long .*, may stay", "shorter"),
        (site(scheduler="requeue_delay=300"), "shorter SchedulerParameters=requeue_delay", "AuthInfo"),
    ],
)
def test_a_long_wait_is_advised_against_by_the_setting_that_is_there_for_it(
    config: SiteConfig, asked: str, not_asked: str
) -> None:
    finding = wait(config)
    assert finding.verdict is SiteVerdict.NOTE
    assert re.search(asked, finding.advice)
    assert not re.search(not_asked, finding.advice)


def test_expediting_is_advised_where_the_site_takes_it_and_taken_back_where_it_does_not() -> None:
    assert wait(site(controller=ON)).profile == {"requeue": '"expedite"'}
    assert wait(site(controller=ON), requeue="expedite").verdict is SiteVerdict.FINE
    for config in (site(), site("24.05.3"), site(scheduler="enable_expedited_requeue")):
        refused = wait(config, requeue="expedite")
        assert (refused.verdict, refused.profile) == (SiteVerdict.CHANGE, {"requeue": '"plain"'})
        assert not_expedited(config)
    assert wait(site(scheduler="requeue_delay=5")).verdict is SiteVerdict.FINE
    assert wait(SiteConfig({}), requeue="expedite").verdict is SiteVerdict.FINE, "nobody has said that it does not"
