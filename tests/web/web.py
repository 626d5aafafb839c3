#!/usr/bin/env python3
"""Runs the tests of the web page against `tally serve`.

usage: web.py TALLY_BINARY [--shots DIR] [--only WORDS] [--tap] [--keep]

Makes a ledger with ordinary and hostile events in a directory of its own, starts the server, and
runs run.mjs, whose TAP goes to stdout. Ends with 77 where node, chromium or the npm packages are
not there.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PAYLOADS = 200

# Each would do something, or hide something, if any part of the page took text for markup.
ATTACKS = json.loads((HERE / "hostile.json").read_text())
ACTIONS = [
    "invoice.paid",
    "invoice.create",
    "user.login",
    "user.role.update",
    "file.download",
    "key.rotate",
]
PEOPLE = [
    ("u1", "Ada Lovelace"),
    ("u2", "Jürgen Müller"),
    ("u3", "李小龍"),
    ("u4", "שרה כהן"),
    ("u5", "مدير النظام"),
]


def hostile(number):
    """An event with a payload in every member that takes free text."""
    text = ATTACKS[number % len(ATTACKS)]
    if number >= len(ATTACKS):
        text = f"{ATTACKS[number * 7 % len(ATTACKS)]}{number}{text}"
    tiny = text.encode()[:60].decode("utf-8", "ignore")
    short = text.encode()[:100].decode("utf-8", "ignore")
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f]", "", short) or "x"
    return {
        "id": f"{plain}-{number}",
        "action": f"hostile.n{number}",
        "severity": "high",
        "outcome": "failure",
        "actor": {"id": text, "name": text, "type": tiny},
        "targets": [{"id": text, "name": text, "type": short}, {"id": "2", "type": tiny}],
        "reason": text,
        "tenant_id": short,
        "transport": tiny,
        "tags": ["hostile", short],
        "source": {"service": short, "host": short, "user_agent": text, "ip": "2001:db8::7"},
        "correlation_id": short,
        "causation_id": short,
        "request_id": short,
        "session_id": short,
        "old_values": {text: text, "same": 1, "list": [text, {"deep": text}]},
        "new_values": {
            text: text + "!",
            "same": 1,
            "list": [{"deep": text}],
            "__proto__": {"a": text},
        },
        "request": {text: [text]},
        "response": {"r": text},
        "metadata": {"note": text, text: None},
    }


def ordinary(number, now, dice):
    """An event as a shop might report it, within the last 45 days."""
    who, name = dice.choice(PEOPLE)
    action = dice.choice(ACTIONS)
    failed = dice.random() < 0.12
    time = now - datetime.timedelta(minutes=dice.randrange(1, 64800))
    event = {
        "id": f"order-{number}",
        "action": action,
        "occurred_at": time.isoformat() + "Z",
        "actor": {"id": who, "name": name, "type": "user"},
        "outcome": "failure" if failed else "success",
        "targets": [
            {"type": action.split(".")[0], "id": str(number % 97), "name": f"No. {number % 97}"}
        ],
        "severity": dice.choice(
            ["low", "medium", "medium", "high", "critical"] if failed else ["low", "medium"]
        ),
        "source": {
            "service": dice.choice(["shop", "billing", "sso"]),
            "ip": f"192.0.2.{number % 250}",
        },
        "tenant_id": dice.choice(["acme", "globex"]),
        "correlation_id": f"c{number // 3}",
        "metadata": {"note": "as ordered", "number": number},
    }
    if failed:
        event["reason"] = "not permitted"
    if action.endswith("update"):
        event["old_values"] = {"role": "reader", "groups": ["a", "b"], "limit": 10}
        event["new_values"] = {"role": "admin", "groups": ["a", "c"], "active": True}
    return event


def make_ledger(tally, ledger):
    """A ledger with events of all kinds, a hold that was set and one that was released, and an erasure."""

    def run(*arguments, text=None):
        done = subprocess.run(
            [tally, "-C", str(ledger), *arguments], input=text, capture_output=True
        )
        if done.returncode:
            sys.exit(f"web.py: {arguments}: {done.stdout.decode()}{done.stderr.decode()}")

    run("init", "--origin", "audit.example.com/web-5e1f")
    now = datetime.datetime.utcnow()
    dice = random.Random(7)
    events = [ordinary(number, now, dice) for number in range(900)] + [
        hostile(number) for number in range(PAYLOADS)
    ]
    events += [ordinary(number, now, dice) for number in range(900, 1200)]
    for event in events[:40]:  # their time is over, so that a purge has something to do
        event["occurred_at"] = "2020-02-01T00:00:00Z"
    text = "".join(json.dumps(event) + "\n" for event in events).encode()
    run("import", "--format", "ndjson", "--retain-from", "occurred", "-", text=text)
    act = ["--by", "dpo@example.com", "--reason", "<b>suit</b> 17 \u202eabc"]
    run("anchor", f"file:{ledger}-checkpoint", "--by", "ops@example.com")
    run("hold", "add", "case-1", "--actor-id", "u1", *act)
    run("hold", "add", "case-2", "--actor-id", "u2", *act)
    run("hold", "release", "case-2", *act)
    run("erase", "--id", "order-100", "--yes", *act)
    run("erase", "--id", "order-103", "--member", "/actor/name", "--yes", *act)
    run("erase", "--id", "order-104", "--member", "/metadata", "--yes", *act)


def missing():
    """What is not there of what the tests need, or None."""
    if not shutil.which("node"):
        return "node is not there"
    if not os.path.exists(os.environ.get("CHROMIUM", "/usr/bin/chromium")):
        return "chromium is not there"
    if not (HERE / "node_modules/playwright-core").is_dir():
        return "npm packages are not there; run 'npm ci' in tests/web"
    return None


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def serve(tally, ledger, host):
    """The server as a process, its URL, and the first admin token. Pages of `host` may embed it."""
    process = subprocess.Popen(
        [tally, "-C", str(ledger), "serve", "--listen", "127.0.0.1:0", "--viewer-origin", host],
        stdout=subprocess.PIPE,
        text=True,
    )
    found = {}
    for line in process.stdout:
        name, _, value = line.strip().partition(": ")
        found[name.split(" (")[0]] = value
        if "listening" in found and "first token" in found:
            return process, found["listening"], found["first token"]
    sys.exit(f"web.py: the server ended with {process.wait()}")


def main():
    parser = argparse.ArgumentParser(description="tests of the web page")
    parser.add_argument("tally")
    parser.add_argument("--shots", default="build/screenshots")
    parser.add_argument("--only", help="only tests whose names have these words")
    parser.add_argument(
        "--tap", action="store_true", help="end with 0 after skipping, as meson wants it from TAP"
    )
    parser.add_argument("--keep", action="store_true", help="serve until Ctrl-C, and run no tests")
    options = parser.parse_args()
    why = None if options.keep else missing()
    if why:
        print(f"1..0 # SKIP {why}")
        return 0 if options.tap else 77
    with tempfile.TemporaryDirectory(prefix="tally-web-") as folder:
        ledger = pathlib.Path(folder) / "audit"
        tally = os.path.abspath(options.tally)
        make_ledger(tally, ledger)
        port = free_port()
        process, url, token = serve(tally, ledger, f"http://localhost:{port}")
        try:
            if options.keep:
                print(f"{url}/ui/#token={token}", flush=True)
                return process.wait()
            only = ["--only", options.only] if options.only else []
            return subprocess.run(
                [
                    "node",
                    HERE / "run.mjs",
                    "--url",
                    url,
                    "--token",
                    token,
                    "--host-port",
                    str(port),
                    "--shots",
                    options.shots,
                    *only,
                ]
            ).returncode
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
