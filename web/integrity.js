// How sure one can be of the ledger: checkpoint, verifications, anchors, epochs, gaps, keys.

import { get, getText } from "./api.js";
import { hex } from "./bytes.js";
import { block, button, copyButton, facts, field, h, into, problemBox, save, section, select, svg,
    table, text } from "./dom.js";
import { followEpochs } from "./epochs.js";
import { checkList } from "./event.js";
import { checkNewest, forget, pin, remembered, signedAt } from "./proof.js";
import { outcomeBadge, recordLink } from "./record.js";
import { ago, duration, when } from "./time.js";
import { verdictBadge, verdictOf, verify } from "./verdict.js";

export function render(params, { who, signal }) {
  const reports = h("div");
  const part = (name, work) => {
    const place = h("div", { class: "stack" });
    into(place, work);
    return section(name, place);
  };
  const showReports = () => into(reports, () => lastReports(signal));
  const mayVerify = ["auditor", "admin"].includes(who.role);
  if (mayVerify) {
    showReports();
  }
  return h("div", { class: "stack" },
    checkpointCard(signal),
    mayVerify ? section("Verification", verifyForm(signal, showReports),
        h("h3", {}, "Last verifications"), reports) : null,
    part("Anchors", () => anchors(signal)),
    part("Gaps", () => gaps(signal)),
    part("Epochs", () => epochs(signal)),
    part("Keys", () => keys(signal)));
}

function checkpointCard(signal) {
  const place = h("div", { class: "stack" });
  const refresh = () => into(place, () => newest(signal, refresh));
  refresh();
  return section("Newest checkpoint", place);
}

async function newest(signal, refresh) {
  const [note, trust] = await Promise.all([getText("/v1/checkpoint", {}, signal),
      getText("/v1/trust", {}, signal)]);
  const { checkpoint, checks, trust: own } = await checkNewest(note, trust, (size) =>
      getText("/v1/consistency", { from: size }, signal));
  return [facts([["Ledger", checkpoint.origin], ["Records", checkpoint.size.toLocaleString("en")],
    ["Root", h("code", {}, text(hex(checkpoint.root)))],
        ["Signed", signedAt(checkpoint) ? when(signedAt(checkpoint)) : null]]),
  ...checkList({ checks }).filter(Boolean),
  checks.some((one) => one.name === "Signature of the epoch key" && one.result === "none")
    ? epochsBox(checkpoint.origin, own, signal, refresh) : null,
  h("div", { class: "row" }, copyButton(() => checkpoint.text, "Copy the checkpoint"),
    h("button", { type: "button", onclick: () =>
        save(`checkpoint-${checkpoint.size}.txt`, [checkpoint.text], "text/plain") }, "Download"),
    h("button", { type: "button", onclick: () => save("trust.txt", [trust], "text/plain") },
        "Download the trust file")),
  h("p", { class: "hint" },
      "Kept elsewhere, a checkpoint shows later that nothing before it was altered."),
  h("details", {}, h("summary", {}, "As it is"), block(checkpoint.text)),
  h("details", {}, h("summary", {}, "What this browser trusts and remembers"),
      memory(checkpoint, refresh))];
}

// Two requests for each epoch, of which one is recorded: only if it is asked for.
function epochsBox(origin, trust, signal, refresh) {
  const words = h("span", { role: "status" });
  const follow = button("Follow the epochs", async () => {
    try {
      await followEpochs(origin, trust, {
        records: async (after) => (await get("/v1/events", { kind: "epoch", dir: "asc",
            seq_from: after + 1, limit: 1000 }, signal)).items,
        proof: (seq) => getText(`/v1/records/${Number(seq)}/proof`, {}, signal),
        seal: (size) => getText("/v1/checkpoint", { size }, signal),
        each: (count) => {
          words.textContent = `${count} epochs followed …`;
        } });
      refresh();
    } catch (error) {
      if (error.name !== "AbortError") {
        words.replaceChildren(problemBox(error));
      }
    }
  });
  return h("div", { class: "row" }, follow, words);
}

