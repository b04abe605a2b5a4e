"""Who comes and goes is an event on the broker: of services from the agent, of processes from the daemon that supervises
them; within 100 ms of a kill -9, in order, also after the agent was upgraded, and after it was killed itself."""

import json
import os
import select
import signal
import time
import unittest
from pathlib import Path

from house import program, wait_for
from test_daemon_attacks import DaemonCase

AGENT, DAEMON = 0xfffffff1, 0x10
LIMIT = 0.1
ROUNDS = 5

SERVICE = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <client.h>

static s32 served(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    (void)len;
    (void)cmd;
    return 0;
}

int main(void)
{
    struct client_param param = { 0x12, "UPNP", LOCAL_HOST_V4, LOCAL_PORT, served, served };

    if (client_agent_init(&param) != 0)
        return 1;
    if (write(atoi(getenv("MSF_READY_FD")), "\n", 1) != 1)
        return 2;
    for (;;)
        pause();
}
"""

WATCHER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <client.h>

/* A line for each event: when, what was lost, who says so, its name, its data. */
static void told(const struct client_event *event, void *arg)
{
    struct timespec now;

    (void)arg;
    clock_gettime(CLOCK_REALTIME, &now);
    printf("%lld.%09ld %u %u %s %s\n", (long long)now.tv_sec, now.tv_nsec, event->lost, event->from,
           event->name != NULL ? event->name : "-", event->data != NULL ? event->data : "null");
    fflush(stdout);
}

static s32 served(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    (void)len;
    (void)cmd;
    return 0;
}

int main(void)
{
    struct client_param param = { 0x77, "WATCHER", LOCAL_HOST_V4, LOCAL_PORT, served, served };

    if (client_agent_init(&param) != 0 || client_agent_subscribe("component_offline", told, NULL) != 0 ||
        client_agent_subscribe("component_online", told, NULL) != 0 ||
        client_agent_subscribe("component_state", told, NULL) != 0)
        return 1;
    if (write(atoi(getenv("MSF_READY_FD")), "\n", 1) != 1)
        return 2;
    for (;;)
        pause();
}
"""


