// Walks through the web page as a newcomer, an attacker, a screen reader and somebody with a phone
// would. usage: node run.mjs --url URL --token ADMIN_TOKEN --host-port PORT [--shots DIR]
// [--only WORDS] Prints TAP. Pages of http://localhost:PORT may embed the viewer. The ledger behind URL is the one that web.py makes.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { addViewerTests } from "./viewer.mjs";

const { values: options } = parseArgs({ options: {
  url: { type: "string" }, token: { type: "string" }, "host-port": { type: "string" },
      shots: { type: "string", default: "build/screenshots" }, only: { type: "string" } } });
const base = options.url.replace(/\/$/, "");
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const VIEWS = ["search", "live", "integrity", "lifecycle", "export", "admin"];
const CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex='0']";
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

const tests = [];
const test = (name, run) => tests.push({ name, run });

// ---- Helpers -----------------------------------------------------------------------------------

async function call(method, path, body, token = options.token) {
  const answer = await fetch(base + path,
      { method, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body) });
  const words = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${words}`);
  return words ? JSON.parse(words) : {};
}

const makeToken = (role, more = {}) => call("POST", "/v1/tokens",
    { name: `test ${role}`, role, ...more });

let browser;

// A page of its own that remembers whatever must not happen.
async function open({ token = options.token, hash = "#/search", ...context } = {}) {
  const own = await browser.newContext({ viewport: DESKTOP, acceptDownloads: true, ...context });
  const page = await own.newPage();
  page.trouble = [];
  page.on("pageerror", (error) => page.trouble.push(`error: ${error.stack}`));
  page.on("dialog", (dialog) => {
    page.trouble.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    if (/Content Security Policy|TrustedHTML|TrustedScript/.test(message.text())) {
      page.trouble.push(message.text());
    }
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(base) && !request.url().startsWith("blob:")) {
      page.trouble.push(`a request to ${request.url()}`);
    }
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
        console.error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  await page.goto(`${base}/ui/${token === null ? "" : `#token=${encodeURIComponent(token)}`}`);
  if (token !== null) {
    await page.waitForSelector("main h1:not(:text('Sign in'))");
    await visit(page, hash);
  }
  return page;
}

async function visit(page, hash) {
  await page.evaluate((next) => {
    location.hash = next;
  }, hash);
  await settled(page);
}

// Nothing is loading any more.
async function settled(page) {
  await page.waitForTimeout(60);
  await page.waitForFunction(() => !document.querySelector("[aria-busy=true]") &&
      !document.body.textContent.includes("Counting …"), null, { timeout: 20000 });
}

async function close(page) {
  assert.deepEqual(page.trouble, []);
  await page.context().close();
}

// What tools/tally_check.py says of a bundle that was fetched as a tar file.
async function checked(bytes) {
  const where = await mkdtemp(join(tmpdir(), "tally-bundle-"));
  try {
    await writeFile(join(where, "bundle.tar"), bytes);
    await writeFile(join(where, "trust"),
        await (await fetch(`${base}/v1/trust`,
            { headers: { Authorization: `Bearer ${options.token}` } })).text());
    execFileSync("tar", ["-xf", "bundle.tar"], { cwd: where });
    const checker = new URL("../../tools/tally_check.py", import.meta.url).pathname;
    const words = execFileSync("python3", [checker, "tally-bundle", "--trust", "trust"],
        { cwd: where, encoding: "utf8" });
    return /VERIFIED|TAMPERED|UNVERIFIABLE/.exec(words)?.[0];
  } finally {
    await rm(where, { recursive: true });
  }
}

const rows = (page) => page.locator(".results tbody tr").count();
const firstRecord = async (query) => (await call("GET", `/v1/events?limit=1&${query}`)).items[0];

// ---- Signing in --------------------------------------------------------------------------------

test("a token in the fragment signs in and leaves the address at once", async () => {
  const page = await open();
  assert.ok(!page.url().includes("token"));
  assert.ok(!(await page.evaluate(() => JSON.stringify(history.state) + document.referrer))
      .includes("token"));
  await page.reload();
  await page.waitForSelector(".results tbody tr");
  await close(page);
});

test("a wrong token is refused in words, a right one is let in", async () => {
  const page = await open({ token: null });
  await page.getByLabel("Token").fill("\u202etoken");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Token").fill("tally_nobody_x");
  const answered = page.waitForResponse((reply) => reply.url().endsWith("/v1/whoami"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await answered;
  await page.getByRole("alert").getByText("not known").waitFor();
  // The form is made anew with each refusal: what is typed into the old one is gone.
  await page.waitForFunction(() => document.activeElement?.id === "token"
    && document.activeElement.value === "");
  await page.getByLabel("Token").fill(options.token);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".results tbody tr");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Token").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await close(page);
});

test("a token that is revoked leads back to the sign-in", async () => {
  const made = await makeToken("reader");
  const page = await open({ token: made.token });
  await call("DELETE", `/v1/tokens/${made.id}`);
  await page.getByRole("link", { name: "Integrity" }).click();
  await page.getByRole("alert").getByText("not known any more").waitFor();
  await close(page);
});

test("a role is offered only what it may do", async () => {
  const menu = async (role, more) => {
    const page = await open({ token: (await makeToken(role, more)).token });
    await settled(page);
    const links = await page.locator("#menu a").allTextContents();
    if (role === "reader" && !more) {
      await visit(page, "#/lifecycle");
      assert.equal(await page.getByText("Set a hold").count(), 0);
      await visit(page, "#/admin");
      assert.equal(await page.getByRole("heading", { name: "Tokens" }).count(), 0);
    }
    await close(page);
    return links;
  };
  assert.deepEqual(await menu("reader"), ["Search", "Live", "Integrity", "Lifecycle", "Status"]);
  assert.deepEqual(await menu("auditor"),
      ["Search", "Live", "Integrity", "Lifecycle", "Export", "Status"]);
  assert.deepEqual(await menu("reader", { tenants: ["acme"] }), ["Search", "Live"]);
  assert.deepEqual(await menu("writer"), []);
});

test("a token limited to a tenant sees that tenant's events and their proofs", async () => {
  const page = await open({ token: (await makeToken("reader", { tenants: ["acme"] })).token });
  await settled(page);
  assert.ok(await rows(page) > 10);
  await page.locator("a.record").first().click();
  await page.locator(".verdict").waitFor();
  assert.match(await page.locator(".verdict").textContent(), /in the tree of/);
  await close(page);
});

// ---- Search ------------------------------------------------------------------------------------

test("filters go into the address and come back from it", async () => {
  const page = await open();
  await page.getByLabel("Field").selectOption("actor_id");
  await page.getByLabel("Value of Actor id").fill("u2");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByText("Actor id u2").waitFor();
  await settled(page);
  await page.getByLabel("Field").selectOption("outcome");
  await page.getByLabel("Value of Outcome").selectOption("failure");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await settled(page);
  assert.match(page.url(), /actor_id=u2&outcome=failure/);
  const few = await page.locator(".count").textContent();
  const { count } = await call("GET", "/v1/count?actor_id=u2&outcome=failure");
  assert.equal(few, `${count} events`);
  await page.reload();
  await page.getByText("Actor id u2").waitFor();
  await settled(page);
  assert.equal(await page.locator(".count").textContent(), few);
  await page.getByRole("button", { name: "Remove filter Outcome" }).click();
  await settled(page);
  assert.match(page.url(), /actor_id=u2$/);
  await page.goBack();
  await settled(page);
  assert.equal(await page.locator(".count").textContent(), few);
  await close(page);
});

test("absence, words, prefixes and control records can be asked for", async () => {
  const page = await open();
  await page.getByLabel("Field").selectOption("tenant_id");
  await page.getByLabel("Condition").selectOption("absent");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByText("Nothing fits").waitFor();
  await visit(page, "#/search?action=invoice.*");
  assert.match(await page.locator(".results").textContent(), /invoice\.(paid|create)/);
  await visit(page, "#/search?kind=hold");
  assert.match(await page.locator(".results").textContent(), /\[hold\]/);
  await visit(page, "#/search");
  await page.getByLabel("Words", { exact: true }).fill("permitted");
  await page.keyboard.press("Enter");
  await settled(page);
  assert.match(page.url(), /text=permitted/);
  assert.ok(await rows(page) > 5);
  await close(page);
});

test("a time that makes no sense is refused with title, advice and request id", async () => {
  const page = await open();
  await page.locator("#filter-span").selectOption("custom");
  await page.getByLabel("Occurred from").fill("yesterdayish");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  const box = page.locator(".problem").first();
  await box.waitFor();
  assert.match(await box.textContent(), /Correct what is named.*Request \S+/);
  await close(page);
});

test("a range is dragged on the timeline, and chosen with the keyboard", async () => {
  const page = await open({ hash: "#/search?from=-60d" });
  await settled(page);
  const box = await page.locator("#histogram").boundingBox();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 30);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.8, box.y + 30, { steps: 5 });
  await page.mouse.up();
  await settled(page);
  assert.match(page.url(), /from=20\d\d-\d\d-\d\d&to=20\d\d-\d\d-\d\d/);
  await page.locator("#histogram").focus();
  await page.keyboard.press("End");
  await page.keyboard.press("Shift+ArrowLeft");
  await page.keyboard.press("Enter");
  await settled(page);
  const [, from, to] = /from=([\d-]+)&to=([\d-]+)/.exec(page.url());
  assert.equal((Date.parse(to) - Date.parse(from)) / 86400000, 2);
  await close(page);
});

test("up to three days are drawn, and chosen, by hours", async () => {
  const page = await open({ hash: "#/search?from=-3d" });
  await settled(page);
  const drawing = page.locator("#histogram");
  assert.match(await drawing.getAttribute("aria-label"), /^Events by hour, .*:00 UTC to .*:00 UTC/);
  assert.ok(await drawing.locator(".bar").count() > 24);
  await drawing.focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("Enter");
  await settled(page);
  const bounds = new URLSearchParams(page.url().split("?")[1]);
  assert.match(bounds.get("from"), /T\d\d:00:00Z$/);
  assert.equal(Date.parse(bounds.get("to")) - Date.parse(bounds.get("from")), 2 * 3600000);
  await visit(page, "#/search?from=-7d");
  assert.match(await drawing.getAttribute("aria-label"), /^Events by day/);
  await close(page);
});

test("more rows load as one scrolls, each once", async () => {
  const page = await open();
  await settled(page);
  for (let round = 0; round < 8; round += 1) {
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await page.waitForTimeout(250);
  }
  const links = await page.locator("a.record").evaluateAll((all) => all.map((one) => one.hash));
  assert.ok(links.length >= 200, `${links.length} rows`);
  assert.equal(new Set(links).size, links.length);
  await close(page);
});

test("columns are chosen, searches are saved, and both stay", async () => {
  const page = await open();
  await page.getByText("Columns").click();
  await page.getByLabel("Tenant", { exact: true }).check();
  await page.getByRole("button", { name: "Show these" }).click();
  await settled(page);
  await page.getByRole("columnheader", { name: "Tenant" }).waitFor();
  await visit(page, "#/search?outcome=failure");
  await page.getByText("Saved").click();
  await page.getByRole("textbox", { name: "Name" }).fill("<b>failures</b>");
  await page.getByRole("button", { name: "Save this search" }).click();
  await visit(page, "#/search");
  await page.reload();
  await page.getByRole("columnheader", { name: "Tenant" }).waitFor();
  await page.getByText("Saved").click();
  await page.getByRole("button", { name: "<b>failures</b>", exact: true }).click();
  await settled(page);
  assert.match(page.url(), /outcome=failure/);
  await close(page);
});

test("a count that was capped is shown as such, and counted out on demand", async () => {
  const page = await open({ token: null });
  await page.route(/\/v1\/count/, (route) =>
      route.fulfill({ json: route.request().url().includes("exact") ? { count: 812345, exact: true }
      : { count: 10000, exact: false } }));
  await page.getByLabel("Token").fill(options.token);
  await page.keyboard.press("Enter");
  await page.getByText("10,000+ events").waitFor();
  const asked = page.waitForRequest((one) => one.url().includes("/v1/stats") && !one.url()
      .includes("from="));
  await page.getByRole("button", { name: "Draw all days" }).click();
  await asked;
  await page.locator("#histogram").waitFor();
  await page.getByRole("button", { name: "Count all" }).click();
  await page.getByText("812,345 events").waitFor();
  await close(page);
});

test("a page that is not complete says so, and a server that is away is named", async () => {
  const page = await open();
  await page.route(/\/v1\/events\?/, (route) =>
      route.fulfill({ json: { items: [], complete: false,
      problem: { detail: "<i>index</i> is behind" } } }));
  await visit(page, "#/search?outcome=success");
  await page.getByText("<i>index</i> is behind").waitFor();
  await page.unroute(/\/v1\/events\?/);
  await page.route(/\/v1\/events\?/, (route) => route.abort());
  await visit(page, "#/search?outcome=failure");
  await page.getByText("The server did not answer").waitFor();
  await close(page);
});

// ---- Records -----------------------------------------------------------------------------------

test("a record is read, its changes compared, its relations found", async () => {
  const page = await open();
  const item = await firstRecord("action=user.role.update&actor_id=u2");
  await visit(page, `#/record/${item.seq}`);
  const words = await page.locator("main").textContent();
  assert.match(words, /Jürgen Müller/);
  assert.match(words, /\/role≠ changedreaderadmin/);
  assert.match(words, /\/limit− removed10not there/);
  assert.match(words, /\/active\+ addednot theretrue/);
  await page.getByText("Same actor").click();
  await page.getByRole("link", { name: "All of them" }).waitFor();
  assert.ok(await page.locator("details a.record").count() >= 3);
  await page.getByText("Raw canonical JSON").click();
  await page.locator("details pre").waitFor();
  assert.deepEqual(JSON.parse(await page.locator("details pre").textContent()), item.event);
  await page.locator(".find").first().click();
  await settled(page);
  assert.match(page.url(), /actor_id=u2/);
  await close(page);
});

