#!/usr/bin/env python3
"""Stands in for `tally serve` while that is being written: usage: stand_in.py TALLY LEDGER PORT

Answers HTTP by running `tally`; the admin token is "admin", others are named for their roles.
"""
import http.server
import json
import pathlib
import subprocess
import sys
import threading
import time
import urllib.parse

TALLY, LEDGER, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
WEB = pathlib.Path(__file__).resolve().parents[2] / "web"
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
       "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'")
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css", ".svg": "image/svg+xml"}
TOKENS = [{"id": name, "name": name, "role": name, "tenants": [], "created_at": "2026-11-22T10:00:00Z",
           "expires_at": None, "last_used_at": None} for name in ("admin", "auditor", "reader", "writer")]
TOKENS.append({**TOKENS[2], "id": "acme", "name": "acme", "tenants": ["acme"]})
JOBS, REPORTS = {}, []


def tally(*arguments, text=None):
    done = subprocess.run([TALLY, "-C", LEDGER, *arguments], capture_output=True, input=text)
    return done.returncode, done.stdout, done.stderr


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, kind="application/json", **headers):
        if not isinstance(body, bytes):
            body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), "X-Request-Id": "req-1",
                            "Cache-Control": "no-store", **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def problem(self, status, code, title, detail, **more):
        self.send(status, {"type": "/problems/" + code, "title": title, "status": status, "code": code,
                           "detail": detail, "instance": "req-1", **more}, "application/problem+json")

    def run(self, *arguments, kind="application/json"):
        status, out, err = tally(*arguments)
        if status == 0 or (out and arguments[0] == "verify"):
            return self.send(200, out, kind)
        try:
            found = json.loads(err)
            return self.problem(400 if status != 404 else 404, found["code"], found["title"], found["detail"])
        except ValueError:
            return self.problem(400, "bad_parameter", "Refused", err.decode())

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path in ("/", "/ui"):
            return self.send(302, "", Location="/ui/")
        if url.path.startswith("/ui/"):
            return self.file(url.path[4:] or "index.html")
        self.body = {}
        self.api("GET", url)

    def do_POST(self):
        self.body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        self.api("POST", urllib.parse.urlsplit(self.path))

    def do_DELETE(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.body = {}
        self.api("DELETE", urllib.parse.urlsplit(self.path))

    def file(self, name):
        path = WEB / name
        if "/" in name or not path.is_file():
            return self.problem(404, "not_found", "Not found", "no such page")
        self.send(200, path.read_bytes(), TYPES[path.suffix], Content_Security_Policy=CSP)

    def api(self, method, url):
        key = self.headers.get("Authorization", "")[7:]
        self.who = next((t for t in TOKENS if t["id"] == key), None)
        if not self.who:
            return self.problem(401, "unauthenticated", "Who are you?", "the token is not known")
        path = [urllib.parse.unquote(part) for part in url.path.split("/")[2:]]
        query = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
        name = f"{method.lower()}_{path[0]}"
        if not hasattr(self, name):
            return self.problem(404, "not_found", "Not found", url.path)
        getattr(self, name)(path, query)

    def options(self, query, names=()):
        found = []
        for name, value in query:
            if name not in names:
                found += [f"--{name.replace('_', '-')}={value}"]
        if self.who["tenants"]:
            found += ["--tenant-id=acme"]
        return found

    def get_whoami(self, path, query):
        self.send(200, {name: self.who[name] for name in ("id", "name", "role", "tenants")})

    def post_events(self, path, query):
        status, out, err = tally("import", "--format", "ndjson", "-", text=json.dumps(self.body).encode())
        self.send(201 if not status else 400, out.decode() and "{}")

    def get_events(self, path, query):
        if len(path) == 1:
            return self.run("find", "--json", *self.options(query))
        self.record(path)

    def get_records(self, path, query):
        self.record(path)

    def record(self, path):
        if len(path) == 3:
            return self.run("proof", path[1], kind="text/plain; charset=utf-8")
        status, out, err = tally("get", path[1], "--json")
        if status:
            return self.problem(404, "not_found", "Not found", "there is no such record")
        if "canonical" in self.headers.get("Accept", ""):
            mark = b'"event":' if b'"kind":"event"' in out else b'"payload":'
            return self.send(200, out.rstrip()[out.index(mark) + len(mark):-1], "application/vnd.tally.canonical")
        self.send(200, out)

    def get_count(self, path, query):
        self.run("count", "--json", *self.options(query))

    def get_stats(self, path, query):
        self.run("stats", "--json", *self.options(query))

    def get_tail(self, path, query):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        process = subprocess.Popen([TALLY, "-C", LEDGER, "tail", "-f", "-n", "1", "--json", *self.options(query, ["after"])],
                                   stdout=subprocess.PIPE)
        try:
            for line in process.stdout:
                self.wfile.write(b"id: %d\ndata: %s\n\n" % (json.loads(line)["seq"], line.rstrip()))
                self.wfile.flush()
        except OSError:
            pass
        process.kill()

    def get_exports(self, path, query):
        status, out, err = tally("export", "--format", dict(query).get("format", "ndjson"), *self.options(query, ["format"]))
        self.send(200, out, "application/x-ndjson", Content_Disposition='attachment; filename="tally-export.ndjson"')

    def get_checkpoint(self, path, query):
        if self.who["tenants"]:
            return self.problem(403, "forbidden", "Not permitted", "the token is limited to tenants")
        self.run("checkpoint", kind="text/plain; charset=utf-8")

    def get_consistency(self, path, query):
        self.run("proof", "consistency", dict(query)["from"], kind="text/plain; charset=utf-8")

    def get_trust(self, path, query):
        if self.who["tenants"]:
            return self.problem(403, "forbidden", "Not permitted", "the token is limited to tenants")
        self.run("keys", "trust", kind="text/plain; charset=utf-8")

    def job(self, kind, *arguments):
        job = {"id": f"j{len(JOBS) + 1}", "kind": kind, "state": "running", "by": f"token:{self.who['id']}",
               "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
               "progress": {"done": 0, "total": 1400}, "result": None, "problem": None}
        JOBS[job["id"]] = job

        def work():
            time.sleep(1)
            job["progress"] = {"done": 700, "total": 1400}
            status, out, err = tally(*arguments, "--json")
            time.sleep(0.5)
            try:
                job["result"] = json.loads(out)
                job["state"] = "done"
                if kind == "verify":
                    REPORTS.insert(0, {"finished_at": job["started_at"], "by": job["by"], "report": job["result"]})
            except ValueError:
                job["problem"] = json.loads(err)
                job["state"] = "failed"
        threading.Thread(target=work, daemon=True).start()
        self.send(202, job, Location="/v1/jobs/" + job["id"])

    def post_verify(self, path, query):
        scope = {"newest": ["--newest", str(self.body.get("newest"))], "id": ["--id", str(self.body.get("id"))],
                 "range": ["--range", f"{self.body.get('first')}-{self.body.get('last')}"]}
        self.job("verify", "verify", *scope.get(self.body.get("scope", "all"), []))

    def get_verify(self, path, query):
        self.send(200, {"reports": REPORTS})

    def get_jobs(self, path, query):
        if len(path) > 1:
            return self.send(200, JOBS[path[1]])
        self.send(200, {"jobs": list(JOBS.values())[::-1]})

    def delete_jobs(self, path, query):
        JOBS[path[1]]["state"] = "cancelled"
        self.send(200, JOBS[path[1]])

    def get_retention(self, path, query):
        self.run("retention", "show", "--json")

    def post_retention(self, path, query):
        self.run("retention", "test", "--json", *[s.replace("retention.", "", 1) for s in self.body["settings"]])

    def act(self):
        found = [f"--by=token:{self.who['id']}"]
        for name in ("reason", "ticket"):
            if self.body.get(name):
                found += [f"--{name}={self.body[name]}"]
        return found + (["--dry-run"] if self.body.get("dry_run") else [])

    def post_purges(self, path, query):
        if not self.body.get("dry_run") and not self.body.get("approval"):
            return self.problem(409, "needs_second_person", "A second person must sign", "approvers are configured",
                                request="tallystick/v1 approval\naudit.example.com/web-5e1f\nPURGE\n{\"count\":28}\n")
        before = [f"--before={self.body['before']}"] if self.body.get("before") else []
        self.job("purge", "purge", "--yes", *before, *self.act())

    def get_holds(self, path, query):
        self.run("hold", "list", "--json")

    def post_holds(self, path, query):
        options = self.options([(k, v) for k, vs in self.body.get("filter", {}).items() for v in vs])
        options += [f"--range={a}-{b}" for a, b in self.body.get("ranges", [])]
        options += ["--all"] if self.body.get("all") else []
        self.run("hold", "add", self.body["hold"], "--json", *options, *self.act())

    def delete_holds(self, path, query):
        status, out, err = tally("hold", "release", path[1], "--by", self.who["id"], "--json")
        self.send(200 if not status else 400, out or err)

    def post_erasures(self, path, query):
        options = [f"--member={m}" for m in self.body.get("members", [])]
        options += [f"--subject={self.body['subject']}"] if self.body.get("subject") else []
        options += [f"--id={self.body['id']}"] if self.body.get("id") else []
        options += self.options([(k, v) for k, vs in self.body.get("filter", {}).items() for v in vs])
        self.job("erase", "erase", "--yes", *options, *self.act())

    def get_tokens(self, path, query):
        if self.who["role"] != "admin":
            return self.problem(403, "forbidden", "Not permitted", "this takes the role admin")
        self.send(200, {"tokens": TOKENS})

    def post_tokens(self, path, query):
        token = {"id": f"t{len(TOKENS)}", "name": self.body["name"], "role": self.body["role"],
                 "tenants": self.body.get("tenants", []), "created_at": "2026-11-22T10:00:00Z",
                 "expires_at": self.body.get("expires_at"), "last_used_at": None}
        TOKENS.append(token)
        self.send(201, {**token, "token": token["id"]})

    def delete_tokens(self, path, query):
        TOKENS[:] = [t for t in TOKENS if t["id"] != path[1]]
        self.send(200, {"id": path[1]})

    def get_status(self, path, query):
        status, out, err = tally("status", "--json")
        self.send(200, {**json.loads(out), "server": {"version": "0.1", "started_at": "2026-11-22T10:00:00Z", "requests": 7, "jobs": len(JOBS)}})

    def get_schedules(self, path, query):
        self.run("schedule", "show", "--json")

    def get_keys(self, path, query):
        self.run("keys", "list", "--json")


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
