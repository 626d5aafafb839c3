// How long contents stay: retention, purge, holds, erasures. An act is previewed before it is
// offered.

import { get, post, Problem, remove } from "./api.js";
import { badge, block, button, copyButton, facts, field, h, into, problemBox, save, section, select,
    table, text } from "./dom.js";
import { filterBody, filterForm } from "./filters.js";
import { recordLink } from "./record.js";
import { when } from "./time.js";
import { watchJob } from "./verdict.js";

export function render(params, { who, signal }) {
  const admin = who.role === "admin";
  const loaded = (work) => {
    const place = h("div", { class: "stack" });
    place.refresh = () => into(place, work);
    place.refresh();
    return place;
  };
  const holdList = loaded(() => holds(admin, signal, () => holdList.refresh()));
  const purged = loaded(() => history("purge", ["Record", "When", "Records", "Up to", "By", "Why"],
      purgeCells, signal));
  const erased = loaded(() => history("erase",
      ["Record", "When", "Records", "Members", "By", "Why"], eraseCells, signal));
  return h("div", { class: "stack" },
    section("Retention", loaded(() => retention(signal)), h("h3", {}, "What other rules would do"),
        tryRules(signal)),
    section("Holds", holdList, admin
        ? h("details", {}, h("summary", {}, "Set a hold"), holdForm(signal, holdList.refresh))
        : null),
    section("Purge", h("p", { class: "hint" },
        "Removes contents whose time is over. The evidence stays."),
      admin ? purgeForm(signal, purged.refresh) : null, h("h3", {}, "History"), purged),
    section("Erasure requests",
        h("p", { class: "hint" },
        "Removes contents at somebody's request. The evidence stays, "
          + "and so does who asked and why."),
      admin ? h("details", {}, h("summary", {}, "Erase"), eraseForm(signal, erased.refresh)) : null,
          h("h3", {}, "History"), erased));
}

// ---- Retention ---------------------------------------------------------------------------------

async function retention(signal) {
  const { rules } = await get("/v1/retention", {}, signal);
  return [table("Rules in force", ["Rule", "For", "Kept", "Where it is set"],
      rules.map((rule) => [text(rule.kind),
    text(rule.match || "everything else"), rule.days === null ? "for ever" : `${rule.days} days`,
        text(rule.origin)])),
  h("p", { class: "hint" },
      "The first of action, severity, source, tenant and outcome that has a rule decides.")];
}

function tryRules(signal) {
  const rules = h("textarea",
      { rows: "3", placeholder: "retention.default_days=90\nretention.by_severity.low=30",
      spellcheck: "false", id: "rules" });
  const place = h("div");
  const form = h("form", { class: "stack", onsubmit: (event) => {
    event.preventDefault();
    const settings = rules.value.split("\n").map((line) => line.trim()).filter(Boolean);
    into(place, async () => {
      const found = await post("/v1/retention/test", { settings }, signal);
      return facts([["Records", String(found.records)], ["Kept longer", String(found.longer)],
          ["Kept shorter", String(found.shorter)],
        ["Due now", String(found.due_now)], ["Due within 30 days", String(found.due_30)],
            ["On hold", String(found.held)]]);
    });
  } }, field("Rules, one a line", rules, "Nothing is changed by this."),
    h("div", { class: "row" }, h("button", { type: "submit" }, "Try these rules")), place);
  return form;
}

// ---- History -----------------------------------------------------------------------------------

const count = (ranges) => (ranges ?? []).reduce((sum, [first, last]) => sum + last - first + 1, 0);

const purgeCells = (item, payload) => [
  recordLink(item, String(item.seq)), when(item.recorded_at), String(payload.count ?? ""),
  payload.override ? `override, ${count(payload.ranges)} positions`
    : `position ${payload.before_seq}`,
  text(payload.by ?? "–"), text(payload.note ?? "–", { most: 200 })];

