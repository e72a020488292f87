"""The process that is measured in: work comes through a pipe, what it gives goes back, until the pipe is closed.

Imports nothing heavy: what the work needs comes with it.
"""

import gc
import os
import sys
from multiprocessing.connection import Connection
from typing import Any

OUT_OF_MEMORY = "out of memory"
LONGEST = 300
"""Characters of a message that are kept."""


def serve(connection: Connection) -> None:
    """One (function, argument, cores) after the other; cores: how many of them it may use, None for all."""
    while True:
        try:
            work, given, cores = connection.recv()
            if cores:
                os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
            connection.send((work(given), ""))
        except EOFError:
            return
        except Exception as error:  # whatever it is, it becomes a line under the table
            connection.send((None, reason(error)))
        gc.collect()
        torch: Any = sys.modules.get("torch")
        if torch and torch.cuda.is_available():
            torch.cuda.empty_cache()


def reason(error: Exception) -> str:
    """In a line; of an error that holds another process's traceback, what stands at its end."""
    text = str(error).strip()
    if type(error).__name__ == "OutOfMemoryError":  # torch's
        return OUT_OF_MEMORY
    if "Traceback" in text:
        return text.splitlines()[-1][:LONGEST]
    return f"{type(error).__name__}: {' '.join(text.split())}"[:LONGEST]


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
    os._exit(0)  # some peers' threads do not end
