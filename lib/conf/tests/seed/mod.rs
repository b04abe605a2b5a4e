//! Whole configurations, with as many keys as there are, from which broken ones are made.

pub const DAEMON: &str = r#"{
    "msf_author": "libmsf", "msf_version": "v1.0", "msf_desc": "broker and shell", "stop_timeout_ms": 700, "version": 1,
    "defaults": { "env": { "A": "b" }, "rlimits": { "nofile": [64, 128], "core": "unlimited" }, "nice": 3, "user": "x",
        "groups": ["y", "7"], "capabilities": ["CAP_NET_RAW", "chown"], "umask": "0027", "wait_for": ["/dev/null"],
        "cpu_affinity": "0-3,8", "scheduling": { "class": "rr", "priority": 9 }, "cgroup": { "memory_max": 65536 },
        "limits": { "sample_ms": 100, "fds": { "warn": 800, "periods": 3 },
            "rss_growth": { "warn": 16000000, "window_ms": 4800, "warm_up_ms": 0 } },
        "stdout": "log", "stderr": { "file": "all.err", "max_bytes": 4096, "files": 2 } },
    "events": { "path": "e.jsonl", "max_bytes": 65536, "files": 2 }, "crash_reports": { "files": 3, "max_bytes": 65536 },
    "metrics": { "listen": "127.0.0.1:9083" },
    "alarms": [ { "to": "log", "per_minute": 3 }, { "to": "command", "command": ["mail", "x"], "timeout_ms": 100 },
        { "to": "webhook", "url": "http://127.0.0.1:1/a", "form": "dingtalk", "secret": "s", "retries": 2 } ],
    "msf_procs": [
        { "proc_idx": 0, "proc_name": "msf_agent", "proc_path": "msf_agent", "proc_conf": "msf_agent.conf",
          "ready": { "by": "tcp", "address": "127.0.0.1:6808", "timeout_ms": 500, "interval_ms": 20 },
          "health": { "by": "http", "address": "[::1]:80", "path": "/h", "status": [200, 204], "failures": 3 },
          "limits": { "rss_bytes": { "warn": 1, "act": 2, "do": "restart" }, "threads": null,
              "cpu_percent": { "warn": 90, "window_ms": 30000 } } },
        { "proc_idx": 2, "proc_name": "probe", "proc_path": "x", "after": ["msf_agent"], "numa_node": 0,
          "health": { "by": "exec", "command": ["check"], "interval_ms": 100, "timeout_ms": 50, "act": "stop" },
          "ready": { "by": "exec", "command": ["test", "-e", "/run/x"] }, "cpu_affinity": [0, 1], "group": 5 },
        { "proc_idx": 1, "proc_name": "msf_shell", "proc_path": "/bin/msf_shell", "args": ["-x", "\u00e9"],
          "env": { "MSF_PLUGIN_PATH": "/opt/plugins" }, "working_directory": "/srv", "stop_timeout_ms": 8000,
          "health": { "by": "heartbeat", "interval_ms": 1000, "successes": 2, "start_after_ms": 10 },
          "stop_signal": "SIGINT", "requires": ["msf_agent"], "ready": { "by": "fd", "fd": 4 }, "wait_retry_ms": 50,
          "restart": { "immediate": 3, "policy": "on-failure" } }
    ],
    "restart": { "immediate": 10, "refill_ms": 10000, "delay_ms": 100, "delay_max_ms": 10000, "reset_ms": 60000 }
}"#;

pub const SHELL: &str = r#"{
    "proc_name": "msf_agent", "proc_author": "http://luotang.me", "proc_version": "beta v1.0",
    "proc_desc": "Micro agent service config file", "start_timeout_ms": 1000, "stop_timeout_ms": 500,
    "agent": "127.0.0.1:6808", "check_ms": 500,
    "proc_svcs": [
        { "svc_name": "msf_agent1", "svc_libs": "libmsf_agent1.so", "isolate": true, "limits": { "rss_bytes": 9, "do": "restart" }, "config": { "a": [1, "b"] }, "loop": true },
        { "svc_name": "msf_agent2", "svc_libs": "libmsf_agent2.so", "requires": ["msf_agent1"], "optional": true,
          "start_timeout_ms": 0, "limits": { "threads": 3, "fds": 50, "pool_bytes": 1, "cpu_percent": 90, "do": "tell" } },
        { "svc_name": "third", "svc_libs": "/opt/third.so", "worker": { "name": "w", "prefix": "x.", "params": "bytes",
          "concurrency": 2, "queue_limit": 5, "timeout_ms": 100, "timeouts_ms": { "f": 7 } }, "after": ["msf_agent1", "msf_agent2"] }
    ]
}"#;

pub const AGENT_CONF: &str = "# agent\npid_file =\nsvc_conf = a.json\ndaemon = false\nverbose = true\nbacklog = 8\n\
    node_ip = NULL\nunix_enable = true\nunix_path = /run/msf/a.sock\nunix_mask = 0766\nnet_enbale = true\n\
    net_protocol = TCP\ntcp_port = 9999\nallow_uids = 5,6\ncpu_affinity = 0, 1\npacket_type = binary\n\
    auth_chap = false\nlog_level = 7\nlog_size = 64K\npayload_limit = 1M\noutbox_hard = 16M\ndrain_ms = 100\n\
    nmid_enable = true\nnmid_ip = NULL\nnmid_port = 6808\nnmid_order = ordered\nnmid_legacy_workers = 10.0.0.0/8, ::1\n\
    http_body_limit = 1M\nhttp_idle_ms = 1000\nmetrics_path = /metrics\nwhite_list = 10.0.0.0/8\nblack_list = nobody\n\
    in_flight = 2\nbalance = hash\nhash_key = id\nfunction.ToUpper.deadline_ms = 100\nfunction.a.b/0x26.retries = 3\n\
    worker.Worker 1.weight = 5\nworker.Worker 1.dialect = g0\n";

pub const AGENT_JSON: &str = r#"{
    "version": 1, "daemon": false, "backlog": 8, "node_ip": "::1", "unix_path": "/run/msf/a.sock", "unix_mask": "0766",
    "tcp_port": 9999, "allow_uids": "5,6", "log_size": "64K", "payload_limit": 1048576, "outbox_hard": "16M",
    "nmid_port": 6808, "nmid_order": "auto", "http_enable": false, "white_list": ["10.0.0.0/8", "::1"], "balance": "least",
    "functions": { "ToUpper": { "deadline_ms": 100, "balance": "sticky" }, "a.b/0x26": { "retries": 3 } },
    "workers": { "Worker 1": { "weight": 5, "dialect": "g2", "in_flight": 4 } }
}"#;

pub const SERVER: &str = include_str!("../server.yaml");