const eraseCells = (item, payload) => {
  const items = payload.items ?? [];
  const pointers = [...new Set(items.flatMap((one) => one.pointers ?? []))].map((pointer) =>
      pointer || "whole content");
  const seqs = new Set(items.flatMap((one) => one.seqs ?? []));
  return [recordLink(item, String(item.seq)), when(item.recorded_at), String(seqs.size),
      text(pointers.join(", ")), text(payload.by ?? "–"),
    text([payload.ticket, payload.basis].filter(Boolean).join(": "), { most: 200 })];
};

async function history(kind, heads, cells, signal) {
  const page = await get("/v1/events", { kind, limit: 50 }, signal);
  if (page.items.length === 0) {
    return h("p", { class: "hint" }, "None yet.");
  }
  return [table(heads.join(", "), heads, page.items.map((item) => cells(item, item.payload ?? {}))),
    page.next ? h("p", {}, h("a", { href: `#/search?kind=${kind}` },
        "Older ones are in the search.")) : null];
}

// ---- Acts --------------------------------------------------------------------------------------

// Reason, ticket and a second person's approval; `body()` has what of them was given.
function actFields(reasonNeeded) {
  const reason = h("input", { maxlength: "1000", required: reasonNeeded, autocomplete: "off" });
  const ticket = h("input", { maxlength: "200", autocomplete: "off" });
  const approval = h("textarea", { rows: "2", spellcheck: "false" });
  const approvalField = field("Approval", approval, "What 'tally approve' made of the request.");
  approvalField.hidden = true;
  return {
    node: h("div", { class: "stack" },
        h("div", { class: "row" }, h("div", { class: "grow" }, field("Reason", reason)),
        field("Ticket", ticket)),
    h("p", { class: "hint" }, "Both are sealed for ever: no personal data."), approvalField),
    askApproval() {
      approvalField.hidden = false;
      approval.focus();
    },
    approval: () => approval.value.trim(),
    isApproval: (node) => node === approval,
    body: () => Object.fromEntries(Object.entries({ reason: reason.value.trim(),
      ticket: ticket.value.trim() }).filter(([, value]) => value !== "")),
  };
}

// Runs one act. A second person's signature may turn out to be needed: what to sign is shown then.
async function act(place, path, body, fields, shown, signal) {
  place.replaceChildren();
  try {
    const answer = await post(path, body, signal);
    if (answer.state !== undefined && answer.kind !== undefined) {
      await watchJob(answer, place, shown, signal);
    } else {
      place.replaceChildren(...[shown(answer)].flat());
    }
    return true;
  } catch (error) {
    if (error.name !== "AbortError") {
      place.replaceChildren(problemBox(error));
      if (error.code === "needs_second_person") {
        place.append(...toSign(error));
        fields.askApproval();
      }
    }
    return false;
  }
}

function toSign(problem) {
  const words = typeof problem.toSign === "string" ? problem.toSign : JSON.stringify(problem.toSign,
      null, 2);
  return [h("p", {},
      "Hand this request to the second person, who signs it with 'tally approve'. "
        + "Then give the approval above and repeat."),
    block(words ?? ""), h("div", { class: "row" }, copyButton(() => words, "Copy the request"),
      h("button", { type: "button", onclick: () => save("request.txt", [words], "text/plain") },
          "Download it"))];
}

