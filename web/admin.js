// How the server stands, and for administrators the tokens.

import { get, post, remove } from "./api.js";
import { announce, badge, button, copyButton, facts, field, h, into, section, select, table,
    text } from "./dom.js";
import { searchLink } from "./filters.js";
import { duration, when } from "./time.js";

export function render(params, { who, signal }) {
  const part = (name, work) => {
    const place = h("div", { class: "stack" });
    into(place, work);
    return section(name, place);
  };
  return h("div", { class: "stack" }, part("Status", () => status(signal)),
      part("Schedules", () => schedules(signal)),
    who.role === "admin" ? tokens(who, signal) : null,
    part("Sources", () => sources(signal)), part("Work", () => jobs(signal)));
}

const ROWS_SHOWN = 20;
const HEALTH = { ok: ["ok", "✓ ok"], warning: ["warning", "! warning"], error: ["bad", "✗ error"] };

const bytes = (count) => {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const power = count > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(count) / 10)) : 0;
  const amount = (count / 1024 ** power).toLocaleString("en", { maximumFractionDigits: 1 });
  return `${amount} ${units[power]}`;
};

async function status(signal) {
  const now = await get("/v1/status", {}, signal);
  const [kind, label] = HEALTH[now.health] ?? ["warning", `! ${now.health}`];
  const problems = (now.problems ?? []).map((one) =>
      h("li", {}, h("strong", {}, text(one.health)), ": ", text(one.what), " – ",
      text(one.advice)));
  const group = (name, pairs) => h("div", {}, h("h3", {}, name), facts(pairs));
  return [h("p", {}, badge(kind, text(label)), now.trouble ? [" ", text(now.trouble)] : null),
      problems.length ? h("ul", {}, problems) : null,
    h("div", { class: "columns-wide" },
      group("Ledger", [["Name", now.origin], ["Records", number(now.size)],
          ["Indexed to", number(now.indexed_to)],
        ["In the last minute", number(now.recorded_60s)],
            ["Newest", `${duration(now.newest_s)} ago`], ["Gaps declared", number(now.gaps)],
        ["Anchored", now.anchored_s === null || now.anchored_s === undefined ? "never"
            : `${duration(now.anchored_s)} ago`]]),
      group("Spool and disk", [["Events waiting", number(now.spool_events)],
          ["Oldest waits", duration(now.oldest_unsent_s)],
        ["Bytes", bytes(now.spool_bytes)], ["Segments", number(now.spool_segments)],
            ["Writers", number(now.spool_writers)],
        ["Damaged, put aside", number(now.quarantined)],
            ["Events dropped",
            `${now.dropped_is_exact === false ? "at least " : ""}${number(now.dropped)}`],
        ["Disk free", bytes(now.disk_free_bytes)]]),
      now.server ? group("Server",
          [["Version", now.server.version], ["Since", when(now.server.started_at)],
        ["Requests", number(now.server.requests)], ["Jobs", number(now.server.jobs)]]) : null)];
}

const number = (value) => (typeof value === "number" ? value.toLocaleString("en") : value);

async function schedules(signal) {
  const { jobs: list } = await get("/v1/schedules", {}, signal);
  return table("Schedules", ["Work", "When", "Last", "Took", "Result", "Next", "Runs", "Missed"],
      list.map((job) => [text(job.name), text(job.when),
    when(job.last), job.last ? `${job.took_ms} ms` : "–",
        text([job.status, job.verdict, job.detail].filter(Boolean).join(": ") || "–"),
        when(job.next),
    String(job.runs), String(job.missed)]));
}

// A table whose rows beyond the first ones show when they are asked for.
function folded(things, caption, heads, rows) {
  const first = table(caption, heads, rows.slice(0, ROWS_SHOWN));
  return rows.length <= ROWS_SHOWN ? first
    : [first, h("details", {}, h("summary", {}, `${number(rows.length - ROWS_SHOWN)} more ${things}`),
        table(`${caption}, the others`, heads, rows.slice(ROWS_SHOWN)))];
}