test("the evidence is checked in the browser, and says what was not", async () => {
  const page = await open();
  const item = await firstRecord("action=invoice.paid");
  await visit(page, `#/event/${encodeURIComponent(item.id)}`);
  await page.locator(".verdict.ok").getByText("holds what is shown").waitFor();
  const list = await page.locator(".checks li").allTextContents();
  const of = (name) => list.find((one) => one.slice(1).startsWith(name));
  for (const name of ["Leaf", "Position", "Time of recording", "Kind", "Id", "Content", "Origin",
      "Inclusion", "Signature of the log key"]) {
    assert.match(of(name), /^✓.* checked\./, name);
  }
  assert.match(of("Whose key"), /not checked/);
  const [download] = await Promise.all([page.waitForEvent("download"),
      page.getByRole("button", { name: "Download the proof" }).click()]);
  assert.match(await readFile(await download.path(), "utf8"), /^c2sp\.org\/tlog-proof@v1\n/);
  await page.getByRole("button", { name: "Have this record verified" }).click();
  await page.getByText("✓ VERIFIED").waitFor({ timeout: 20000 });
  await close(page);
});

// Every part of the evidence, changed by one bit: none may pass.
test("evidence that was changed anywhere is reported as wrong", async () => {
  const page = await open();
  const item = await firstRecord("action=invoice.paid");
  const flip = (base64, at) => {
    const bytes = Buffer.from(base64, "base64");
    bytes[at] ^= 1;
    return bytes.toString("base64");
  };
  const line = (text, index, change) => text.split("\n")
      .map((one, at) => (at === index ? change(one) : one)).join("\n");
  const last = (one, at) => one.replace(/\S+$/, (word) => flip(word, at));
  const signature = (text) => text.split("\n").findIndex((one) => one.startsWith("\u2014"));
  const changes = {
    "a byte of the leaf": (text) => line(text, 1, (one) => last(one, 50)),
    "the leaf's id": (text) => line(text, 1, (one) => last(one, 33)),
    "the position": (text) => line(text, 2,
        (one) => one.replace(/\d+/, (n) => String(Number(n) + 1))),
    "a hash of the path": (text) => line(text, 4, (one) => flip(one, 3)),
    "the path cut short": (text) => text.split("\n").filter((_, at) => at !== 4).join("\n"),
    "the size": (text) => line(text, text.split("\n").indexOf("") + 2, (one) =>
        String(Number(one) + 1)),
    "the root": (text) => line(text, text.split("\n").indexOf("") + 3, (one) => flip(one, 0)),
    "the origin": (text) => line(text, text.split("\n").indexOf("") + 1, (one) => `${one}x`),
    "the log key's signature": (text) => line(text, signature(text), (one) => last(one, 40)),
    "the epoch key's signature": (text) => line(text, signature(text) + 1, (one) => last(one, 40)),
    "nonsense": () => "c2sp.org/tlog-proof@v1\nextra !!\n",
  };
  let change = null;
  await page.route(/\/proof$/, async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: change(await answer.text()) });
  });
  for (const [name, how] of Object.entries(changes)) {
    change = how;
    await visit(page, "#/search");
    await visit(page, `#/record/${item.seq}`);
    await page.locator(".verdict").waitFor();
    assert.equal(await page.locator(".verdict.bad").count(), 1,
        `${name}: ${await page.locator(".verdict").textContent()}`);
  }
  // And with a sound proof, a record that is not the one it is about.
  change = (text) => text;
  const forgeries = { recorded_at: "2020-01-01T00:00:00.000001Z", leaf_hash: "00".repeat(32),
    seq: item.seq + 1, kind: "hold", origin: "elsewhere.example/x", event: { ...item.event, id: "x" } };
  for (const [name, value] of Object.entries(forgeries)) {
    await page.route(new RegExp(`/v1/records/${item.seq}$`), (route) =>
      route.fulfill({ json: { ...item, [name]: value } }));
    await page.route(new RegExp(`/v1/records/${item.seq + 1}/proof$`), async (route) =>
      route.fulfill({ response: await route.fetch({
        url: `${base}/v1/records/${item.seq}/proof` }) }));
    await visit(page, "#/search");
    await visit(page, `#/record/${item.seq}`);
    await page.locator(".verdict.bad").waitFor();
    await page.unrouteAll();
  }
  await close(page);
});

