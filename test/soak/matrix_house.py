"""The house of the kill matrix, inside a PID namespace: its process 1, who starts msf_daemon again, and who lives in it.

Process 1 either reaps whatever becomes its child, as an init does, or nobody: then what has died stays a zombie as long as
the namespace lives. Whoever starts msf_daemon starts it again when it was killed, with the same arguments, as systemd does.
"""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

NMID, HTTP, METRICS, DAEMON_METRICS = 6808, 6809, 9081, 9083    # nobody else is in this network namespace
AGENT_CONF = f"""max_threads=2
max_conns=4000
net_enable=false
nmid_enable=true
nmid_port={NMID}
http_enable=true
http_port={HTTP}
metrics_enable=true
metrics_port={METRICS}
"""
SERVICES = ("101", "102")
FUNCTION, INSIDE_FUNCTION, APART_FUNCTION = "ToUpper", "Inside", "Apart"
WORKERS = ("worker_c", "worker_rust")
INSIDE, APART = "201", "202"
# It is the restart that is looked at here, not when there is none.
EAGER = {"immediate": 1000, "refill_ms": 1}


def start(command, env, folder):
    """Not by subprocess, which waits for its children itself."""
    child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            os.execve(command[0], command, env)
        finally:
            os._exit(127)
    return child


def keep(house, until=None):
    """Starts msf_daemon, and again as long as somebody kills it; reaps all children meanwhile. Ends with the exit status of
    the child `until`, or of the daemon."""
    daemon = start(*house.start)
    while True:
        child, status = os.wait()
        if child == (until or daemon) and not (child == daemon and os.WIFSIGNALED(status)):
            return os.waitstatus_to_exitcode(status)
        if child == daemon and os.WIFSIGNALED(status):
            daemon = start(*house.start)


def first_process(reaps, house, work):
    """Process 1, which ends with `work`, done by a process of its own."""
    director = os.fork()
    if director == 0:
        status = 1
        try:
            status = work()
        except Exception as error:
            print(f"soak matrix: {error!r}", flush=True)
        finally:
            os._exit(status)
    if reaps:
        return keep(house, director)
    if os.fork() == 0:
        os._exit(keep(house))
    return os.waitstatus_to_exitcode(os.waitpid(director, 0)[1])


class House:
    """Folders, configuration files, and what is known of who lives there."""

    def __init__(self, stage, folder, programs):
        self.stage, self.folder, self.programs = stage, folder, programs
        self.run, self.log = folder / "run", folder / "log"
        self.env = {"PATH": os.environ["PATH"], "MSF_RUN_DIR": str(self.run), "MSF_LOG_DIR": str(self.log)}
        self.daemon = stage / "bin" / "msf_daemon"

    def furnish(self):
        self.run.mkdir(mode=0o700)
        self.log.mkdir()
        (self.folder / "agent.conf").write_text(AGENT_CONF)
        (self.folder / "shell.json").write_text(json.dumps(self.shell()))
        (self.folder / "daemon.json").write_text(json.dumps(self.processes()))

    def shell(self):
        services = [{"svc_name": "soak_inside", "svc_libs": str(self.programs.plugin), "config": {"id": int(INSIDE)},
                     "worker": True},
                    {"svc_name": "soak_apart", "svc_libs": str(self.programs.plugin), "config": {"id": int(APART)},
                     "isolate": True, "restart": EAGER, "worker": True}]
        return {"version": 1, "proc_name": "soak_shell", "proc_author": "libmsf", "proc_version": "1",
                "proc_desc": "kill matrix", "proc_svcs": services}

    def processes(self):
        broker = f"127.0.0.1:{NMID}"
        agent, shell = self.stage / "bin" / "msf_agent", self.stage / "bin" / "msf_shell"
        living = [("agent", agent, {"proc_conf": "agent.conf", "ready": {"by": "notify"}}),
                  ("shell", shell, {"proc_conf": "shell.json", "ready": {"by": "notify"}, "after": ["agent"]})]
        living += [(f"service_{each}", self.programs.service, {"args": [each]}) for each in SERVICES]
        living.append((WORKERS[0], self.stage / "bin" / "nmid_toupper", {"args": [broker]}))
        living.append((WORKERS[1], self.programs.matrix, {"args": ["worker", broker, FUNCTION]}))
        named = [{"proc_idx": index, "proc_name": name, "proc_path": str(path), **more}
                 for index, (name, path, more) in enumerate(living)]
        return {"version": 1, "msf_author": "libmsf", "msf_version": "1", "msf_desc": "kill matrix",
                "metrics": {"listen": f"127.0.0.1:{DAEMON_METRICS}"}, "defaults": {"restart": EAGER, "stdout": "log",
                "stderr": "log"}, "msf_procs": named}

    @property
    def start(self):
        return [str(self.daemon), "-c", str(self.folder / "daemon.json")], self.env, self.folder

    @property
    def services(self):
        return [*SERVICES, INSIDE, APART]

    # What follows is asked of the house while it lives.

    def ask(self, name, line):
        """What is said at a socket in the run folder; nothing while there is nobody."""
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(5)
        try:
            peer.connect(str(self.run / name))
            peer.sendall(line)
            peer.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: peer.recv(65536), b""))
        except OSError:
            return b""
        finally:
            peer.close()

    def pids(self):
        """Name -> pid of who is up, the daemon and the isolated service among them."""
        first, _, text = self.ask("msf_daemon.sock", b"status json\n").partition(b"\n")
        if first != b"ok":
            return {}
        status = json.loads(text)
        found = {one["name"]: one["pid"] for one in status["processes"] if one["state"] == "up"}
        return {"daemon": status["pid"], **found, **(self.apart() if "shell" in found else {})}

    def apart(self):
        """The process in which msf_shell runs its isolated service."""
        said = self.ask("msf_shell.soak_shell.sock", b'{"verb": "list"}\n')
        services = json.loads(said).get("services", []) if said.endswith(b"\n") else []
        return {"apart": one["pid"] for one in services if one["name"] == "soak_apart" and one.get("pid") and "why" not in one}

    def is_whole(self):
        members = {"daemon", "agent", "shell", "apart", *(f"service_{each}" for each in SERVICES), *WORKERS}
        return members <= self.pids().keys()

    def shutdown(self):
        return subprocess.run([self.daemon, "shutdown"], env=self.env, cwd=self.folder, check=False, timeout=60).returncode


def processes():
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def stat_of(pid):
    """State and parent; ("X", 0) of one that has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return fields[0], int(fields[1])


def state_of(pid):
    return stat_of(pid)[0]


def parent_of(pid):
    return stat_of(pid)[1]


def name_of(pid):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return words or Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"


def usage(pid):
    """Descriptors and threads; None of one that has gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return None


def threads_of(pid):
    """Their names."""
    return sorted(path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm"))


def files_of(pid):
    return sorted(os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir())


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds} s for {what}")
        time.sleep(0.02)
    return value


def kill(pid):
    os.kill(pid, signal.SIGKILL)
