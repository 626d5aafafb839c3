// One record: what it says, what it belongs to, and its evidence.

import { get, getText } from "./api.js";
import { badge, block, button, copyButton, facts, h, into, save, section, table, tableRow,
    text } from "./dom.js";
import { diffTable } from "./diff.js";
import { searchLink } from "./filters.js";
import { checkRecord } from "./proof.js";
import { actionOf, actorOf, COLUMNS, outcomeBadge, severityBadge, targetOf } from "./record.js";
import { between, when } from "./time.js";
import { verdictOf, verify } from "./verdict.js";

export const title = "Record";

export function render(params, { who, signal, path, back }) {
  const address = path[0] === "event" ? `/v1/events/${encodeURIComponent(path[1] ?? "")}`
      : `/v1/records/${encodeURIComponent(path[1] ?? "")}`;
  const place = h("div", { class: "stack" });
  into(place, async () => {
    const words = await getText(address, {}, signal);
    const item = JSON.parse(words);
    const canonical = canonicalOf(words);
    document.title = `${actionOf(item)} – Tallystick`;
    return [headline(item), what(item), changes(item), contents(item), related(item, signal),
      evidence(item, canonical, who, signal), canonical === null ? null : raw(item, canonical)];
  });
  return h("div", { class: "stack" },
    h("p", { class: "crumbs" }, h("a", { href: back, id: "back" }, "← Back")), place);
}

// The sealed bytes: what lies between "event": or "payload":, which comes last, and the final
// brace. Quotes within the strings before it are escaped, so the first such name is the member's.
function canonicalOf(words) {
  return /^[^]*?,"(?:event|payload)":(\{[^]*\})\}\s*$/.exec(words)?.[1] ?? null;
}

// A value that leads to all records that have it.
function same(pairs, value) {
  if (value === undefined) {
    return null;
  }
  return [text(value), " ",
      h("a", { class: "find", href: searchLink(pairs), "aria-label": "Find all with this value",
      title: "Find all with this value" }, "⌕")];
}

function headline(item) {
  const event = item.event;
  return h("header", { class: "headline" }, h("h2", {}, text(actionOf(item), { most: 200 })),
    h("p", { class: "row badges" }, event ? outcomeBadge(event.outcome) : badge("note", item.kind),
      event ? severityBadge(event.severity) : null, item.state === "present" ? null
          : badge("warning", `! ${stateWords(item)}`)),
    h("p", { class: "sentence" }, actorOf(item), event?.targets ? [" → ", targetOf(item)] : null,
        h("span", { class: "hint" }, " on "), when(item.time)));
}

function stateWords(item) {
  return { partial: "partly erased", erased: "content erased", purged: "content purged",
      evicted: "content dropped" }[item.state] ?? item.state;
}

function what(item) {
  const event = item.event ?? {};
  const actor = event.actor ?? {};
  const source = event.source ?? {};
  const targets = (event.targets ?? []).map((target) => h("li", {},
    same([["target_type", target.type ?? ""], ["target_id", target.id ?? ""]],
        [target.type, target.id].filter(Boolean).join(" ")),
    target.name ? [" ", text(target.name)] : null));
  const gone = item.erased?.length ? h("ul", {},
      item.erased.map((pointer) => h("li", {}, h("code", {}, text(pointer))))) : null;
  return section("What happened", facts([
    ["Who", event.actor ? [actor.name ? [text(actor.name), " "] : null,
        same([["actor_id", actor.id ?? ""]], actor.id), actor.type
        ? [" ", badge("note", text(actor.type))] : null] : null],
    ["Action", event.action ? same([["action", event.action]], event.action) : null],
    ["On what", targets.length ? h("ul", {}, targets) : null],
    ["When", when(event.occurred_at ?? item.time, true)],
    ["Took", event.started_at && event.ended_at ? between(event.started_at, event.ended_at) : null],
    ["Reason", event.reason],
    ["Service", same([["service", source.service]], source.service)],
    ["Host", same([["host", source.host]], source.host)],
    ["Address", same([["ip", source.ip]], source.ip)],
    ["User agent", source.user_agent],
    ["Transport", event.transport],
    ["Tenant", same([["tenant_id", event.tenant_id]], event.tenant_id)],
    ...["correlation", "causation", "request", "session", "trace", "span"].map((name) =>
        [name[0].toUpperCase() + name.slice(1),
      same([[`${name}_id`, event[`${name}_id`]]], event[`${name}_id`])]),
    ["Tags", event.tags ? h("ul", { class: "chips" },
        event.tags.map((tag) => h("li", {}, same([["tag", tag]], tag)))) : null],
    ["Erased", gone],
    ["Id", item.id],
  ]));
}

function changes(item) {
  const { old_values: before, new_values: after } = item.event ?? {};
  return before || after ? section("Old and new values", diffTable(before, after)) : null;
}