// A server in between that shows another content than the leaf commits to, and opens it as it likes.
test("content that was changed anywhere is reported as wrong", async () => {
  const page = await open();
  const item = await firstRecord("action=user.role.update");
  const other = await firstRecord("action=invoice.paid");
  const path = `/v1/records/${item.seq}`;
  const fetched = async (where) => (await fetch(base + where,
      { headers: { Authorization: `Bearer ${options.token}` } })).text();
  const [record, opening] = [await fetched(path), await fetched(`${path}/opening`)];
  const foreign = await fetched(`/v1/records/${other.seq}/opening`);
  const flip = (base64) => {
    const bytes = Buffer.from(base64, "base64");
    bytes[0] ^= 1;
    return bytes.toString("base64");
  };
  const opened = (change) => {
    const made = JSON.parse(opening);
    change(made);
    return [record, JSON.stringify(made)];
  };
  const member = (made, pointer) => made.members.find((one) => one.p === pointer);
  const shown = (from, to) => {
    assert.ok(record.includes(from), from);
    return [record.replace(from, to), opening];
  };
  const event = `"event":${JSON.stringify(item.event)}`;
  const fake = JSON.stringify({ ...item.event, action: "user.login" });
  const cases = {
    "another value": shown('"action":"user.role.update"', '"action":"user.role.uqdate"'),
    "a member more": shown('"event":{', '"event":{"_":1,'),
    "a member less": shown('"severity":', '"sever":'),
    "an erasable value": shown('"role":"admin"', '"role":"owner"'),
    "a space": shown('"event":{', '"event":{ '),
    "the event twice": shown('"event":{', `"event":${fake},"event":{`),
    "the event twice, the other way": [record.replace(/\}$/, `,"event":${fake}}`), opening],
    "the event under an escaped name": shown(event, `"x":1,${event},"\\u0065vent":${fake}`),
    "a payload as well": shown(event, `"event": ${fake},${event.replace("event", "payload")}`),
    "a payload before it": shown(event, `"payload":${fake},${event}`),
    "called partly erased": shown('"state":"present"', '"state":"partial"'),
    "members called erased": shown('"state":"present"',
        '"state":"present","erased":["/metadata"]'),
    "another id beside it": shown('"id":', '"id":"x","was":'),
    "another time beside it": shown(/"time":"[^"]*"/.exec(record)[0],
        '"time":"2020-01-01T00:00:00.000000Z"'),
    "the salt of the rest": opened((made) => {
      made.salt = flip(made.salt);
    }),
    "the salt of a member": opened((made) => {
      member(made, "/metadata").s = flip(member(made, "/metadata").s);
    }),
    "the value of a member": opened((made) => {
      member(made, "/metadata").v = "{}";
    }),
    "the rest": opened((made) => {
      made.rest = made.rest.replace("user.role.update", "user.role.uqdate");
    }),
    "a member left out": opened((made) => {
      made.members.pop();
    }),
    "a member as its digest": opened((made) => {
      Object.assign(member(made, "/metadata"), { d: flip(made.leaf).slice(0, 43) + "=", v: undefined });
    }),
    "the leaf in the opening": opened((made) => {
      made.leaf = flip(made.leaf);
    }),
    "the position in the opening": opened((made) => {
      made.seq += 1;
    }),
    "the opening of another record": [record, foreign],
    "nonsense": [record, "{}"],
    "record and opening alike": [record.replaceAll("as ordered", "as asked"),
      opening.replaceAll("as ordered", "as asked")],
  };
  let served = null;
  const route = (pattern, which) => page.route(new RegExp(`${pattern}$`), (one) =>
      one.fulfill({ body: served[which], contentType: "application/json" }));
  await route(path, 0);
  await route(`${path}/opening`, 1);
  served = [record, opening];
  await visit(page, `#/record/${item.seq}`);
  await page.locator(".verdict.ok").waitFor();
  for (const [name, how] of Object.entries(cases)) {
    served = how;
    await visit(page, "#/search");
    await visit(page, `#/record/${item.seq}`);
    await page.locator(".verdict").waitFor();
    assert.equal(await page.locator(".verdict.bad").count(), 1,
        `${name}: ${await page.locator(".verdict").textContent()}`);
  }
  served = [record, opening];
  await page.route(/\/opening$/, (one) => one.fulfill({ status: 404, json: { status: 404 } }));
  await visit(page, "#/search");
  await visit(page, `#/record/${item.seq}`);
  await page.locator(".verdict.part").getByText("its content was not compared").waitFor();
  await close(page);
});

