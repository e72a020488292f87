"""Who can go on with a pass that was stopped."""

from benchmarks.load_catalog import ENTRIES, Entry

OURS = "avsync"
STARTERS = {
    OURS: Entry(source="resume_ways:Ours", stored="raw"),
    "mosaic": ENTRIES["mosaic raw"],
    "energon": ENTRIES["energon raw"],
    "litdata": ENTRIES["litdata raw"],
    "StatefulDataLoader": Entry(source="peers.torchdata:Stateful", stored="raw", peer="torchdata"),
    "webdataset, skipping": ENTRIES["webdataset raw"],
}
