"""How the program ends where threads are still at work."""

import subprocess
import sys
import threading

from emoscan.batch.crew import WORKER
from emoscan.cli import endings

# Python ends such a thread as it leaves; where that meets C++, the program aborts.
STUCK = """
import atexit, os, sys, threading
from emoscan.cli import app

threading.Thread(target=threading.Event().wait, name={name!r}, daemon=True).start()

def interrupted():
    raise KeyboardInterrupt

atexit.register(os.abort)  # as the end of the interpreter might
app._run = interrupted
sys.stdout.write("rows")
app.main()
"""


def ended(name: str) -> subprocess.CompletedProcess:
    code = [sys.executable, "-c", STUCK.format(name=name)]
    return subprocess.run(code, capture_output=True, text=True, check=False)


def test_a_thread_at_work_does_not_cost_the_exit_code() -> None:
    done = ended(WORKER)
    assert (done.returncode, done.stdout, done.stderr) == (130, "rows", "Interrupted.\n")
    assert ended("another").returncode < 0


def test_a_thread_that_ends_by_itself_is_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(endings, "LAST_S", 20.0)
    begun = threading.Event()
    thread = threading.Thread(target=begun.wait, name=WORKER, daemon=True)
    thread.start()
    threading.Timer(0.1, begun.set).start()
    try:
        endings.leave(3)
    except SystemExit as end:
        assert end.code == 3 and not thread.is_alive()