async function sources(signal) {
  const found = await get("/v1/sources", {}, signal);
  const silent = found.sources.filter((one) => one.silent);
  const others = h("p", { class: "hint" }, "There are others, which are not shown.");
  return [h("p", {}, silent.length === 0 ? badge("ok", "✓ nobody fell silent")
      : badge("warning", `! ${number(silent.length)} fell silent`)),
  found.sources.length === 0 ? h("p", { class: "hint" }, "No service sent events in the last 30 days.")
    : folded("services", "Sources",
        ["Service", "Events in 30 days", "Newest", "Silent after", "State"],
        [...silent, ...found.sources.filter((one) => !one.silent)].map((one) => [
      h("a", { href: searchLink({ service: one.service }) }, text(one.service, { most: 120 })),
      number(one.events), when(one.last_at),
      one.silent_after === null ? "not known yet" : duration(one.silent_after),
      one.silent ? badge("warning", "! silent") : "sends"])),
  found.sources_cut ? others : null,
  h("h3", {}, "Actions that no list of the policy names"),
  found.unlisted.length === 0 ? h("p", { class: "hint" }, "None was reported in the last 30 days.")
    : folded("actions", "Unlisted actions", ["Action", "Not recorded", "Last reported"],
        found.unlisted.map((one) => [text(one.action, { most: 120 }), `${number(one.count)} times`,
      when(one.last_at)])),
  found.unlisted_cut ? others.cloneNode(true) : null];
}

async function jobs(signal) {
  const { jobs: list } = await get("/v1/jobs", {}, signal);
  if (list.length === 0) {
    return h("p", { class: "hint" }, "No long work since the server was started.");
  }
  return table("Work", ["Id", "What", "State", "By", "Since", "Done"],
      list.map((job) => [text(job.id), text(job.kind), text(job.state), text(job.by),
    when(job.started_at), `${job.progress?.done ?? 0} of ${job.progress?.total ?? "?"}`]));
}

// ---- Tokens ------------------------------------------------------------------------------------

const ROLES = [["reader", "reader: reads"], ["auditor", "auditor: reads, verifies, exports"],
    ["writer", "writer: records, reads nothing"],
  ["admin", "admin: everything"]];

function tokens(who, signal) {
  const list = h("div");
  const refresh = () => into(list, () => tokenList(who, signal, refresh));
  refresh();
  return section("Tokens", tokenForm(signal, refresh), list);
}

async function tokenList(who, signal, refresh) {
  const { tokens: all } = await get("/v1/tokens", {}, signal);
  return table("Tokens", ["Name", "Id", "Role", "Tenants", "Made", "Ends", "Last used", "Revoke"],
      all.map((token) => [
    text(token.name), h("code", {}, text(token.id)), text(token.role),
        text(token.tenants?.length ? token.tenants.join(", ") : "all", { most: 120 }),
    when(token.created_at), when(token.expires_at), when(token.last_used_at), token.id === who.id
        ? "your own" : revokeButton(token, signal, refresh)]));
}

function revokeButton(token, signal, refresh) {
  const place = h("div");
  const reset = () => place.replaceChildren(h("button",
      { type: "button", "aria-label": `Revoke ${token.name}`, onclick: ask }, "Revoke"));
  function ask() {
    const sure = button("Revoke at once", () => into(place, async () => {
      await remove(`/v1/tokens/${encodeURIComponent(token.id)}`, signal);
      announce("Token revoked");
      refresh();
      return [];
    }), "danger");
    place.replaceChildren(sure, button("Keep", reset));
    sure.focus();
  }
  reset();
  return place;
}

function tokenForm(signal, refresh) {
  const name = h("input", { required: true, maxlength: "100", autocomplete: "off",
      id: "token-name" });
  const role = select(ROLES, "reader");
  const tenants = h("input", { placeholder: "all, or: acme, globex", autocomplete: "off" });
  const expires = h("input", { type: "date" });
  const place = h("div", { role: "status" });
  const form = h("form", { class: "stack", onsubmit: (event) => {
    event.preventDefault();
    const only = tenants.value.split(",").map((part) => part.trim()).filter(Boolean);
    into(place, async () => {
      const made = await post("/v1/tokens",
          { name: name.value.trim(), role: role.value, ...(only.length ? { tenants: only } : {}),
        ...(expires.value ? { expires_at: `${expires.value}T00:00:00Z` } : {}) }, signal);
      form.reset();
      refresh();
      return h("div", { class: "once" },
          h("p", {}, "The token of ", text(made.name), ". It is shown this once:"),
        h("div", { class: "row" }, h("code", { class: "token" }, text(made.token)),
            copyButton(() => made.token),
          button("Done", () => place.replaceChildren())));
    });
  } }, h("div", { class: "row" }, field("Name", name), field("Role", role),
      field("Tenants", tenants), field("Ends at 0:00 UTC on", expires),
    h("button", { type: "submit", class: "primary" }, "Make a token")), place);
  return form;
}
