"""A client of the Python SDK that tells what became of every call, in the lines that go/client prints.

usage: caller.py PORT FUNCTION [-label TEXT] [-calls N]
"""

import argparse
import asyncio
import json
import os
import traceback

import msgpack
from nmidsdk.client.client import Client


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("function")
    parser.add_argument("-label", default="nmid")
    parser.add_argument("-calls", type=int, default=1)
    options = parser.parse_args()
    asyncio.set_event_loop(asyncio.new_event_loop())
    client = Client("tcp", ("127.0.0.1", options.port))
    client.start()
    try:
        for number in range(options.calls):
            print(json.dumps(call(client, options.function, f"{options.label}-{number}")), flush=True)
        client.close()
    except Exception:
        # The SDK's reading thread would keep the process for ever.
        traceback.print_exc()
        os._exit(1)


def call(client, function, name):
    told = {"Name": name, "Outcome": "silence", "Code": 0, "Msg": "", "Data": ""}

    def failed(why):
        told.update(Outcome="error", Msg=str(why))

    def returned(answer):
        ret = msgpack.unpackb(answer.ret)
        told.update(Outcome="return", Code=ret["Code"], Msg=ret["Msg"], Data=ret["Data"].decode())

    client.err_handler = failed
    client.do(function, bytearray(msgpack.packb({"name": name})), returned)
    return told


main()