// Names like __proto__, numbers as names, marks of direction: what is shown is put together exactly.
test("the content of each hostile event is checked", async () => {
  const page = await open();
  const results = await page.evaluate(async (token) => {
    const { checkRecord } = await import("/ui/proof.js");
    const fetched = async (path) => (await fetch(path,
        { headers: { Authorization: `Bearer ${token}` } })).text();
    const { items } = JSON.parse(await fetched("/v1/events?action=hostile.*&limit=1000"));
    return Promise.all(items.map(async ({ seq }) => {
      const path = `/v1/records/${seq}`;
      const [words, proof, opening] = await Promise.all(["", "/proof", "/opening"]
          .map((end) => fetched(path + end)));
      const canonical = words.slice(words.indexOf(',"event":') + 9, -1);
      const { checks } = await checkRecord(JSON.parse(words), proof, null, canonical, opening);
      return checks.find((one) => one.name === "Content");
    }));
  }, options.token);
  assert.ok(results.length >= 100);
  assert.deepEqual(results.filter((one) => one.result !== "ok"), []);
  await close(page);
});

test("without the means to check, nothing is called checked", async () => {
  const page = await open();
  const item = await firstRecord("action=invoice.paid");
  await page.route(/\/v1\/trust$/, (route) =>
      route.fulfill({ status: 403, json: { title: "no", status: 403, code: "forbidden" } }));
  await visit(page, `#/record/${item.seq}`);
  await page.locator(".verdict.none").getByText("who signed it was not checked").waitFor();
  await page.addInitScript(() => Object.defineProperty(crypto, "subtle", { value: undefined }));
  await page.reload();
  await page.locator(".verdict.none").getByText("Could not be checked").waitFor();
  assert.equal(await page.locator(".checks li").count(), 0);
  await close(page);
});

// The small log of the vectors has closed epochs; its proofs are made here from the leaves.
test("the epochs are followed from the first key to the newest, and every break is found", async () => {
  const log = new URL("../vectors/log702/", import.meta.url);
  const vector = (name) => readFile(new URL(name, log));
  const hash = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
  const leaves = [];
  for (const tile of ["000", "001", "002.p/190"]) {
    for (let rest = await vector(`tile/entries/${tile}`); rest.length > 0;) {
      const end = 2 + rest.readUInt16BE();
      leaves.push(rest.subarray(2, end));
      rest = rest.subarray(end);
    }
  }
  const split = (count) => 2 ** Math.ceil(Math.log2(count) - 1);
  const root = (part) => (part.length === 1 ? hash(Buffer.from([0]), part[0])
      : hash(Buffer.from([1]), root(part.slice(0, split(part.length))),
          root(part.slice(split(part.length)))));
  const pathOf = (index, part) => {
    const half = split(part.length);
    return part.length === 1 ? [] : index < half
        ? [...pathOf(index, part.slice(0, half)), root(part.slice(half))]
        : [...pathOf(index - half, part.slice(half)), root(part.slice(0, half))];
  };
  const text = async (name) => (await vector(name)).toString();
  const checkpoint = await text("checkpoint");
  const steps = [];
  for (const [seq, leaf] of leaves.entries()) {
    if (leaf[4] === 0x81) {
      const path = pathOf(seq, leaves).map((one) => `${one.toString("base64")}\n`).join("");
      steps.push({ seq, payload: JSON.parse(leaf.subarray(104)),
        seal: await text(`checkpoints/${seq + 1}`), leaf: leaf.toString("base64"), path });
    }
  }
  assert.ok(steps.length >= 2);
  const flip = (base64, at) => {
    const bytes = Buffer.from(base64, "base64");
    bytes[at] ^= 1;
    return bytes.toString("base64");
  };
  const page = await open();
  const trust = await text("trust.txt");
  const follow = (list, file = trust) => page.evaluate(async ([all, newest, keys]) => {
    const { followEpochs } = await import("/ui/epochs.js");
    const { checkNewest, forget } = await import("/ui/proof.js");
    const origin = newest.split("\n")[0];
    const at = (seq) => all.find((one) => one.seq === seq);
    const signed = async () => (await checkNewest(newest, keys, () => "")).checks
        .find((one) => one.name === "Signature of the epoch key").result;
    forget(origin);
    const before = await signed();
    let broken = "";
    try {
      await followEpochs(origin, keys, { records: (after) => all.filter((one) => one.seq > after),
        proof: (seq) => `c2sp.org/tlog-proof@v1\nextra ${at(seq).leaf}\nindex ${seq}\n`
          + `${at(seq).path}\n${newest}`,
        seal: (size) => at(size - 1).seal });
    } catch (error) {
      broken = error.message;
    }
    const after = await signed();
    forget(origin);
    return { before, broken, after };
  }, [list, checkpoint, file]);
  assert.deepEqual(await follow(steps), { before: "none", broken: "", after: "ok" });
  const lineOf = (seal, index, change) => seal.split("\n").map((line, at) =>
      (at === index ? line.replace(/\S+$/, change) : line)).join("\n");
  const epochLine = (change) => (step) => ({ ...step, seal: lineOf(step.seal, 5, change) });
  const other = trust.replace("/epoch/0+c2b9d91e+BEym", "/epoch/0+c2b9d91e+BEyn");
  const breaks = {
    "the next key": (step) => ({ ...step, leaf: flip(step.leaf, 104 + 75) }),
    "the time in the leaf": (step) => ({ ...step, leaf: flip(step.leaf, 19) }),
    "the position in the leaf": (step) => ({ ...step, leaf: flip(step.leaf, 15) }),
    "the time of the seal": epochLine((word) => flip(word, 11)),
    "the seal's signature": epochLine((word) => flip(word, 50)),
    "the seal's root": (step) => ({ ...step, seal: step.seal.replace(/^\S{44}$/m,
        (word) => flip(word, 3)) }),
    "the seal without the epoch's line": (step) => ({ ...step,
        seal: step.seal.split("\n").filter((_, at) => at !== 5).join("\n") }),
    "another seal": (step) => ({ ...step, seal: checkpoint }),
    "the path": (step) => ({ ...step, path: step.path.replace(/^\S{44}$/gm,
        (word) => flip(word, 0)) }),
  };
  for (const [name, how] of Object.entries(breaks)) {
    for (const index of [0, steps.length - 1]) {
      const result = await follow(steps.map((step, at) => (at === index ? how(step) : step)));
      assert.notEqual(result.broken, "", name);
      assert.equal(result.after, "none", name);
    }
  }
  const left = await follow(steps.slice(0, -1));
  assert.deepEqual([left.broken, left.after], ["", "none"]);
  assert.notEqual((await follow(steps.slice(1))).broken, "");
  assert.notEqual((await follow(steps, other)).broken, "");
  const spoilt = checkpoint.split("\n").map((line) => (line.includes("/epoch/56 ")
      ? line.replace(/\S+$/, (word) => flip(word, 60)) : line)).join("\n");
  assert.notEqual(spoilt, checkpoint);
  const result = await page.evaluate(async ([keys, newest, all]) => {
    const { checkNewest } = await import("/ui/proof.js");
    const origin = newest.split("\n")[0];
    const first = /#tally epoch (\S+)/.exec(keys)[1];
    localStorage.setItem("tally.epochs", JSON.stringify({ [origin]: { from: first,
      key: all.at(-1).payload.epoch_key, seq: all.at(-1).seq } }));
    return (await checkNewest(newest, keys, () => "")).checks
        .find((one) => one.name === "Signature of the epoch key").result;
  }, [trust, spoilt, steps]);
  assert.equal(result, "bad");
  await close(page);
});