function contents(item) {
  const parts = ["request", "response", "metadata"].filter((name) =>
      item.event?.[name] !== undefined);
  const all = parts.map((name) => section(name[0].toUpperCase() + name.slice(1),
      block(JSON.stringify(item.event[name], null, 2))));
  return item.payload === undefined ? all
      : [section("Payload", block(JSON.stringify(item.payload, null, 2)))];
}

// ---- Related -----------------------------------------------------------------------------------

const FEW = 6;

function related(item, signal) {
  const event = item.event ?? {};
  const target = event.targets?.[0];
  const kinds = [
    ["Same actor", event.actor?.id === undefined ? null : [["actor_id", event.actor.id]]],
    ["Same target", target?.id === undefined ? null
        : [...(target.type ? [["target_type", target.type]] : []), ["target_id", target.id]]],
    ["Same correlation", event.correlation_id === undefined ? null
        : [["correlation_id", event.correlation_id]]],
  ].filter(([, pairs]) => pairs);
  return kinds.length === 0 ? null : section("Related events",
      kinds.map(([label, pairs]) => relatedList(label, pairs, item, signal)));
}

// Fetched when it is opened: each search is itself recorded.
function relatedList(label, pairs, item, signal) {
  const place = h("div");
  const node = h("details", { ontoggle: () => {
    if (node.open && !place.hasChildNodes()) {
      into(place, async () => {
        const page = await get("/v1/events", new URLSearchParams([...pairs, ["limit", FEW]]),
            signal);
        const names = ["time", "action", "actor", "target", "outcome"];
        const heads = names.map((name) => COLUMNS[name][0]);
        const others = page.items.filter((one) => one.seq !== item.seq);
        const list = table(label, heads, []);
        list.tBodies[0].append(...others.map((one) => tableRow(heads,
            names.map((name) => COLUMNS[name][1](one)))));
        return [others.length ? list : h("p", { class: "hint" }, "No others."),
            h("a", { href: searchLink(pairs) }, "All of them")];
      });
    }
  } }, h("summary", {}, label), place);
  return node;
}

// ---- Evidence ----------------------------------------------------------------------------------

function evidence(item, canonical, who, signal) {
  const result = h("div", { class: "stack" });
  const served = h("div", { class: "stack" });
  const proofPath = `/v1/records/${item.seq}/proof`;
  into(result, async () => {
    const [proof, trust, opening] = await Promise.all([getText(proofPath, {}, signal),
        ifGiven("/v1/trust", signal),
        item.event === undefined ? null : ifGiven(`/v1/records/${item.seq}/opening`, signal)]);
    return checkList(await checkRecord(item, proof, trust, canonical, opening));
  });
  const tools = h("div", { class: "row" },
    button("Download the proof", async () =>
        save(`record-${item.seq}.tlog-proof`, [await getText(proofPath, {}, signal)],
        "text/plain")));
  if (["auditor", "admin"].includes(who.role) && who.tenants.length === 0) {
    tools.append(button("Have this record verified by the server", () =>
        verifyHere(item, served, signal)));
  }
  return section("Evidence", result, tools, served, facts([
    ["Position", String(item.seq)], ["Recorded", when(item.recorded_at, true)],
        ["Leaf hash", h("code", {}, text(item.leaf_hash))],
    ["Ledger", item.origin], ["Kind", item.kind], ["State", item.state]]));
}

// A token may not read it; then the check says what was left out.
async function ifGiven(path, signal) {
  try {
    return await getText(path, {}, signal);
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    return null;
  }
}

const SIGNS = { ok: "✓", bad: "✗", none: "–", part: "◐" };
const WORDS = { ok: "checked", bad: "wrong", none: "not checked" };

export function checkList({ verdict, headline: words, checks }) {
  return [words ? h("p", { class: `verdict ${verdict}`, role: "status" },
      h("span", { "aria-hidden": "true" }, SIGNS[verdict]), " ", text(words)) : null,
    h("ul", { class: "checks" }, checks.map((one) => h("li", { class: one.result },
      h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[one.result]),
      h("span", {}, h("strong", {}, one.name),
          h("span", { class: "second" }, ` ${WORDS[one.result]}. `), text(one.detail)))))];
}

function verifyHere(item, place, signal) {
  const body = item.id === undefined ? { scope: "range", first: item.seq, last: item.seq }
    : { scope: "id", id: item.id };
  return verify(body, place, (report) => [h("h3", {}, "The server's word"), verdictOf(report)],
    signal);
}

// ---- Raw ---------------------------------------------------------------------------------------

function raw(item, canonical) {
  return h("details", { class: "card" }, h("summary", {}, h("h2", {}, "Raw canonical JSON")),
      block(canonical),
    h("div", { class: "row" }, copyButton(() => canonical),
        button("Download", () => save(`record-${item.seq}.json`, [canonical],
        "application/json"))));
}
