"""Exports are whole or not there at all, of one instant, and cheap: real processes, real signals, a real busy writer."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from evolve.client import Client
from evolve.export.gather import gather
from evolve.export.saving import MARK, save, save_folder
from evolve.export.writing import export
from evolve.model import EvolveError, UsageError
from tests.tui.live_run import LiveRun
from tests.tui.many import write

ROOT = Path(__file__).parents[2]
MANIFEST = '{\n "format": "autoresearch data"}'
SLOW = """
import sys, time
from pathlib import Path
from evolve.export.saving import save, save_folder

def slowly(file):
    file.write(b"half")
    file.flush()
    print("begun", flush=True)
    time.sleep(30)

def folder(path):
    with (path / "one").open("wb") as file:
        slowly(file)

{"file": lambda: save(Path(sys.argv[2]), slowly, replace=True),
 "folder": lambda: save_folder(Path(sys.argv[2]), folder, replace=True)}[sys.argv[1]]()
"""
FULL = """
import resource, signal, sys
from pathlib import Path
from evolve.export.saving import save
from evolve.model import EvolveError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save(Path(sys.argv[1]), lambda file: file.write(b"x" * 100_000), replace=True)
except EvolveError as error:
    print(error)
"""


def ours(file):
    file.write(b"ours\n")


def hello(folder):
    (folder / "README.md").write_text(f"{MARK}\nhello")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(tmp_path):
    path = tmp_path / "results.tsv"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"There is a file .* already"):
        save(path, ours, replace=False)
    assert path.read_text(encoding="utf-8") == "mine"
    save(path, ours, replace=True)
    assert path.read_text(encoding="utf-8") == "ours\n"
    with pytest.raises(EvolveError, match="cannot be written: no such file or directory"):
        save(tmp_path / "no" / "folder.tsv", ours, replace=False)
    assert names(tmp_path) == ["results.tsv"]


def test_a_folder_appears_as_a_whole_and_only_an_export_is_replaced(tmp_path):
    path = tmp_path / "night"
    save_folder(path, hello, replace=False)
    with pytest.raises(UsageError, match=r"There is a folder .* already"):
        save_folder(path, hello, replace=False)
    save_folder(path, lambda folder: (folder / "manifest.json").write_text(MANIFEST), replace=True)
    assert names(path) == ["manifest.json"]
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.tex").write_text("years of work")
    with pytest.raises(UsageError, match="no folder that an export has made"):
        save_folder(mine, hello, replace=True)
    (mine / ".git").mkdir()
    (mine / "README.md").write_text(MARK)
    with pytest.raises(UsageError, match="no folder that an export has made"):
        save_folder(mine, hello, replace=True)
    assert (mine / "chapter.tex").read_text() == "years of work"
    assert names(tmp_path) == ["night", "thesis"]


@pytest.mark.parametrize("save_it", [save, save_folder])
def test_a_fault_of_a_writer_leaves_nothing(tmp_path, save_it):
    def breaks(target):
        if isinstance(target, Path):
            (target / "half").write_text("half")
        else:
            target.write(b"half")
        raise ZeroDivisionError

    for replace in (False, True):
        with pytest.raises(ZeroDivisionError):
            save_it(tmp_path / "x", breaks, replace=replace)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing_and_what_was_there_stays(tmp_path, kind, number):
    place = tmp_path / "night"
    if kind == "file":
        place.write_text("of yesterday")
    else:
        place.mkdir()
        (place / "README.md").write_text("of yesterday")
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW, kind, str(place)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stdout.readline() == "begun\n"
    assert len(names(tmp_path)) == 2
    child.send_signal(number)
    assert child.wait(20) == -number
    child.stdout.close()
    assert names(tmp_path) == ["night"]
    found = place if kind == "file" else place / "README.md"
    assert found.read_text() == "of yesterday"


def test_a_disk_without_room_leaves_nothing(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("of yesterday")
    told = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    )
    assert told.stdout == f"{path} cannot be written: file too large.\n"
    assert path.read_text() == "of yesterday"
    assert names(tmp_path) == ["x.csv"]


def test_a_pipe_is_written_to_as_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = []
    reader = threading.Thread(target=lambda: said.append(pipe.read_text()))
    reader.start()
    save(pipe, ours, replace=False)
    reader.join(10)
    assert said == ["ours\n"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(EvolveError, match="no space left"):
        save(Path("/dev/full"), ours, replace=False)


def test_a_reader_that_has_had_enough_is_no_fault(tmp_path):
    write(tmp_path, 2000)
    line = f"{sys.executable} -m tui.cli -C {tmp_path} export results - | head -1; echo ${{PIPESTATUS[0]}}"
    code = "from tui.cli import main; raise SystemExit(main())"
    line = line.replace("-m tui.cli", f"-c '{code}'")
    told = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.splitlines() == ["commit\tval_bpb\tmemory_gb\tstatus\tdescription", "0"]
    assert told.stderr == ""


# ---- one instant -------------------------------------------------------------------------------------------


def test_an_export_of_a_run_that_goes_on_is_of_one_instant(tmp_path):
    """A writer hammers the journal; in every export all tables tell of the same number of everything."""
    with LiveRun(tmp_path) as run:
        stop = threading.Event()
        ours = Client(tmp_path)

        def hammer():
            writer = type(run.journal).open(run.state / "journal.db")
            number = 0
            while not stop.is_set():
                number += 1
                writer.tell("pair", f"left {number}", {}, "pair", str(number))  # both or neither
            writer.close()
            seen.append(number)

        seen: list[int] = []
        thread = threading.Thread(target=hammer)
        thread.start()
        try:
            counts = []
            for turn in range(4):
                time.sleep(0.05)
                export(ours, "data", tmp_path / f"d{turn}")
                events = pq.read_table(tmp_path / f"d{turn}" / "events.parquet").to_pylist()
                facts = pq.read_table(tmp_path / f"d{turn}" / "facts.parquet").to_pylist()
                pairs = sum(row["kind"] == "pair" for row in events)
                told = {row["key"]: row["value"] for row in facts}["pair"]
                assert pairs == int(told) > 0
                manifest = json.loads((tmp_path / f"d{turn}" / "manifest.json").read_text())
                assert manifest["rows"]["events"] == len(events)
                counts.append(pairs)
        finally:
            stop.set()
            thread.join()
        assert counts == sorted(counts)
        assert counts[0] < counts[-1] <= seen[0]  # it really went on meanwhile
        ours.close()


def test_what_is_gathered_stays_while_the_run_goes_on(tmp_path):
    with LiveRun(tmp_path) as run, gather(run.state / "journal.db", tmp_path) as gathered:
        before = [event.id for event in gathered.events()]
        run.add("a child of later")
        assert [event.id for event in gathered.events()] == before
        assert len(gathered.candidates) == gathered.tally.candidates == 1


# ---- size --------------------------------------------------------------------------------------------------

MEASURED = """
import re, sys, time
from pathlib import Path
from evolve.client import Client
from evolve.export.writing import export