// The reader's own trust file is what makes the checks of this page worth more than the server's
// word.
function memory(checkpoint, refresh) {
  const words = h("p", { role: "status" });
  const file = h("input", { type: "file", accept: ".txt,text/plain", onchange: async () => {
    try {
      const origin = pin(await file.files[0].text());
      words.textContent = `Kept for ${origin}.`;
      refresh();
    } catch (error) {
      words.textContent = `Not taken: ${error.message}.`;
    }
  } });
  const old = remembered(checkpoint.origin);
  return h("div", { class: "stack" },
      field("Your own trust file", file,
      "Signatures are then checked with its keys, not with those that the server sends."), words,
    old ? h("p", { class: "hint" },
        `The largest checkpoint seen here had ${old.size.toLocaleString("en")} records, `
          + `on ${old.at.slice(0, 10)}.`) : null,
    h("div", { class: "row" }, button("Forget both", () => {
      forget(checkpoint.origin);
      refresh();
    })));
}

// ---- Verification ------------------------------------------------------------------------------

function verifyForm(signal, done) {
  const place = h("div", { class: "stack" });
  const scope = select([["all", "Everything"], ["newest", "The newest …"],
      ["range", "From … to …"]], "all");
  const numberBox = (label) => h("input",
      { type: "number", min: "0", "aria-label": label, inputmode: "numeric" });
  const newestBox = numberBox("How many of the newest");
  const bounds = [numberBox("First position"), numberBox("Last position")];
  const more = { all: [], newest: [newestBox], range: bounds };
  const boxes = h("span", { class: "row" });
  scope.addEventListener("change", () => boxes.replaceChildren(...more[scope.value]));
  const submit = h("button", { type: "submit", class: "primary" }, "Start a verification");
  const form = h("form", { class: "row", onsubmit: async (event) => {
    event.preventDefault();
    submit.disabled = true;
    const body = { scope: scope.value };
    if (scope.value === "newest") {
      body.newest = Number(newestBox.value);
    } else if (scope.value === "range") {
      [body.first, body.last] = bounds.map((box) => Number(box.value));
    }
    if (await verify(body, place, verdictOf, signal)) {
      done();
    }
    submit.disabled = false;
  } }, field("What", scope), boxes, submit);
  return h("div", { class: "stack" }, form, place);
}

async function lastReports(signal) {
  const { reports, complete } = await get("/v1/verify/last", {}, signal);
  const more = complete === false
    ? h("p", { class: "hint" }, "What the ledger has on record of others cannot be read.") : null;
  if (reports.length === 0) {
    return [more, h("p", { class: "hint" },
        "None is on record. That says nothing, neither good nor bad.")];
  }
  return [more, ...reports.slice(0, 20).map(lastReport)];
}

function lastReport({ finished_at: at, by, verdict, scope, checked, findings, report }) {
  const summary = [verdictBadge(report ?? { verdict }), " ", when(at),
    h("span", { class: "second" }, " by ", text(by),
        `, ${checked ?? "?"} of ${report?.expected ?? "?"} records, `
          + `${findings ?? report?.findings?.length ?? "?"} findings`)];
  return report ? h("details", {}, h("summary", {}, ...summary), verdictOf(report))
      : h("p", { class: "hint" }, ...summary, `. Scope: ${scope ?? "not recorded"}. `,
          "The report itself is gone.");
}

// ---- Control records ---------------------------------------------------------------------------

const records = (kind, signal, limit = 100) => get("/v1/events", { kind, limit }, signal);

function moreHint(page, kind) {
  return page.next ? h("p", {},
      h("a", { href: `#/search?kind=${kind}` }, "Older ones are in the search.")) : null;
}

