"""Runs the Python SDK's own example, as it is in the module: usage: example.py worker|client PORT.

Only what it is told by constants is set: the broker's port.
"""

import asyncio
import importlib.util
import sys
from pathlib import Path

import nmidsdk

EXAMPLES = {"worker": "worker/worker1/worker.py", "client": "client/testclient/client.py"}


def main(which, port):
    # The SDK asks for the thread's event loop and expects one to be there; newer Pythons make none by themselves.
    asyncio.set_event_loop(asyncio.new_event_loop())
    source = Path(nmidsdk.__file__).parents[1] / "example" / EXAMPLES[which]
    spec = importlib.util.spec_from_file_location("example", source)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.NMID_SERVER_PORT = example.SERVER_PORT = port
    example.main()


main(sys.argv[1], int(sys.argv[2]))