test("a checkpoint that does not parse is a problem, not a blank", async () => {
  const page = await open();
  await page.route(/\/v1\/checkpoint/, (route) => route.fulfill({ body: "<b>nonsense</b>\n" }));
  await visit(page, "#/integrity");
  await page.getByText("The evidence does not parse").waitFor();
  await close(page);
});

test("control records and records without content show their evidence too", async () => {
  const page = await open();
  for (const query of ["kind=hold", "kind=erase", "kind=genesis", "state=erased",
      "state=partial"]) {
    const item = await firstRecord(query);
    await visit(page, `#/record/${item.seq}`);
    await page.locator(item.state === "erased" ? ".verdict.part" : ".verdict.ok").waitFor();
    if (item.state !== "erased") {
      assert.match((await page.locator(".checks li").allTextContents()).join("\n"),
          /✓Content checked/);
    }
  }
  await visit(page, "#/record/99999999");
  await page.getByRole("alert").waitFor();
  await close(page);
});

test("coming back from a record finds the same rows at the same place", async () => {
  const page = await open();
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  await page.waitForTimeout(600);
  const before = await rows(page);
  const link = page.locator("a.record").nth(60);
  await link.scrollIntoViewIfNeeded();
  await link.focus();
  const at = await page.evaluate(() => scrollY);
  await page.keyboard.press("Enter");
  await page.locator(".verdict").waitFor();
  await page.keyboard.press("Escape");
  await page.waitForSelector(".results tbody tr");
  await page.waitForTimeout(200);
  assert.ok(await rows(page) >= before);
  assert.ok(Math.abs(await page.evaluate(() => scrollY) - at) < 60);
  await close(page);
});

// ---- The other views ---------------------------------------------------------------------------

test("the tail shows what comes, holds it while paused, and keeps to its filters", async () => {
  const page = await open({ hash: "#/live" });
  await page.getByText("Connected.").waitFor();
  const write = (action) => call("POST", "/v1/events", { action, actor: { id: "<b>live</b>" } });
  await write("live.first");
  await page.getByText("live.first").waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await write("live.second");
  await page.getByText("1 waiting").waitFor();
  assert.equal(await page.getByText("live.second").count(), 0);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByText("live.second").waitFor();
  await visit(page, "#/live?action=live.wanted");
  await page.getByText("Connected.").waitFor();
  await write("live.other");
  await write("live.wanted");
  await page.locator("tbody").getByText("live.wanted").waitFor();
  assert.equal(await page.getByText("live.other").count(), 0);
  await close(page);
});

test("a tail that breaks off goes on where it was", async () => {
  const page = await open();
  const heard = [];
  let calls = 0;
  const record = (seq) =>
      `id: ${seq}\ndata: ${JSON.stringify({ time: "2026-01-01T00:00:00Z", seq, kind: "event",
        state: "present", event: { action: `cut.n${seq}` } })}\n\n`;
  await page.route(/\/v1\/tail/, (route) => {
    heard.push(route.request().headers()["last-event-id"] ?? null);
    calls += 1;
    return route.fulfill({ contentType: "text/event-stream", body: calls < 3
        ? `: hello\n\n${record(40 + calls)}` : record(43) });
  });
  await visit(page, "#/live");
  await page.getByText("cut.n43").waitFor({ timeout: 15000 });
  assert.deepEqual(heard.slice(0, 3), [null, "41", "42"]);
  await close(page);
});

test("a verification is started and watched; the checkpoint extends the one seen before",
    async () => {
  const page = await open({ hash: "#/integrity" });
  await page.getByText("Signature of the log key").waitFor();
  await page.getByRole("button", { name: "Start a verification" }).click();
  await page.locator(".card").getByText("✓ VERIFIED").first().waitFor({ timeout: 20000 });
  await page.locator("details summary").getByText("✓ VERIFIED").first().waitFor();
  await call("POST", "/v1/events", { action: "integrity.grow" });
  await visit(page, "#/search");
  await visit(page, "#/integrity");
  const seen = page.locator(".checks li").filter({ hasText: "Extends what was seen" });
  await seen.waitFor();
  assert.match(await seen.textContent(), /^✓/);
  assert.match((await page.locator(".checks li").filter({ hasText: "Whose key" }).textContent()),
      /^✓/);
  await page.evaluate(() => {
    const all = JSON.parse(localStorage.getItem("tally.seen"));
    Object.values(all)[0].root = "00".repeat(32);
    localStorage.setItem("tally.seen", JSON.stringify(all));
  });
  await call("POST", "/v1/events", { action: "integrity.grow" });
  await visit(page, "#/search");
  await visit(page, "#/integrity");
  assert.match(await page.locator(".checks li.bad").textContent(), /NOT how the ledger begins/);
  await close(page);
});

test("the reader's own trust file decides whose signatures count", async () => {
  const page = await open({ hash: "#/integrity" });
  const trust = await (await fetch(`${base}/v1/trust`,
      { headers: { Authorization: `Bearer ${options.token}` } })).text();
  const give = async (words) => {
    await page.getByText("What this browser trusts").click();
    await page.getByLabel("Your own trust file")
        .setInputFiles({ name: "trust.txt", mimeType: "text/plain", buffer: Buffer.from(words) });
    await settled(page);
  };
  await give(trust);
  await page.locator(".checks li").filter({ hasText: "Whose key" }).getByText("that you gave")
      .waitFor();
  // Another key under the same name: what the ledger's own key signed is then signed by nobody
  // known.
  const other = Buffer.from([1, ...Array(32).keys()]).toString("base64");
  await page.evaluate((key) => {
    const all = JSON.parse(localStorage.getItem("tally.pinned"));
    const [name] = Object.keys(all);
    all[name].trust = `log ${name}+00000000+${key}\n`;
    localStorage.setItem("tally.pinned", JSON.stringify(all));
  }, other);
  await visit(page, "#/search");
  await visit(page, `#/record/${(await firstRecord("action=invoice.paid")).seq}`);
  await page.locator(".verdict.none").getByText("who signed it was not checked").waitFor();
  await visit(page, "#/integrity");
  await page.getByText("What this browser trusts").click();
  await page.getByRole("button", { name: "Forget both" }).click();
  await settled(page);
  await page.locator(".checks li").filter({ hasText: "Whose key" })
      .getByText("came from this server").waitFor();
  await close(page);
});