class Events(DaemonCase):
    def build(self, name, text):
        source = self.house.folder / f"{name}.c"
        source.write_text(text)
        library = program("").parent / "lib"
        return str(self.house.compile(source, self.house.folder / name, f"-Wl,-rpath,{library}"))

    def service(self):
        return self.command("upnp", self.build("service", SERVICE), ready={"by": "fd"}, restart={"immediate": 1000})

    def watch(self):
        """A subscriber; what it is told, as it comes."""
        self.watcher = self.house.start([self.build("watcher", WATCHER)], ready=True)
        self.assertIsNone(self.watcher.poll())
        self.rest, self.past = "", []

    def event(self):
        """The next thing it is told: (when, lost, from, name, data)."""
        while "\n" not in self.rest:
            told, _, _ = select.select([self.watcher.stdout], [], [], 20)
            self.assertTrue(told, f"the subscriber is told nothing more after {self.past[-12:]}")
            read = os.read(self.watcher.stdout.fileno(), 65536).decode()
            self.assertTrue(read, "the subscriber has ended")
            self.rest += read
        line, self.rest = self.rest.split("\n", 1)
        self.past.append(line)
        at, lost, publisher, name, data = line.split(" ", 4)
        return float(at), int(lost), int(publisher), name, json.loads(data)

    def until(self, publisher, name, reason, who="upnp"):
        """Events up to that one, which is about our service; it is the last of them."""
        seen = []
        while True:
            seen.append(self.event())
            _, lost, by, what, data = seen[-1]
            if (lost, by, what) == (0, publisher, name) and data["name"].lower() == who and data["reason"] == reason:
                return seen

    def kill_and_look(self):
        """kill -9: offline and online, of both who say so, each in order and in time."""
        pid = self.status("upnp")["pid"]
        began = time.time()
        os.kill(pid, signal.SIGKILL)
        told = {AGENT: [], DAEMON: []}
        while any(len(said) < 2 for said in told.values()):
            at, lost, publisher, name, data = self.event()
            self.assertEqual(lost, 0)
            if data["name"].lower() == "upnp" and name != "component_state":
                told[publisher].append((name, data["reason"], data["pid"], at))
        (gone, came), (died, ready) = told[AGENT], told[DAEMON]
        new = self.status("upnp")["pid"]
        # The new one may have logged in before the end of the old one's connection was seen.
        self.assertIn(gone[:3], [("component_offline", reason, pid) for reason in ("closed", "replaced")])
        self.assertEqual(came[:3], ("component_online", "login", new))
        self.assertEqual(died[:3], ("component_offline", "signal", pid))
        self.assertEqual(ready[:3], ("component_online", "ready", new))
        return max(gone[3], died[3]) - began, max(came[3], ready[3]) - began

    def rounds(self):
        took = [self.kill_and_look() for _ in range(ROUNDS)]
        offline, online = zip(*took)
        # A machine that has other things to do is late now and then, but not as a rule.
        self.assertLess(sorted(offline)[ROUNDS // 2], LIMIT, took)
        self.assertLess(sorted(online)[ROUNDS // 2], LIMIT, took)
        return f"offline {1000 * max(offline):.1f}, online {1000 * max(online):.1f} ms at most"

    def test_a_service_that_is_killed_is_offline_and_online_again_also_across_an_upgrade_of_the_agent(self):
        self.house.agent()
        self.configure(self.service(), broker={})
        self.start()
        wait_for("the service", lambda: self.status("upnp")["state"] == "up")
        self.watch()
        self.until(AGENT, "component_online", "present")
        before = self.rounds()
        done = self.house.call([program("msf_agent"), "-k", "upgrade"])
        self.assertEqual(done.returncode, 0, done.stderr)
        after = self.rounds()
        print(f"{before}; after an upgrade {after}")
        self.house.call([program("msf_agent"), "-k", "kill"])

    def test_an_agent_that_is_killed_is_back_with_all_who_want_to_know(self):
        self.configure(self.command("agent", str(program("msf_agent")), ready={"by": "fd"}, restart={"immediate": 1000}),
                       {**self.service(), "after": ["agent"]}, broker={})
        self.start()
        wait_for("the service", lambda: self.status("upnp")["state"] == "up")
        self.watch()
        self.until(AGENT, "component_online", "present")
        for _ in range(3):
            agent = self.status("agent")["pid"]
            os.kill(agent, signal.SIGKILL)
            wait_for("another agent", lambda: self.status("agent")["pid"] not in (None, agent))
            while self.event()[1] == 0:
                pass
            # It is back by itself, and so is the service: both were there, or come, before we go on.
            waits, names = time.monotonic() + 20, set()
            while not names >= {"WATCHER", "UPNP"}:
                self.assertLess(time.monotonic(), waits)
                _, _, publisher, name, data = self.event()
                if (publisher, name) == (AGENT, "component_online"):
                    names.add(data["name"])
            self.settle()
            self.kill_and_look()
        self.assertEqual(self.status("upnp")["restarts"], 3)

    def settle(self):
        """What the daemon had to say about the agent comes when there is one again; nothing else is under way then."""
        while select.select([self.watcher.stdout], [], [], 0.3)[0]:
            self.event()
        while "\n" in self.rest:
            self.event()

    def test_a_daemon_without_an_agent_goes_about_its_work_and_says_so_once(self):
        self.configure(self.sleeper(), broker={"unix": str(self.house.run / "nobody.sock")})
        daemon = self.start()
        for _ in range(20):
            self.assertEqual(self.call("restart", "one").returncode, 0)
        wait_for("the complaint", lambda: "events wait for the broker" in self.log())
        self.assertEqual(self.log().count("events wait for the broker"), 1)
        self.ends(daemon)

    def test_regress_what_waits_for_an_agent_is_published_when_it_comes(self):
        self.configure(self.sleeper(), broker={})
        self.start()
        wait_for("the process", lambda: self.status("one")["state"] == "up")
        self.house.agent()
        wait_for("the daemon at the agent", lambda: "events are published as service 0x10" in self.log())
        listed = json.loads(self.house.call([program("msf_agent"), "list", "--json"]).stdout)
        self.assertIn(("msf_daemon", DAEMON), [(one["name"], one["id"]) for one in listed["services"]])
        # Nothing that came before the agent stands in the way of what comes now.
        look = self.house.start([program("msf_agent"), "events", "component_online", "--json"])
        wait_for("the look", lambda: select.select([look.stderr], [], [], 0)[0])
        self.assertEqual(self.call("restart", "one").returncode, 0)
        lines = (json.loads(line) for line in look.stdout)
        said = next(line for line in lines if line["from"] == DAEMON)["data"]
        self.assertEqual((said["name"], said["reason"], said["by"]), ("one", "ready", "msf_daemon"))
        self.assertEqual(said["pid"], self.status("one")["pid"])
        file = [json.loads(line) for line in self.house.text("msf_daemon.events.jsonl").splitlines()]
        same = next(line for line in file if line["seq"] == said["seq"])
        self.assertEqual({**same, "reason": "ready", "by": "msf_daemon"}, said, "the line of the file")


if __name__ == "__main__":
    unittest.main()