// A form whose act is previewed before it is offered. What is done then is what was previewed, whatever
// the form says by then; only the approval may still be added.
function previewed({ controls, fields, body, label, path, done, signal }) {
  const place = h("div", { class: "stack", role: "status" });
  const confirm = h("div", { class: "row" });
  const offer = (asked) => confirm.replaceChildren(button(label, () => perform(asked), "danger"));
  async function perform(asked) {
    confirm.replaceChildren();
    const approval = fields.approval();
    const all = { ...asked, dry_run: false, ...(approval ? { approval } : {}) };
    if (await act(place, path, all, fields, outcome, signal)) {
      done();
    } else {
      offer(asked);
    }
  }
  const form = h("form", { class: "stack", onsubmit: async (event) => {
    event.preventDefault();
    confirm.replaceChildren();
    const asked = attempt(place, () => ({ ...body(), ...fields.body() }));
    const dry = { ...asked, dry_run: true };
    if (asked && await act(place, path, dry, fields, outcome, signal)) {
      offer(asked);
    }
  }, oninput: (event) => {
    if (!fields.isApproval(event.target)) {
      confirm.replaceChildren();
    }
  } }, controls, h("div", { class: "row" }, h("button", { type: "submit" }, "Preview")), place,
  confirm);
  return form;
}

// What `work` gives, or null with its problem shown.
function attempt(place, work) {
  try {
    return work();
  } catch (error) {
    place.replaceChildren(problemBox(error));
    return null;
  }
}

const NAMES = {
  evaluated: "Records looked at", due: "Due", held: "On hold, kept", purged: "Records purged",
  remaining: "Remaining", bytes: "Bytes", freed: "Bytes given back", ranges: "Ranges",
  cutoff: "Due before", seq: "Sealed as record", archive: "Archive", matched: "Records that fit",
  gone: "Gone already", erased: "Records erased", members: "Members erased", sealed_at: "Sealed",
  by: "By", reason: "Reason", ticket: "Ticket", pointers: "Members", not_reached: "Not reached",
  records: "Records", hold: "Hold", acts: "Acts",
};

// The result of a purge, an erasure or a hold, in words.
function outcome(result) {
  const value = (key, given) => {
    if (key === "seq" && Number.isSafeInteger(given)) {
      return h("a", { href: `#/record/${given}` }, String(given));
    }
    if (Array.isArray(given)) {
      return given.length ? h("ul", {},
          given.map((one) => h("li", {},
          text(typeof one === "string" ? one : JSON.stringify(one))))) : null;
    }
    return given === null || given === undefined ? null : key === "sealed_at" ? when(given)
        : String(given);
  };
  return [h("p", { class: "verdict none" }, result.dry_run ? "Preview: nothing was changed."
      : "Done."),
    facts(Object.entries(NAMES).filter(([key]) => key in result)
      .map(([key, label]) => [label, value(key, result[key])]))];
}

function purgeForm(signal, done) {
  const before = h("input", { type: "date" });
  const fields = actFields(false);
  return previewed({ fields, label: "Purge now", path: "/v1/purges", done, signal,
    controls: [field("Only what was due before", before, "May be left empty."), fields.node],
    body: () => (before.value ? { before: before.value } : {}) });
}

// A filter form of its own, whose conditions are kept here and not in the address.
function ownFilters(prefix) {
  const node = h("div");
  let params = new URLSearchParams();
  const show = () => node.replaceChildren(filterForm(params, (next) => {
    params = next;
    show();
    document.getElementById(`${prefix}-field`)?.focus();
  }, { submit: "Take these", prefix }));
  show();
  return {
    node,
    body() {
      const filter = filterBody(params);
      if (Object.keys(filter).length === 0) {
        throw new Problem(0, { title: "There is no filter", detail: "Without one, everything would fit." });
      }
      return { filter };
    },
  };
}

function holdForm(signal, done) {
  const name = h("input", { required: true, maxlength: "128", autocomplete: "off",
      placeholder: "case-2026-17" });
  const expires = h("input", { type: "date" });
  const what = select([["filter", "What fits filters"], ["ranges", "Positions"],
      ["all", "Every record there is now"]], "filter");
  const ranges = h("input", { placeholder: "0-99, 250-300", autocomplete: "off" });
  const filters = ownFilters("hold");
  const rangeField = field("Positions", ranges);
  rangeField.hidden = true;
  what.addEventListener("change", () => {
    filters.node.hidden = what.value !== "filter";
    rangeField.hidden = what.value !== "ranges";
  });
  const fields = actFields(false);
  const chosen = { filter: filters.body, ranges: () => ({ ranges: parseRanges(ranges.value) }),
    all: () => ({ all: true }) };
  const form = previewed({ fields, label: "Set the hold", path: "/v1/holds", done, signal,
    controls: [h("div", { class: "row" }, field("Name of the hold", name),
      field("Be reminded on", expires), field("What", what)), rangeField, fields.node],
    body: () => ({ hold: name.value.trim(), ...chosen[what.value](),
      ...(expires.value ? { expires_at: `${expires.value}T00:00:00Z` } : {}) }) });
  // Forms do not nest: the filters stand before the rest.
  return h("div", { class: "stack" }, filters.node, form);
}