test("findings of a verification name the record and the weight", async () => {
  const page = await open();
  const report = { verdict: "TAMPERED", checked: 9, expected: 9, qualifiers: ["unanchored"],
      contents: 9, skipped: 0, counts: { tampered: 1, unverifiable: 0, warnings: 0, notes: 0 },
    findings: [{ code: "CONTENT_MODIFIED", weight: "tampered", seq: 7, what: "<b>content</b>" }],
        checkpoint: { size: 9, time: "2026-01-01T00:00:00Z" } };
  await page.route(/verify\/last/, (route) =>
      route.fulfill({ json: { reports: [{ finished_at: "2026-01-01T00:00:00Z", by: "<i>x</i>",
      report }, { finished_at: "2025-12-31T00:00:00Z", by: "tally", verdict: "VERIFIED",
      scope: "range", checked: 4, findings: 0, report: null }], complete: false } }));
  await visit(page, "#/integrity");
  await page.getByText("What the ledger has on record of others cannot be read.").waitFor();
  await page.getByText("4 of ? records, 0 findings").waitFor();
  await page.getByText("Scope: range.").waitFor();
  await page.locator("summary").getByText("✗ TAMPERED").click();
  await page.getByText("CONTENT_MODIFIED").waitFor();
  assert.equal(await page.getByRole("link", { name: "7", exact: true }).getAttribute("href"),
      "#/record/7");
  await close(page);
});

test("gaps are drawn and listed", async () => {
  const page = await open();
  const payload = { count: 3, exact: false, from: "2026-01-01T00:00:00Z",
      to: "2026-01-02T00:00:00Z", reason: "<u>disk</u>" };
  await page.route(/\/v1\/events\?kind=gap/, (route) =>
      route.fulfill({ json: { items: [{ time: "2026-01-02T00:00:00Z", seq: 5, kind: "gap",
      state: "present", recorded_at: "2026-01-02T00:00:00Z", payload }], complete: true } }));
  await visit(page, "#/integrity");
  await page.getByText("at least 3").waitFor();
  assert.equal(await page.locator("rect.gap").count(), 1);
  await close(page);
});

test("retention rules are tried, a hold is previewed, set and released", async () => {
  const page = await open({ hash: "#/lifecycle" });
  await page.getByLabel("Rules, one a line").fill("retention.default_days=5");
  await page.getByRole("button", { name: "Try these rules" }).click();
  await page.getByText("Kept shorter").waitFor();
  await page.getByText("Set a hold").click();
  const card = page.locator("section")
      .filter({ has: page.getByRole("heading", { name: "Holds" }) });
  await card.getByLabel("Field").selectOption("actor_id");
  await card.getByLabel("Value of Actor id").fill("u3");
  await card.getByRole("button", { name: "Add", exact: true }).click();
  await card.getByText("Actor id u3").waitFor();
  await card.getByLabel("Name of the hold").fill("web:7");
  await card.getByLabel("Reason").fill("suit \u202e17");
  await card.getByRole("button", { name: "Preview" }).click();
  await card.getByText("Preview: nothing was changed.").waitFor();
  assert.ok(!JSON.stringify(await call("GET", "/v1/holds")).includes("web:7"));
  await card.getByRole("button", { name: "Set the hold" }).click();
  await card.getByText("Done.").waitFor();
  await card.getByRole("button", { name: "Release web:7" }).click();
  await card.getByRole("button", { name: "Release for good" }).click();
  await page.waitForFunction(() =>
      [...document.querySelectorAll("tr")].some((row) => row.textContent.includes("web:7") &&
      row.textContent.includes("released")));
  await close(page);
});

test("a purge is previewed, done, and stands in the history", async () => {
  const page = await open({ hash: "#/lifecycle" });
  const card = page.locator("section")
      .filter({ has: page.getByRole("heading", { name: "Purge", exact: true }) });
  await card.getByRole("button", { name: "Preview" }).click();
  await card.getByText("Preview: nothing was changed.").waitFor({ timeout: 20000 });
  await card.getByLabel("Reason").fill("time is over");
  assert.equal(await card.getByRole("button", { name: "Purge now" }).count(), 0,
      "a change of the form takes the preview back");
  await card.getByRole("button", { name: "Preview" }).click();
  await card.getByRole("button", { name: "Purge now" }).click({ timeout: 20000 });
  await card.getByText("Done.").waitFor({ timeout: 20000 });
  await card.getByRole("cell", { name: "time is over" }).or(card.locator("tbody tr")).first()
      .waitFor();
  await close(page);
});

test("a person is erased after a preview; a second person may have to sign", async () => {
  const page = await open({ hash: "#/lifecycle" });
  const card = page.locator("section")
      .filter({ has: page.getByRole("heading", { name: "Erasure requests" }) });
  await card.locator("summary").getByText("Erase", { exact: true }).click();
  await card.getByLabel("Subject").fill("target:key:7");
  await card.getByLabel("Reason").fill("request <b>9</b>");
  await card.getByRole("button", { name: "Preview" }).click();
  await card.getByText("Records that fit").waitFor({ timeout: 20000 });
  await page.route(/\/v1\/erasures/, (route) =>
      route.fulfill({ status: 409,
      json: { title: "A second person must sign", status: 409, code: "needs_second_person",
      request: "<sign>\nERASE\n" } }));
  await card.getByRole("button", { name: "Erase for good" }).click();
  await card.getByText("<sign>").waitFor();
  await card.getByLabel("Approval").waitFor();
  await page.unroute(/\/v1\/erasures/);
  await card.getByLabel("Approval").fill("abc");
  let sent = null; // nobody signed here, so the server is spared the approval
  await page.route(/\/v1\/erasures/, (route) => {
    sent = route.request().postDataJSON();
    return route.continue({ postData: JSON.stringify({ ...sent, approval: undefined }) });
  });
  await card.getByRole("button", { name: "Erase for good" }).click();
  await card.getByText("Done.").waitFor({ timeout: 20000 });
  assert.deepEqual(sent, { subject: "target:key:7", reason: "request <b>9</b>", dry_run: false,
    approval: "abc" });
  await card.locator("tbody").getByText("request <b>9</b>").waitFor();
  await close(page);
});

test("what is done is what was previewed, and nothing without a filter", async () => {
  const page = await open({ hash: "#/lifecycle" });
  await page.getByText("Set a hold").click();
  const card = page.locator("section").filter({ has: page.getByRole("heading", { name: "Holds" }) });
  const add = async (value) => {
    await card.getByLabel("Field").selectOption("actor_id");
    await card.getByLabel("Value of Actor id").fill(value);
    await card.getByRole("button", { name: "Add", exact: true }).click();
  };
  await card.getByLabel("Name of the hold").fill("web:8");
  await card.getByRole("button", { name: "Preview" }).click();
  await card.getByText("There is no filter").waitFor();
  await add("u4");
  await card.getByRole("button", { name: "Preview" }).click();
  await card.getByRole("button", { name: "Set the hold" }).waitFor();
  await add("u5");
  const sent = page.waitForRequest(/\/v1\/holds/);
  await card.getByRole("button", { name: "Set the hold" }).click();
  assert.deepEqual((await sent).postDataJSON().filter, { actor_id: ["u4"] });
  await card.getByText("Done.").waitFor();
  await call("DELETE", "/v1/holds/web:8", { reason: "test" });
  await close(page);
});

test("an export is saved if it is whole, and not if it is not", async () => {
  const page = await open({ hash: "#/export?actor_id=u2" });
  await settled(page);
  for (const format of ["ndjson", "json", "csv"]) {
    await page.getByLabel("Format").selectOption(format);
    const [download] = await Promise.all([page.waitForEvent("download"),
        page.getByRole("button", { name: "Export", exact: true }).click()]);
    const words = await readFile(await download.path(), "utf8");
    assert.ok(words.includes("u2") && !words.includes('"id":"u4"'), format);
    await page.getByText("Saved as").waitFor();
  }
  await page.route(/\/v1\/exports/, (route) => route.fulfill({ body: '{"seq":1}\n' }));
  await page.getByLabel("Format").selectOption("ndjson");
  await page.getByRole("button", { name: "Export", exact: true }).click();
  await page.getByText("The export is not whole").waitFor();
  await close(page);
});