client = Client(Path(sys.argv[1]))
began = time.process_time()
export(client, "data", Path(sys.argv[2]) / "d")
export(client, "results", Path(sys.argv[2]) / "r.csv")
# Not ru_maxrss: that begins with what the process was before its exec.
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(time.process_time() - began, int(peak) / 1024)
"""


def test_two_thousand_candidates_take_a_fifth_of_what_ten_thousand_may(tmp_path):
    """20 s and 500 MB for 10,000 with three trainings and 40 points of a curve each; here a fifth of the work."""
    from evolve.database import open_writer, without_rules

    write(tmp_path, 2000)
    db = open_writer(tmp_path / ".autoresearch" / "journal.db")
    db.execute("PRAGMA synchronous = OFF")
    with without_rules(db):
        trainings = [row[0] for row in db.execute("SELECT id FROM experiment")]
        per = 3 * 2000 * 40 // len(trainings)
        points = (
            (e, p, p / per, p * 7.5, p * 10**6, 9 - 5 * p / per)
            for e in trainings
            for p in range(per)
        )
        db.executemany("INSERT INTO curve VALUES (?, ?, ?, ?, ?, ?)", points)
    db.close()
    told = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path), str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds, megabytes = map(float, told.stdout.split())
    assert seconds < 4
    assert megabytes < 300  # pyarrow alone takes 80
    assert pq.read_metadata(tmp_path / "d" / "curves.parquet").num_rows > 200_000