function parseRanges(words) {
  return words.split(",").map((part) => part.trim()).filter(Boolean).map((part) => {
    const [first, last = first] = part.split("-").map(Number);
    return [first, last];
  });
}

async function holds(admin, signal, changed) {
  const { holds: list } = await get("/v1/holds", {}, signal);
  if (list.length === 0) {
    return h("p", { class: "hint" }, "No hold was ever set.");
  }
  const heads = ["Hold", "State", "Records", "Set", "Ends", "By", "Why"];
  const row = (hold) => [
    text(hold.hold), hold.active ? badge("warning", "● active") : badge("note", "○ released"),
    String(hold.records ?? ""), h("a", { href: `#/record/${Number(hold.set_seq)}` }, when(hold.set_at)),
    when(hold.released_at ?? hold.expires_at), text(hold.by ?? "–"),
    text(hold.reason ?? "–", { most: 200 })];
  const release = (hold) => (hold.active ? releaseButton(hold, signal, changed) : "–");
  return admin
    ? table("Holds", [...heads, "Release"], list.map((hold) => [...row(hold), release(hold)]))
    : table("Holds", heads, list.map(row));
}

// Asks once more, in place: a hold that is released never comes back.
function releaseButton(hold, signal, changed) {
  const place = h("div");
  const reset = () => place.replaceChildren(h("button",
      { type: "button", "aria-label": `Release ${hold.hold}`, onclick: ask }, "Release"));
  function ask() {
    const sure = button("Release for good", () => into(place, async () => {
      await remove(`/v1/holds/${encodeURIComponent(hold.hold)}`, signal);
      changed();
      return [];
    }), "danger");
    place.replaceChildren(sure, button("Keep", reset));
    sure.focus();
  }
  reset();
  return place;
}

function eraseForm(signal, done) {
  const how = select([["subject", "Everything about a person or thing"], ["id", "One event"],
      ["filter", "What fits filters"]], "subject");
  const subject = h("input",
      { placeholder: "actor:u-41 or target:invoice:7", autocomplete: "off", maxlength: "2048" });
  const id = h("input", { autocomplete: "off", maxlength: "128" });
  const members = h("input", { placeholder: "/actor/name, /metadata", autocomplete: "off" });
  const filters = ownFilters("erase");
  const places = { subject: field("Subject", subject), id: field("Id of the event", id),
      filter: filters.node };
  const refresh = () => Object.entries(places).forEach(([name, node]) => {
    node.hidden = how.value !== name;
  });
  how.addEventListener("change", refresh);
  refresh();
  const fields = actFields(true);
  const chosen = { subject: () => ({ subject: subject.value.trim() }), id: () => ({ id: id.value }),
    filter: filters.body };
  const form = previewed({ fields, label: "Erase for good", path: "/v1/erasures", done, signal,
    controls: [field("What", how), places.subject, places.id,
      field("Only these members", members, "Empty: the whole content. Else pointers, with commas."),
      fields.node],
    body: () => {
      const pointers = members.value.split(",").map((part) => part.trim()).filter(Boolean);
      return { ...chosen[how.value](), ...(pointers.length ? { members: pointers } : {}) };
    } });
  return h("div", { class: "stack" }, filters.node, form);
}