test("a bundle is prepared, waited for elsewhere, and fetched as the server made it", async () => {
  const { token } = await makeToken("auditor");
  const page = await open({ token, hash: "#/export?actor_id=u2" });
  await settled(page);
  const card = page.locator("section", { hasText: "Prepared files" });
  await card.getByText("None since the server was started").waitFor();
  const box = page.getByLabel("Let the server prepare the file");
  assert.ok(!(await box.isChecked()) && !(await page.getByLabel("Reason").isVisible()));
  await page.getByLabel("Format").selectOption("bundle");
  assert.ok((await box.isChecked()) && (await box.isDisabled()));
  await page.getByLabel("Reason").fill("case 17");
  const sent = page.waitForRequest((one) => one.url().endsWith("/v1/exports"));
  await page.getByRole("button", { name: "Export", exact: true }).click();
  assert.deepEqual((await sent).postDataJSON(),
      { format: "bundle", filter: { actor_id: ["u2"] }, reason: "case 17" });
  await visit(page, "#/search");
  await visit(page, "#/export");
  await card.getByText("✓ done").waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"),
      card.getByRole("button", { name: "Download" }).click()]);
  assert.equal(download.suggestedFilename(), "tally-bundle.tar");
  const { jobs } = await call("GET", "/v1/jobs", undefined, token);
  const bytes = await readFile(await download.path());
  assert.equal(createHash("sha256").update(bytes).digest("hex"), jobs[0].result.sha256);
  assert.equal(await checked(bytes), "VERIFIED");
  await card.getByRole("button", { name: "Delete the file" }).click();
  await card.getByText("removed").waitFor();
  assert.equal(await card.getByRole("button", { name: "Download" }).count(), 0);
  await close(page);
});

test("who sees some tenants alone is offered downloads alone", async () => {
  const { token } = await makeToken("auditor", { tenants: ["acme"] });
  const page = await open({ token, hash: "#/export" });
  await settled(page);
  assert.equal(await page.getByLabel("Let the server prepare the file").count(), 0);
  assert.equal(await page.locator("#format option").count(), 3);
  await close(page);
});

test("an export that may be large goes straight into a file", async () => {
  const page = await open();
  await page.evaluate(() => {
    globalThis.written = [];
    globalThis.showSaveFilePicker = async () =>
        ({ name: "big.ndjson", createWritable: async () => ({
      write: async (part) => written.push(part.length), close: async () => written.push("closed"),
          abort: async () => written.push("dropped") }) });
  });
  await page.route(/\/v1\/count/, (route) =>
      route.fulfill({ json: { count: 10000, exact: false } }));
  await visit(page, "#/export");
  await page.getByRole("button", { name: "Export", exact: true }).click();
  await page.getByText("Saved as big.ndjson").waitFor();
  await page.route(/\/v1\/exports/, (route) => route.fulfill({ body: '{"seq":1}\n' }));
  await page.getByRole("button", { name: "Export", exact: true }).click();
  await page.getByText("The export is not whole").waitFor();
  const written = await page.evaluate(() => globalThis.written);
  assert.deepEqual(written.filter((one) => typeof one === "string"), ["closed", "dropped"]);
  await close(page);
});

test("a token is made, shown once, works, and is revoked", async () => {
  const page = await open({ hash: "#/admin" });
  await page.getByLabel("Name", { exact: true }).fill("<b>Ada</b> \u202e");
  await page.getByLabel("Role").selectOption("reader");
  await page.getByRole("button", { name: "Make a token" }).click();
  const token = await page.locator("code.token").textContent();
  assert.equal((await call("GET", "/v1/whoami", undefined, token)).role, "reader");
  const row = page.locator("tr").filter({ hasText: "<b>Ada</b>" });
  await row.waitFor();
  await row.getByRole("button", { name: "Revoke" }).click();
  await row.getByRole("button", { name: "Revoke at once" }).click();
  await row.waitFor({ state: "detached" });
  await assert.rejects(call("GET", "/v1/whoami", undefined, token));
  await close(page);
});

test("who fell silent is told first, and what no list of the policy names", async () => {
  const at = (hours) => new Date(Date.now() - hours * 3600000).toISOString();
  await call("POST", "/v1/events", [300, 299, 298, 297].map((hours) =>
      ({ action: "till.closed", occurred_at: at(hours), source: { service: "old-till" } })));
  const page = await open({ hash: "#/admin" });
  const card = page.locator("section", { has: page.getByRole("heading", { name: "Sources" }) });
  await card.locator("tr", { hasText: "old-till" }).getByText("! silent").waitFor();
  assert.ok((await card.locator("tbody tr").first().textContent()).includes("! silent"));
  await card.getByText("None was reported in the last 30 days.").waitFor();
  await page.route(/\/v1\/sources/, (route) => route.fulfill({ json: { sources: [],
    sources_cut: false, unlisted_cut: true, unlisted: [{ action: "<b>cart</b>\u202e", count: 7,
      last_at: at(1) }] } }));
  await visit(page, "#/search");
  await visit(page, "#/admin");
  await card.locator("tr", { hasText: "<b>cart</b>U+202E" }).getByText("7 times").waitFor();
  await card.getByText("There are others").waitFor();
  await page.unroute(/\/v1\/sources/);
  await page.route(/\/v1\/sources/, (route) => route.fulfill({ json: { sources_cut: false,
    unlisted_cut: false, unlisted: [], sources: Array.from({ length: 23 }, (_, index) =>
      ({ service: `till-${index}0`, events: 1, last_at: at(1), silent: index === 22,
        silent_after: 60 })) } }));
  await visit(page, "#/search");
  await visit(page, "#/admin");
  await card.getByText("3 more services").waitFor();
  assert.ok((await card.locator("tbody tr").first().textContent()).startsWith("till-220"));
  assert.equal(await card.locator("tr", { hasText: "till-210" }).isVisible(), false);
  await card.getByText("3 more services").click();
  await card.locator("tr", { hasText: "till-210" }).waitFor();
  await close(page);
});

test("status, spool, disk and schedules are told", async () => {
  const page = await open({ hash: "#/admin" });
  const words = await page.locator("main").textContent();
  for (const part of ["Disk free", "Events waiting", "Segments", "verify", "Version"]) {
    assert.ok(words.includes(part), part);
  }
  await close(page);
});

test("times are shown in UTC or in local time", async () => {
  const page = await open({ timezoneId: "Asia/Tokyo" });
  assert.match(await page.locator("td time").first().textContent(), /UTC$/);
  await page.getByRole("button", { name: "UTC" }).click();
  await settled(page);
  assert.match(await page.locator("td time").first().textContent(), /GMT\+9$/);
  await close(page);
});

// ---- Hostile contents --------------------------------------------------------------------------

