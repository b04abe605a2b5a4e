"""A service manager that behaves like systemd, as far as one Type=notify unit can tell.

Its notification socket asks the kernel who has sent a datagram and hears the main process only (NotifyAccess=main). It
enforces WatchdogSec and TimeoutStopSec (which EXTEND_TIMEOUT_USEC prolongs), kills nobody but the main process
(KillMode=process), hands over listening sockets by LISTEN_FDS, and keeps descriptors (FDSTORE) for the next start.
Written from sd_notify(3), sd_listen_fds(3) and systemd.service(5). Nothing happens outside of pump().
"""

import array
import os
import select
import signal
import socket
import struct
import time

from house import gone

PATIENCE = 15.0


class Manager:
    def __init__(self, test, command, env, cwd, place, watchdog=None, stop_timeout=90.0, store_max=64):
        self.command = [str(word) for word in command]
        self.env, self.cwd, self.place = dict(env), str(cwd), str(place)
        self.watchdog, self.stop_timeout, self.store_max = watchdog, stop_timeout, store_max
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(self.place.replace("@", "\0", 1) if self.place.startswith("@") else self.place)
        self.listening = []             # (name, socket): what a .socket unit would have
        self.store = []                 # (name, fd)
        self.refused = []               # what others than the main process said
        self.ends = []                  # wait statuses
        self.pid = None                 # the main process, and the one that we have started
        self.child = None
        self.forget()
        test.addCleanup(self.tear_down)

    def forget(self):
        """What is known of one run of the main process."""
        self.told = []                  # every line, in order
        self.beats = []                 # when it said that it is alive
        self.state, self.status, self.errno, self.reloading_since = "activating", None, None, None
        self.deadline = self.abort_at = None
        self.killed_by_us = None

    def tear_down(self):
        for pid in {self.pid, self.child} - {None}:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        for _, fd in self.store:
            os.close(fd)
        for _, one in self.listening:
            one.close()
        self.socket.close()

    def start(self, **changes):
        """Starts the main process; with it go the listening sockets and what is stored."""
        self.forget()
        handed = [(name, one.fileno()) for name, one in self.listening] + self.store
        env = {**self.env, "NOTIFY_SOCKET": self.place}
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.become(handed, {**env, **changes})
            finally:
                os._exit(203)
        self.child = self.pid

    def become(self, handed, env):
        os.setsid()
        if self.watchdog:
            env = {"WATCHDOG_USEC": str(int(self.watchdog * 1e6)), "WATCHDOG_PID": str(os.getpid()), **env}
        if handed:
            env = {"LISTEN_FDS": str(len(handed)), "LISTEN_PID": str(os.getpid()),
                   "LISTEN_FDNAMES": ":".join(name for name, _ in handed), **env}
        above = [os.dup2(fd, 200 + place, inheritable=False) for place, (_, fd) in enumerate(handed)]
        nowhere = os.open("/dev/null", os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        os.closerange(3, 200)
        for place, fd in enumerate(above):
            os.dup2(fd, 3 + place)
        os.chdir(self.cwd)
        os.execve(self.command[0], self.command, env)

    # What the main process says.

    def hear(self):
        """All datagrams that are there."""
        while True:
            try:
                text, ancillary, _, _ = self.socket.recvmsg(4096, 4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            pid, fds = 0, array.array("i")
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid = struct.unpack("3i", data)[0]
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
            lines = text.decode().splitlines()
            if pid == self.pid:
                self.understand(dict(line.split("=", 1) for line in lines), list(fds))
                self.told += lines
            else:
                self.refused += lines
                for fd in fds:
                    os.close(fd)

    def understand(self, news, fds):
        now = time.monotonic()
        if news.get("RELOADING") == "1":
            self.state, self.reloading_since = "reloading", int(news["MONOTONIC_USEC"])
        if news.get("READY") == "1" and self.state in ("activating", "reloading"):
            # Before that nobody has to say that he is alive.
            self.abort_at = now + self.watchdog if self.watchdog else None
            self.state = "active"
        if news.get("STOPPING") == "1":
            self.state = "deactivating"
        self.status = news.get("STATUS", self.status)
        self.errno = int(news["ERRNO"]) if "ERRNO" in news else self.errno
        if news.get("WATCHDOG") == "1":
            self.beats.append(now)
            self.abort_at = now + self.watchdog if self.watchdog else None
        if "MAINPID" in news:
            self.pid = int(news["MAINPID"])
        if "EXTEND_TIMEOUT_USEC" in news and self.deadline is not None:
            self.deadline = max(self.deadline, now + int(news["EXTEND_TIMEOUT_USEC"]) / 1e6)
        if news.get("FDSTOREREMOVE") == "1":
            self.remove(news.get("FDNAME"))
        if news.get("FDSTORE") == "1":
            self.keep(news.get("FDNAME", "stored"), fds)
            fds = []
        for fd in fds:
            os.close(fd)

    def keep(self, name, fds):
        for fd in fds:
            same = any(os.path.sameopenfile(fd, kept) for _, kept in self.store)
            if same or len(self.store) >= self.store_max:
                os.close(fd)
            else:
                self.store.append((name, fd))

    def remove(self, name):
        for kept, fd in self.store:
            if kept == name:
                os.close(fd)
        self.store = [(kept, fd) for kept, fd in self.store if kept != name]

    # What it does about it.

    def pump(self, seconds=0.02):
        """Hears, enforces, and notices the end of the main process."""
        select.select([self.socket], [], [], seconds)
        self.hear()
        now = time.monotonic()
        if self.pid is None:
            return
        if self.state != "deactivating" and self.abort_at is not None and now > self.abort_at:
            self.kill("watchdog")
        elif self.deadline is not None and now > self.deadline:
            self.kill("timeout")
        self.notice_ends()

    def notice_ends(self):
        """How one ended that is not our child, nobody says."""
        pid, status = os.waitpid(self.child, os.WNOHANG) if self.child else (0, 0)
        if pid:
            self.hear()
            self.child = None
        if pid == self.pid or (pid == 0 and self.child != self.pid and gone(self.pid)):
            self.pid = None
            self.ends.append(os.waitstatus_to_exitcode(status) if pid else None)

    def kill(self, why):
        self.killed_by_us, self.abort_at, self.deadline = why, None, None
        os.kill(self.pid, signal.SIGKILL)

    def until(self, what, condition, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {patience} s for {what}; told: {self.told}, state {self.state}, "
                                     f"ends {self.ends}")
            self.pump()

    def until_ready(self):
        self.until("READY=1", lambda: self.state == "active" or self.pid is None)
        assert self.state == "active", (self.told, self.ends)

    def reload(self):
        """systemctl reload of Type=notify-reload; done when it is ready again."""
        asked = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        os.kill(self.pid, signal.SIGHUP)
        self.until("RELOADING=1", lambda: (self.reloading_since or 0) >= asked)
        self.until("READY=1 after a reload", lambda: self.state == "active")

    def stop(self):
        """systemctl stop; the main process's exit code."""
        self.deadline = time.monotonic() + self.stop_timeout
        os.kill(self.pid, signal.SIGTERM)
        os.kill(self.pid, signal.SIGCONT)
        return self.ended()

    def ended(self):
        self.until("the end", lambda: self.pid is None, 60)
        return self.ends[-1]