async function anchors(signal) {
  const [page, others, status] = await Promise.all([records("anchor", signal, 20),
    get("/v1/events", { action: "tally.anchor", limit: 20 }, signal),
        get("/v1/status", {}, signal)]);
  const list = [...page.items, ...others.items].sort((one, other) => other.seq - one.seq);
  const age = status.anchored_s === null || status.anchored_s === undefined ? "never"
      : `${duration(status.anchored_s)} ago`;
  const shown = facts([["Targets configured", String(status.anchor_targets ?? 0)],
    ["All of them took it", age]]);
  if (list.length === 0) {
    return [shown, h("p", { class: "hint" },
        "No anchor is in the ledger. Without one, or a checkpoint "
          + "kept elsewhere, a cut tail is not found.")];
  }
  return [shown, table("Anchors", ["Record", "When", "Kind", "Result", "Covers", "Where"],
      list.map((item) => {
    const about = item.payload ?? item.event?.metadata ?? {};
    return [recordLink(item, String(item.seq)), when(item.recorded_at), text(about.kind ?? "–"),
        outcomeBadge(item.event?.outcome ?? "success"),
      about.size === undefined ? "–" : `${about.size} records`,
          text(about.ref ?? about.target ?? "–")];
  })), moreHint(page, "anchor")];
}

async function epochs(signal) {
  const page = await records("epoch", signal, 20);
  if (page.items.length === 0) {
    return h("p", { class: "hint" }, "The first epoch is still open.");
  }
  return [table("Epochs that were closed", ["Record", "Closed", "Epoch", "Next"],
      page.items.map((item) => [
    recordLink(item, String(item.seq)), when(item.recorded_at), String(item.payload?.from ?? ""),
        String(item.payload?.to ?? "")])),
  moreHint(page, "epoch")];
}

async function gaps(signal) {
  const page = await records("gap", signal);
  if (page.items.length === 0) {
    return h("p", {}, h("span", { "aria-hidden": "true" }, "✓ "), "The ledger declares no gap.");
  }
  const cells = page.items.map((item) => [recordLink(item, String(item.seq)),
      when(item.payload?.from), when(item.payload?.to),
    `${item.payload?.exact === false ? "at least " : ""}${item.payload?.count ?? "?"}`,
        text(item.payload?.reason ?? ""), text(item.payload?.source ?? "")]);
  return [gapLine(page.items),
      table("Gaps", ["Record", "From", "To", "Events lost", "Why", "Source"], cells),
      moreHint(page, "gap")];
}

// When events were lost, from the first gap until now. The table below says the same in words.
function gapLine(items) {
  const spans = items.map((item) => [Date.parse(item.payload?.from), Date.parse(item.payload?.to)])
      .filter(([from, to]) => from <= to);
  if (spans.length === 0) {
    return null;
  }
  const first = Math.min(...spans.map(([from]) => from));
  const whole = Math.max(Date.now() - first, 1);
  return h("div", { class: "histogram" },
      svg("svg", { viewBox: "0 0 1000 24", preserveAspectRatio: "none", "aria-hidden": "true",
      class: "line" },
    svg("rect", { class: "back shown", x: 0, y: 10, width: 1000, height: 4 }),
    spans.map(([from, to]) => svg("rect",
        { class: "gap", x: ((from - first) / whole) * 1000, y: 2,
        width: Math.max(4, ((to - from) / whole) * 1000), height: 20 }))),
  h("div", { class: "axis", "aria-hidden": "true" },
      h("span", {}, ago(new Date(first).toISOString())), h("span", {}, "now")));
}

async function keys(signal) {
  const { keys: list } = await get("/v1/keys", {}, signal);
  return table("Keys", ["Kind", "Since", "Record", "Key"],
      list.map((key) => [text(key.kind), when(key.since),
    h("a", { href: `#/record/${Number(key.seq)}` }, String(key.seq)),
        h("code", {}, text(key.key))]));
}