test("two hundred hostile events are text in every list and view", async () => {
  const page =
      await open({ hash: "#/search?tag=hostile&cols=time,action,actor,target,outcome,severity,reason,"
        + "tenant,service,host,ip,transport,correlation,request,session,tags,id,seq" });
  for (let round = 0; round < 10 && await rows(page) < 200; round += 1) {
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await page.waitForTimeout(300);
  }
  const links = await page.locator("a.record").evaluateAll((all) => all.map((one) => one.hash));
  assert.equal(links.length, 200);
  for (const link of links) {
    await visit(page, link);
    await page.locator(".verdict.ok").waitFor();
    await page.evaluate(() => document.querySelectorAll("details").forEach((one) => {
      one.open = true;
    }));
    await settled(page);
    const found = await page.evaluate(() =>
        ({ pwned: globalThis.pwned, alien: document.querySelectorAll(
      "main :is(script,img,iframe,object,embed,link,meta,base,style,video,math,template,noscript)").length,
    attributes: [...document.querySelectorAll("main *")].flatMap((one) => [...one.attributes])
        .filter((one) => /^on|^style$|^srcdoc$/.test(one.name)).length,
    links: [...document.querySelectorAll("main a")].filter((one) => !one.getAttribute("href")
        .startsWith("#/")).length, title: document.title }));
    assert.deepEqual({ ...found, title: "" },
        { pwned: undefined, alien: 0, attributes: 0, links: 0, title: "" }, link);
  }
  await close(page);
});

test("hidden characters are made visible, and emoji stay whole", async () => {
  const page = await open({ hash: "#/search?action=hostile.n33" });
  await page.locator(".invisible").getByText("U+202E").first().waitFor();
  await visit(page, "#/search?action=hostile.n39");
  assert.match(await page.locator("td").nth(2).textContent(), /👨‍👩‍👧 𠮷😀/u);
  assert.equal(await page.locator("td").nth(2).locator(".invisible").count(), 0);
  const item = await firstRecord("action=hostile.n41");
  await visit(page, `#/record/${item.seq}`);
  await page.getByRole("button", { name: /show all 900 characters/ }).first().click();
  assert.match(await page.locator("dd").first().textContent(), /W{900}/);
  await close(page);
});

// ---- Keyboard, screen readers, phones ----------------------------------------------------------

test("everything is done with the keyboard alone", async () => {
  const page = await open();
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("/");
  await page.keyboard.type("permitted");
  await page.keyboard.press("Enter");
  await settled(page);
  assert.match(page.url(), /text=permitted/);
  assert.equal(await page.evaluate(() => document.activeElement.id), "filter-words",
      "the focus stays where it was");
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("j");
  assert.equal(await page.evaluate(() =>
      [...document.querySelectorAll("a.record")].indexOf(document.activeElement)), 1);
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid");
  await page.keyboard.press("Enter");
  await page.locator(".verdict").waitFor();
  await page.keyboard.press("Escape");
  await page.waitForSelector(".results");
  await page.waitForTimeout(200);
  assert.equal(await page.evaluate(() =>
      [...document.querySelectorAll("a.record")].indexOf(document.activeElement)), 1);
  await page.evaluate(() => document.activeElement.blur());
  await page.locator("body").press("Tab");
  await page.locator("#skip").focus();
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
  await close(page);
});

test("Tab reaches every control of every view", async () => {
  const page = await open();
  for (const view of VIEWS) {
    await visit(page, `#/${view}`);
    const count = await page.locator(CONTROLS).count();
    await page.locator("#skip").focus();
    for (let presses = 0; presses < count + 20; presses += 1) {
      await page.evaluate(() => {
        document.activeElement.dataset.reached = "1";
      });
      await page.keyboard.press("Tab");
    }
    // Of the results the first rows stand for all; what loads more rows goes as it is reached.
    const missed = await page.evaluate((controls) => [...document.querySelectorAll(controls)]
      .filter((one) => one.checkVisibility() && !one.disabled && !one.dataset.reached &&
        !one.closest(".results tr ~ tr ~ tr, .end"))
      .map((one) => one.outerHTML.slice(0, 120)), CONTROLS);
    assert.deepEqual(missed, [], view);
  }
  await close(page);
});

for (const colorScheme of ["light", "dark"]) {
  for (const viewport of [DESKTOP, PHONE]) {
    test(`axe finds nothing serious, ${colorScheme}, ${viewport.width} px`, async () => {
      const page = await open({ colorScheme, viewport });
      const item = await firstRecord("action=user.role.update");
      const hostile = await firstRecord("tag=hostile");
      for (const hash of [...VIEWS.map((view) => `#/${view}`), `#/record/${item.seq}`,
          `#/record/${hostile.seq}`, "#/search?tag=hostile&outcome=failure"]) {
        await visit(page, hash);
        await page.evaluate(() => document.querySelectorAll("details:not(.menu)").forEach((one) => {
          one.open = true;
        }));
        await settled(page);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() =>
            globalThis.axe.run({ resultTypes: ["violations"] }));
        const serious = violations.filter((one) => ["serious", "critical",
            "moderate"].includes(one.impact));
        assert.deepEqual(serious.map((one) =>
            `${hash} ${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160))}`), []);
      }
      page.trouble = page.trouble.filter((one) => !one.includes("axe"));
      await close(page);
    });
  }
}

test("no view scrolls sideways at 360 px, whatever it shows", async () => {
  const page = await open({ viewport: { width: 360, height: 740 } });
  const hostile = (await call("GET", "/v1/events?tag=hostile&limit=60")).items;
  const hashes = [...VIEWS.map((view) => `#/${view}`), "#/search?tag=hostile",
      ...hostile.map((item) => `#/record/${item.seq}`)];
  for (const hash of hashes) {
    await visit(page, hash);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 360, `${hash}: ${width} px`);
  }
  await close(page);
});

test("screenshots of every view are taken", async () => {
  const seqs = { record: (await firstRecord("action=user.role.update")).seq,
      hostile: (await firstRecord("action=hostile.n33")).seq };
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
      const page = await open({ colorScheme, viewport });
      const shot = (what, fullPage = true) =>
          page.screenshot({ path: `${options.shots}/${what}-${name}-${colorScheme}.png`,
          fullPage });
      for (const view of VIEWS) {
        await visit(page, `#/${view}`);
        await page.waitForTimeout(150);
        await shot(view, view !== "search");
      }
      for (const [what, seq] of Object.entries(seqs)) {
        await visit(page, `#/record/${seq}`);
        await page.locator(".verdict").waitFor();
        await shot(what);
      }
      await visit(page, "#/search?tag=hostile");
      await shot("search-hostile", false);
      await page.getByRole("button", { name: "Sign out" }).click();
      await shot("sign-in");
      await close(page);
    }
  }
});

addViewerTests({ test, base, port: Number(options["host-port"]), call, axe, shots: options.shots,
  context: (more) => browser.newContext({ viewport: DESKTOP, acceptDownloads: true, ...more }) });

// ---- Run ---------------------------------------------------------------------------------------

const chosen = tests.filter((one) => !options.only || one.name.includes(options.only));
let failed = 0;
browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"] });
console.log(`1..${chosen.length}`);
for (const [index, { name, run }] of chosen.entries()) {
  const began = Date.now();
  try {
    await run();
    console.log(`ok ${index + 1} - ${name}`);
    console.log(`# ${((Date.now() - began) / 1000).toFixed(1)} s`);
  } catch (error) {
    failed += 1;
    console.log(`not ok ${index + 1} - ${name}`);
    console.log(String(error.stack ?? error).replace(/^/gm, "# "));
    await Promise.all(browser.contexts().map((context) => context.close()));
  }
}
await browser.close();
process.exit(failed ? 1 : 0);
