#!/usr/bin/env python3
"""Writes events.ndjson: a week of a small company that never was, from Monday 9 to Sunday 15 March
2026. The same bytes on every run: `make_events.py --check FILE` compares.

Fourteen people, four service accounts and two tenants use a billing program. In the night to Friday
an account is taken over: the tour in README.md finds out how. Names, addresses (RFC 5737, RFC 3849)
and figures are made up. Some events use the other names for members that docs/events.md lists.

usage: make_events.py [--check FILE]
"""
import datetime
import hashlib
import json
import sys

UTC = datetime.timezone.utc
OFFICE = datetime.timezone(datetime.timedelta(hours=1))  # all of the week
MONDAY = datetime.datetime(2026, 3, 9, tzinfo=OFFICE)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/134.0 Safari/537.36"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) Mobile/15E148"
STRANGER = "203.0.113.66"


class Chance:
    """A small generator of our own: those of the library may change with its version."""

    def __init__(self, seed):
        self.state = seed

    def bits(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return self.state >> 33

    def below(self, count):
        return self.bits() % count

    def between(self, first, last):
        return first + self.below(last - first + 1)

    def pick(self, things):
        return things[self.below(len(things))]

    def hex(self, digits):
        return "".join("%x" % self.below(16) for _ in range(digits))


chance = Chance(20260309)

# id, name, roles, tenant, address, user agent
PEOPLE = [
    ("u-01", "Zoë Lindqvist", "admin", "nordlicht", "198.51.100.11", FIREFOX),
    ("u-02", "Jürgen Weiß", "sales", "nordlicht", "198.51.100.12", CHROME),
    ("u-03", "田中 愛子", "support", "nordlicht", "2001:db8:17::3", FIREFOX),
    ("u-04", "Óscar Ibáñez", "sales", "nordlicht", "198.51.100.14", CHROME),
    ("u-05", "Bjørn Sæther", "developer", "nordlicht", "198.51.100.15", FIREFOX),
    ("u-06", "Małgorzata Nowak", "finance", "nordlicht", "198.51.100.16", CHROME),
    ("u-07", "Anaïs Lefèvre", "finance", "nordlicht", "198.51.100.17", CHROME),
    ("u-08", "Πέτρος Αλεξίου", "support", "nordlicht", "2001:db8:17::8", PHONE),
    ("u-09", "Sinéad O'Brien", "sales", "nordlicht-uk", "198.51.100.129", CHROME),
    ("u-10", "Priya Raghavan", "finance", "nordlicht-uk", "198.51.100.130", FIREFOX),
    ("u-11", "Ангел Димитров", "developer", "nordlicht", "2001:db8:17::b", FIREFOX),
    ("u-12", "Tom Hughes", "support", "nordlicht-uk", "198.51.100.132", PHONE),
    ("u-13", "Lena Vogel", "intern", "nordlicht", "198.51.100.23", CHROME),  # left in February
    ("u-14", "Matti Mäkelä", "admin", "nordlicht", "198.51.100.24", FIREFOX),
]
BY_ID = {person[0]: person for person in PEOPLE}
CUSTOMERS = ["Hägglund & Söner AB", "Café Zürich GmbH", "Łódź Textile", "O'Neill Ltd", "株式会社みらい",
             "Brötchen \"24\" KG", "Ateliers du Rhône", "Fjord Seafood AS", "Μέλι & Σία", "Smith, Jones"]
events = []


def at(day, hour, minute, second=0.0):
    """A time of the office, `day` counted from Monday."""
    return MONDAY + datetime.timedelta(days=day, hours=hour, minutes=minute, seconds=second)


def jitter(low_s, high_s):
    return datetime.timedelta(microseconds=chance.between(int(low_s * 1e6), int(high_s * 1e6)))


def utc_text(when):
    text = when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (".%06d" % when.microsecond if when.microsecond else "") + "Z"


def uuid7(when):
    ms = int(when.timestamp() * 1000)
    text = "%012x7%s%x%s" % (ms, chance.hex(3), 8 + chance.below(4), chance.hex(15))
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def record(when, action, **members):
    """Adds an event. What is None is left out."""
    event = {"id": members.pop("id", None) or uuid7(when), "occurred_at": utc_text(when),
             "action": action}
    event.update((name, value) for name, value in members.items() if value is not None)
    events.append((when, event))
    return event


def who(person, kind=None):
    kind = kind or ("admin" if person[2] == "admin" else "user")
    return {"type": kind, "id": person[0], "name": person[1]}


def web(person, host=None):
    return {"service": "billing", "host": host or chance.pick(["app-1", "app-2"]) + ".nordlicht.example",
            "ip": person[4], "user_agent": person[5]}


class Session:
    """What one person does between login and logout."""

    def __init__(self, person, when, source=None):
        self.person, self.now, self.source = person, when, source
        self.id = "sess-" + chance.hex(8)

    def wait(self, low_s, high_s):
        self.now += jitter(low_s, high_s)
        return self.now

    def act(self, action, target=None, method="POST", path=None, status=200, **members):
        """One request of the browser: with times, trace, request and response."""
        started, ended = self.now, self.now + jitter(0.012, 0.9)
        if target is not None:
            members.setdefault("targets", target if isinstance(target, list) else [target])
        members.setdefault("source", self.source or web(self.person))
        if path is not None:
            members.setdefault("request", {"method": method, "path": path})
            members.setdefault("response", {"status": status})
        return record(ended, action, actor=who(self.person), transport="http",
                      tenant_id=self.person[3], started_at=utc_text(started),
                      ended_at=utc_text(ended), session_id=self.id, request_id="req-" + chance.hex(8),
                      trace_id=chance.hex(32), span_id=chance.hex(16), **members)

    def login(self, fails=0):
        for _ in range(fails):
            self.act("auth.login", method="POST", path="/login", status=401, outcome="failure",
                     reason="wrong password", severity="low", tags=["auth"])
            self.wait(4, 20)
        self.act("auth.login", path="/login", severity="low", tags=["auth", "mfa"],
                 metadata={"method": "password+totp", "attempt": fails + 1})

    def logout(self):
        self.act("auth.logout", path="/logout", severity="low", tags=["auth"])


def invoice(number):
    return {"type": "Invoice", "id": "INV-2026-%04d" % number}


def customer(index):
    return {"type": "Customer", "id": "C-%03d" % (100 + index), "name": CUSTOMERS[index]}


numbers = iter(range(312, 999))


def work_sales(session):
    for _ in range(chance.between(2, 3)):
        session.wait(240, 1800)
        index = chance.below(len(CUSTOMERS))
        number = next(numbers)
        total = "%d.%02d" % (chance.between(80, 9400), chance.below(100))
        flow = "order-%04d" % number
        session.act("invoice.create", [invoice(number), customer(index)], path="/invoices", status=201,
                    correlation_id=flow, new_values={"total": total, "currency": "EUR", "lines":
                                                     chance.between(1, 9), "discount": None})
        drafts.append((number, index, total, flow))
        if chance.below(3) == 0:
            session.wait(30, 200)
            session.act("customer.update", customer(index), method="PATCH",
                        path="/customers/C-%03d" % (100 + index), severity="low",
                        old_values={"phone": None, "terms_days": 14},
                        new_values={"phone": "+49 30 5550%03d" % chance.below(1000), "terms_days": 30})


def work_finance(session):
    for _ in range(min(len(drafts), chance.between(2, 4))):
        number, index, total, flow = drafts.pop(0)
        session.wait(120, 900)
        cause = session.act("invoice.approve", invoice(number), path="/invoices/%d/approve" % number,
                            correlation_id=flow, old_values={"state": "draft"},
                            new_values={"state": "approved"}, tags=["four-eyes"])
        sent = session.now + jitter(1, 4)
        # The mailer tells when it tries, and again when it knows.
        pending = record(sent, "invoice.send", actor={"type": "service", "id": "svc-mailer"},
                         targets=[invoice(number), customer(index)], outcome="pending", severity="low",
                         source={"service": "mailer", "host": "worker-1.nordlicht.example"},
                         transport="grpc", tenant_id=session.person[3], correlation_id=flow,
                         causation_id=cause["id"], trace_id=cause["trace_id"],
                         span_id=chance.hex(16))
        failed = chance.below(9) == 0
        record(sent + jitter(2, 40), "invoice.send", actor={"type": "service", "id": "svc-mailer"},
               targets=[invoice(number), customer(index)],
               outcome="failure" if failed else "success",
               reason="550 5.1.1 mailbox unavailable" if failed else None, severity="low",
               source={"service": "mailer", "host": "worker-1.nordlicht.example"}, transport="grpc",
               tenant_id=session.person[3], correlation_id=flow, causation_id=pending["id"])
        open_invoices.append((number, total, flow, session.person[3]))
    if chance.below(2) == 0:
        session.wait(60, 600)
        session.act("report.export", {"type": "Report", "id": "ageing", "name": "Offene Posten"},
                    method="GET", path="/reports/ageing.csv",
                    metadata={"rows": chance.between(12, 160), "format": "csv"}, tags=["export"])


def work_support(session):
    for _ in range(chance.between(1, 3)):
        session.wait(300, 2400)
        ticket = "T-%d" % chance.between(5000, 5999)
        index = chance.below(len(CUSTOMERS))
        session.act("customer.read", customer(index), method="GET",
                    path="/customers/C-%03d" % (100 + index), severity="low", reason="ticket " + ticket)
        if chance.below(3) == 0:
            session.wait(20, 300)
            session.act("support.impersonation.start", customer(index), path="/support/act-as",
                        severity="high", reason="ticket %s, customer agreed by phone" % ticket,
                        correlation_id=ticket, tags=["support", "gdpr"])
            session.wait(120, 700)
            session.act("support.impersonation.stop", customer(index), path="/support/act-as/end",
                        severity="medium", correlation_id=ticket, tags=["support"])


def work_developer(session):
    session.wait(600, 5400)
    build = "build-%d" % chance.between(4100, 4199)
    session.act("deploy.request", {"type": "Deployment", "id": build}, path="/deploy",
                severity="medium", correlation_id=build, metadata={"commit": chance.hex(12)})
    done = session.now + jitter(90, 400)
    ok = chance.below(5) != 0
    record(done, "deploy.run", actor={"type": "service", "id": "svc-ci", "name": "build runner"},
           targets=[{"type": "Deployment", "id": build}, {"type": "Host", "id": "app-1"},
                    {"type": "Host", "id": "app-2"}],
           outcome="success" if ok else "failure", reason=None if ok else "health check failed: /readyz",
           severity="medium" if ok else "high", correlation_id=build,
           source={"service": "ci", "host": "ci-1.nordlicht.example"}, transport="cli",
           started_at=utc_text(done - jitter(30, 80)), ended_at=utc_text(done),
           old_values={"version": "7.4.%d" % chance.below(9)},
           new_values={"version": "7.5.%d" % chance.below(9)}, tags=["deploy"])


def work_admin(session):
    session.wait(300, 1500)
    person = PEOPLE[chance.between(1, 11)]
    if chance.below(2) == 0:
        session.act("config.change", {"type": "Config", "id": "billing.reminders"}, method="PUT",
                    path="/settings/billing.reminders", severity="high",
                    old_values={"after_days": [14, 28]}, new_values={"after_days": [10, 20, 30]})
    session.wait(60, 900)
    if chance.below(2) == 0:
        session.act("user.role.update", [{"type": "User", "id": person[0], "name": person[1]},
                                         {"type": "Role", "id": "role-reports"}],
                    method="PATCH", path="/users/" + person[0], severity="high",
                    reason="asked for by the head of sales", old_values={"roles": [person[2]]},
                    new_values={"roles": [person[2], "reports"]}, tags=["access"])
    key = "key-" + chance.hex(6)
    session.wait(60, 600)
    session.act("api_key.rotate", {"type": "ApiKey", "id": key, "name": "web shop"},
                path="/api-keys/%s/rotate" % key, severity="high",
                new_values={"expires": "2026-06-30", "scopes": ["orders:write"]}, tags=["access"])


WORK = {"sales": work_sales, "finance": work_finance, "support": work_support,
        "developer": work_developer, "admin": work_admin}
drafts, open_invoices = [], []


def working_day(day):
    mornings = [p for p in PEOPLE if p[2] != "intern" and chance.below(8) != 0]
    # Sales first: finance approves what is there.
    mornings.sort(key=lambda p: list(WORK).index(p[2]))
    for person in mornings:
        hour = {"sales": 8, "finance": 10, "support": 8, "developer": 9, "admin": 9}[person[2]]
        session = Session(person, at(day, hour, 0) + jitter(0, 3000))
        session.login(fails=1 if chance.below(9) == 0 else 0)
        WORK[person[2]](session)
        if chance.below(3) != 0:
            session.now = max(session.now, at(day, 16, 30)) + jitter(300, 6000)
            session.logout()


def payments(day):
    """The bank's file of the day, read by a job: shapes of other systems."""
    now = at(day, 13, 5)
    for number, total, flow, tenant in open_invoices[:chance.between(2, 4)]:
        open_invoices.pop(0)
        now += jitter(1, 20)
        record(now, "payment.settle", actor_type="service", actor_id="svc-bank",
               resource_type="Invoice", resource_id="INV-2026-%04d" % number, source="bank-import",
               transport="system", tenant_id=tenant, correlation_id=flow, severity="LOW",
               new_values={"paid": total}, command_payload_hash=hashlib.sha256(
                   flow.encode()).hexdigest(), payload_size_bytes=chance.between(300, 900),
               job_id="bank-%s" % at(day, 0, 0).strftime("%Y%m%d"))
    if day in (1, 3):
        record(now + jitter(5, 30), "payment.settle", actor_type="service", actor_id="svc-bank",
               resource_type="Invoice", resource_id="INV-2026-0299", source="bank-import",
               transport="system", tenant_id="nordlicht", outcome="denied",
               metadata={"amount_cents": 1250, "iban_last4": "4711"})


def documents(day):
    """The document program speaks of doctypes and users."""
    for _ in range(chance.between(2, 4)):
        person = chance.pick(PEOPLE[1:12])
        now = at(day, chance.between(9, 16), chance.below(60)) + jitter(0, 59)
        number = chance.between(20, 60)
        event = record(now, chance.pick(["update", "update", "create"]), user_id=person[0],
                       doctype="Quotation", document_id="QTN-%05d" % number,
                       changes={"valid_until": {"old": "2026-03-31", "new": "2026-04-30"},
                                "total": {"old": 10, "new": 12.5}},
                       metadata={"request_id": "req-" + chance.hex(6), "ip": person[4]})
        event["timestamp"] = now.isoformat()  # with +01:00, as that program writes it
        del event["occurred_at"]


def assistant(day):
    """The assistant of the support people keeps notes in banks; its times are a start and a length."""
    for _ in range(chance.between(1, 3)):
        now = at(day, chance.between(9, 16), chance.below(60)) + jitter(0, 59)
        event = record(now, chance.pick(["retain", "recall", "recall"]), transport="mcp",
                       bank_id=chance.pick(["support-notes", "product-faq"]), actor_id="svc-assistant",
                       actor_type="service", duration_ms=chance.between(40, 2400), severity="low",
                       started_at=utc_text(now), request={"query": "Wie storniere ich eine Rechnung? 🧾"},
                       response={"hits": chance.below(8), "score": 0.5 + chance.below(50) / 100},
                       metadata={"model": "small", "tokens": {"in": chance.below(900), "out": 64}})
        del event["occurred_at"]


def nights(day):
    """Jobs without people: backups, certificates, health of the clock."""
    now = at(day, 1, 30)
    night = now.strftime("%Y-%m-%d")
    record(now, "backup.run", id="backup/" + night, actor={"type": "service", "id": "svc-backup"},
           targets=[{"type": "Database", "id": "billing"}], severity="low", started_at=utc_text(now),
           outcome="pending", source={"service": "backup", "host": "db-1.nordlicht.example"},
           transport="system", tags=["backup"])
    end = now + jitter(300, 900)
    bad = day == 2
    record(end, "backup.run", id="backup/" + night + "/done",
           actor={"type": "service", "id": "svc-backup"},
           targets=[{"type": "Database", "id": "billing"}], severity="high" if bad else "low",
           outcome="failure" if bad else "success",
           reason="no space left on device" if bad else None, causation_id="backup/" + night,
           source={"service": "backup", "host": "db-1.nordlicht.example"}, transport="system",
           started_at=utc_text(now), ended_at=utc_text(end), tags=["backup"],
           metadata={"bytes": "91264%06d" % chance.below(10**6), "files": chance.between(200, 300)})
    if day == 6:
        record(at(6, 3, 12), "certificate.renew", actor={"type": "system", "id": "acme"},
               targets=[{"type": "Certificate", "id": "*.nordlicht.example"}], severity="medium",
               source={"service": "edge", "host": "lb-1.nordlicht.example"}, transport="system",
               old_values={"not_after": "2026-04-02"}, new_values={"not_after": "2026-06-13"})


def visitors(day):
    """Shared links are opened by whoever has them."""
    for _ in range(chance.between(1, 3)):
        record(at(day, chance.between(7, 21), chance.below(60)) + jitter(0, 59), "document.read",
               actor={"type": "anonymous"}, targets=[invoice(chance.between(280, 311))],
               severity="low", source={"service": "portal", "ip": "192.0.2.%d" % chance.between(1, 99),
                                       "user_agent": chance.pick([CHROME, PHONE])},
               transport="http", request={"method": "GET", "path": "/s/" + chance.hex(10)},
               response={"status": chance.pick([200, 200, 200, 304])})


def weekend(day):
    session = Session(BY_ID["u-08"], at(day, 10, 0) + jitter(0, 4000))
    session.login()
    work_support(session)
    session.wait(60, 600)
    session.logout()


def incident():
    """The night to Friday. A phishing mail on Thursday, an account taken over, and the morning."""
    oscar = Session(BY_ID["u-04"], at(3, 16, 5, 12))
    oscar.act("security.phishing.report", {"type": "Mail", "id": "mail-88121"}, path="/security/report",
              severity="medium", reason="asks for the one-time code, sender looks like the bank",
              correlation_id="inc-2026-03-13")

    bot = {"service": "billing", "host": "app-2.nordlicht.example", "ip": STRANGER,
           "user_agent": "python-requests/2.32.3"}
    thief = Session(BY_ID["u-06"], at(4, 2, 11, 3), bot)
    for reason in ["wrong password"] * 6 + ["wrong one-time code"] * 2:
        thief.act("auth.login", path="/login", status=401, outcome="failure", reason=reason,
                  severity="medium", tags=["auth"])
        thief.wait(3, 25)
    thief.act("auth.login", path="/login", tags=["auth", "mfa", "new-network"], severity="high",
              metadata={"method": "password+totp", "attempt": 9, "country": "unknown"})
    thief.wait(40, 90)
    thief.act("user.read", {"type": "User", "id": "u-01", "name": BY_ID["u-01"][1]}, method="GET",
              path="/users/u-01", severity="low")
    thief.wait(20, 40)
    thief.act("user.role.grant", [{"type": "User", "id": "u-06", "name": BY_ID["u-06"][1]},
                                  {"type": "Role", "id": "role-admin"}],
              path="/users/u-06/roles", status=403, outcome="denied", severity="high", tags=["access"])
    thief.wait(30, 60)
    # Finance may re-activate leavers for the tax office: that was the hole.
    thief.act("user.enable", {"type": "User", "id": "u-13", "name": BY_ID["u-13"][1]},
              path="/users/u-13/enable", severity="high", reason="tax audit",
              old_values={"state": "left"}, new_values={"state": "active"}, tags=["access"])
    thief.wait(20, 50)
    grant = thief.act("user.role.grant", [{"type": "User", "id": "u-13", "name": BY_ID["u-13"][1]},
                                          {"type": "Role", "id": "role-admin"}],
                      path="/users/u-13/roles", severity="critical", old_values={"roles": ["intern"]},
                      new_values={"roles": ["intern", "admin"]}, tags=["access"])

    second = Session(BY_ID["u-13"], thief.now + jitter(50, 70), bot)
    second.act("auth.login", path="/login", severity="high", tags=["auth", "new-network"],
               metadata={"method": "password", "attempt": 1}, causation_id=grant["id"])
    second.wait(20, 40)
    second.act("config.change", {"type": "Config", "id": "alerts.export"}, method="PUT",
               path="/settings/alerts.export", severity="critical", old_values={"enabled": True},
               new_values={"enabled": False}, tags=["alerting"])
    for kind, rows in (("Customer", 4218), ("Invoice", 19077), ("Contact", 6630), ("Payment", 18240)):
        second.wait(30, 75)
        second.act("data.export", {"type": kind, "id": "*"}, method="GET",
                   path="/export/%s.csv" % kind.lower(), severity="high",
                   metadata={"rows": rows, "format": "csv", "filter": {}}, tags=["export", "bulk"])
    second.wait(30, 60)
    second.act("api_key.create", {"type": "ApiKey", "id": "key-7d41c0", "name": "nightly-sync"},
               path="/api-keys", status=201, severity="critical",
               new_values={"expires": None, "scopes": ["*"]}, tags=["access"])
    for minutes in (4, 34, 64, 94):
        record(second.now + datetime.timedelta(minutes=minutes), "data.export",
               actor={"type": "api_key", "id": "key-7d41c0", "name": "nightly-sync"},
               targets=[{"type": "Invoice", "id": "*"}], severity="high",
               source={"service": "api", "host": "app-1.nordlicht.example", "ip": STRANGER,
                       "user_agent": "curl/8.5.0"},
               transport="http", tenant_id="nordlicht", request_id="req-" + chance.hex(8),
               request={"method": "GET", "path": "/v2/invoices", "query": {"page_size": "1000"}},
               response={"status": 200}, metadata={"rows": 1000}, tags=["export", "bulk"])

    # 06:52: Zoë reads the night's list on her phone.
    zoe = Session(BY_ID["u-01"], at(4, 6, 52, 40))
    zoe.source = dict(web(BY_ID["u-01"]), ip="2001:db8:77:1::a", user_agent=PHONE)
    zoe.login()
    case = {"correlation_id": "inc-2026-03-13", "reason": "INC-31: logins from " + STRANGER}
    zoe.wait(200, 300)
    zoe.act("incident.open", {"type": "Incident", "id": "INC-31"}, path="/incidents",
            severity="critical", tags=["incident"], **case)
    for session in (thief, second):
        zoe.wait(15, 40)
        zoe.act("session.revoke", [{"type": "Session", "id": session.id},
                                   {"type": "User", "id": session.person[0],
                                    "name": session.person[1]}],
                method="DELETE", path="/sessions/" + session.id, severity="high",
                tags=["incident"], **case)
    zoe.wait(10, 30)
    zoe.act("api_key.revoke", {"type": "ApiKey", "id": "key-7d41c0", "name": "nightly-sync"},
            method="DELETE", path="/api-keys/key-7d41c0", severity="high", tags=["incident"], **case)
    record(zoe.now + jitter(60, 300), "data.export",
           actor={"type": "api_key", "id": "key-7d41c0", "name": "nightly-sync"},
           targets=[{"type": "Invoice", "id": "*"}], outcome="failure", reason="key is revoked",
           severity="high", source={"service": "api", "ip": STRANGER, "user_agent": "curl/8.5.0"},
           transport="http", tenant_id="nordlicht", request={"method": "GET", "path": "/v2/invoices"},
           response={"status": 401}, tags=["export"])
    for action, old, new in (("user.disable", {"state": "active"}, {"state": "left"}),
                             ("user.role.revoke", {"roles": ["intern", "admin"]}, {"roles": []})):
        zoe.wait(10, 40)
        zoe.act(action, {"type": "User", "id": "u-13", "name": BY_ID["u-13"][1]}, method="PATCH",
                path="/users/u-13", severity="high", old_values=old, new_values=new,
                tags=["incident"], **case)
    zoe.wait(10, 40)
    zoe.act("user.password_reset", {"type": "User", "id": "u-06", "name": BY_ID["u-06"][1]},
            path="/users/u-06/reset", severity="high", tags=["incident"], **case)
    zoe.wait(10, 40)
    zoe.act("config.change", {"type": "Config", "id": "alerts.export"}, method="PUT",
            path="/settings/alerts.export", severity="high", old_values={"enabled": False},
            new_values={"enabled": True}, tags=["incident", "alerting"], **case)
    later = Session(BY_ID["u-01"], at(4, 15, 20))
    later.act("config.change", {"type": "Config", "id": "roles.finance"}, method="PUT",
              path="/settings/roles.finance", severity="high",
              old_values={"permissions": ["invoice.*", "report.*", "user.enable", "user.role.grant"]},
              new_values={"permissions": ["invoice.*", "report.*"]}, tags=["incident"], **case)
    later.wait(600, 900)
    later.act("incident.close", {"type": "Incident", "id": "INC-31"}, path="/incidents/INC-31/close",
              severity="medium", tags=["incident"], correlation_id="inc-2026-03-13",
              metadata={"told": ["u-14", "u-06", "data protection officer"], "hours": 8.5})


def main(arguments):
    for day in range(7):
        nights(day)
        if day < 5:
            working_day(day)
            payments(day)
            documents(day)
            assistant(day)
        else:
            weekend(day)
        visitors(day)
    incident()
    events.sort(key=lambda pair: pair[0])
    text = "".join(json.dumps(event, ensure_ascii=False) + "\n" for _, event in events)
    if arguments[:1] == ["--check"] and len(arguments) == 2:
        with open(arguments[1], encoding="utf-8", newline="") as file:
            same = file.read() == text
        print("1..1\n%sok 1 - the file is what the generator writes" % ("" if same else "not "))
        return 0 if same else 1
    if arguments:
        print(__doc__, file=sys.stderr)
        return 3
    sys.stdout.reconfigure(encoding="utf-8", newline="")
    sys.stdout.write(text)
    return 0


sys.exit(main(sys.argv[1:]))
