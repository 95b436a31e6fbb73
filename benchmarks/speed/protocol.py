"""One question, one answer, each a line of JSON: how the benchmark talks to its workers.

Only the standard library is used, since the peers' own environment runs it too.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).parents[2]

Answer = dict[str, Any]
Handlers = Mapping[str, Callable[..., Answer]]


class WorkerError(Exception):
    """A worker could not start or could not do what it was asked."""


def serve(load: Callable[[], Handlers]) -> None:
    """A worker's life: load, say so, then answer until there are no more questions.

    A question is `{"do": NAME, …}`, and the rest of it the handler's keyword arguments.
    """
    answers = _own_channel()
    handlers: dict[str, Callable[..., Answer]] = {}

    def ready() -> Answer:
        handlers.update(load())
        return {}

    if not _answer(answers, ready):
        return
    for line in sys.stdin:
        question = json.loads(line)
        handler = handlers[question.pop("do")]
        _answer(answers, partial(handler, **question))


def _own_channel() -> IO[str]:
    """The true standard output; what libraries print goes to standard error from now on."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


def _answer(answers: IO[str], do: Callable[[], Answer]) -> bool:
    try:
        answer: Answer = {"answer": do()}
    except Exception as error:  # whatever it is, the benchmark goes on without it
        traceback.print_exc()
        answer = {"error": str(error) or type(error).__name__}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
    return "answer" in answer


class Worker:
    """A process that answers questions, a context manager; it computes only while it is asked."""

    def __init__(self, command: Sequence[str], *, log: Path, hides_gpu: bool = True) -> None:
        """Start it and wait until it has loaded; what it prints goes to `log`.

        Raises WorkerError.
        """
        self._log = log
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if hides_gpu else {}
        with log.open("a", encoding="utf-8") as printed:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                cwd=ROOT,
                env=os.environ | hidden | {"PYTHONUNBUFFERED": "1"},
                text=True,
                encoding="utf-8",
            )
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, do: str, **arguments: Any) -> Answer:
        """The answer to one question. Raises WorkerError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        return self._read()

    def close(self) -> None:
        """End the process and wait for its end."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.communicate()

    def _read(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        found: Answer = json.loads(line)
        if "error" in found:
            raise WorkerError(found["error"])
        answer: Answer = found["answer"]
        return answer

    def _died(self) -> WorkerError:
        last = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return WorkerError(f"its process ended: {' '.join(last) or 'without a word'}")
