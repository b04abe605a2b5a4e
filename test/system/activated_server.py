"""A server that listens on what it was given (sd_listen_fds(3)), and says of itself who it is."""

import json
import os
import select
import socket

assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ["LISTEN_PID"]
NAMES = os.environ["LISTEN_FDNAMES"].split(":")
GIVEN = [socket.socket(fileno=3 + place) for place in range(int(os.environ["LISTEN_FDS"]))]
ABOUT = {"pid": os.getpid(), "names": NAMES, "inodes": [os.fstat(one.fileno()).st_ino for one in GIVEN],
         "ready_fd": os.environ["MSF_READY_FD"]}

os.write(int(os.environ["MSF_READY_FD"]), b"\n")
while True:
    for one in select.select(GIVEN, [], [])[0]:
        caller, _ = one.accept()
        caller.sendall(json.dumps(ABOUT).encode() + b"\n")
        caller.close()
