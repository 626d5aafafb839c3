// The filters of a search (docs/events.md, section 5), shared by all views that choose records.

import { announce, field, h, select, text } from "./dom.js";

const words = (...list) => list.map((word) => [word, word]);

const KINDS = words("event", "all", "gap", "purge", "erase", "hold", "release", "anchor", "epoch",
    "key", "policy",
  "resume", "restore", "genesis");

// [group, [[name, label, choices]]]; a field without choices takes any text.
const GROUPS = [
  ["What", [["action", "Action"],
      ["outcome", "Outcome", words("success", "failure", "pending", "unknown")],
    ["severity", "Severity", words("low", "medium", "high", "critical")],
    ["severity_min", "Severity at least", words("low", "medium", "high", "critical")],
    ["text", "Words"], ["tag", "Tag"], ["id", "Id"]]],
  ["Who", [["actor_id", "Actor id"], ["actor_name", "Actor name"], ["actor_type", "Actor type"],
    ["tenant_id", "Tenant"], ["session_id", "Session"]]],
  ["On what", [["target_type", "Target type"], ["target_id", "Target id"]]],
  ["From where", [["service", "Service"], ["host", "Host"], ["ip", "Address"],
      ["transport", "Transport"]]],
  ["Belongs to", [["correlation_id", "Correlation"], ["causation_id", "Causation"],
      ["request_id", "Request"],
    ["trace_id", "Trace"], ["span_id", "Span"]]],
  ["Record", [["kind", "Kind", KINDS],
      ["state", "State", words("present", "partial", "erased", "purged")]]],
];
const RANGES = [["from", "Occurred from"], ["to", "Occurred before"], ["until", "Occurred until"],
  ["recorded_from", "Recorded from"], ["recorded_to", "Recorded before"],
      ["seq_from", "Position from"],
  ["seq_to", "Position before"]];

const ALL = new Map([...GROUPS.flatMap(([, fields]) => fields), ...RANGES].map((one) =>
    [one[0], one]));
const RANGE_NAMES = new Set(RANGES.map(([name]) => name));

export function isFilter(name) {
  return ALL.has(name);
}

// What of `params` the server takes as filters; other parameters are the page's own.
export function filtersOf(params, { ranges = true } = {}) {
  const found = new URLSearchParams();
  for (const [name, value] of params) {
    if (ALL.has(name) && (ranges || !RANGE_NAMES.has(name))) {
      found.append(name, value);
    }
  }
  return found;
}

// The same as an object of lists, for bodies of acts.
export function filterBody(params) {
  const body = {};
  for (const [name, value] of filtersOf(params)) {
    (body[name] ??= []).push(value);
  }
  return body;
}

const SPANS = [["", "Any time"], ["-15m", "Last 15 minutes"], ["-1h", "Last hour"],
    ["-24h", "Last 24 hours"],
  ["-7d", "Last 7 days"], ["-30d", "Last 30 days"], ["custom", "From … to"]];

// A form over `params`. `changed` gets the new parameters whenever they change. Options: ranges
// false leaves times and positions out (the live view), submit is the button's label.
export function filterForm(params, changed,
    { ranges = true, submit = "Search", prefix = "filter" } = {}) {
  const now = new URLSearchParams(params);
  const box = h("input", { type: "search", value: now.getAll("text").length === 1 ? now.get("text")
      : "",
    placeholder: "Words in reason, names …", id: `${prefix}-words`, autocomplete: "off",
        maxlength: "500" });
  const range = ranges ? rangeFields(now, prefix) : null;
  const apply = () => {
    takeWords(now, box.value.trim());
    range?.take(now);
    adder.take(now);
    changed(now);
  };
  const adder = conditionAdder(ranges, apply, prefix);
  return h("form", { class: "filters", role: "search", onsubmit: (event) => {
    event.preventDefault();
    apply();
  } },
    h("div", { class: "row" }, h("div", { class: "grow" }, field("Words", box)), range?.node ??
        null,
      h("button", { type: "submit", class: submit === "Search" ? "primary" : "",
          id: `${prefix}-submit` }, submit)),
    h("div", { class: "row" }, adder.node), chips(now, changed));
}

// One value is shown in the box; several, which only an address can ask for, are chips.
function takeWords(params, value) {
  if (value !== "" || params.getAll("text").length === 1) {
    params.delete("text");
  }
  if (value !== "") {
    params.append("text", value);
  }
}

function rangeFields(params, prefix) {
  const from = params.get("from") ?? "";
  const to = params.get("to") ?? "";
  const known = to === "" && SPANS.some(([value]) => value === from);
  const span = select(SPANS, known ? from : "custom", { id: `${prefix}-span` });
  const make = (value, label) => h("input",
      { value, "aria-label": label, placeholder: "2026-03-14 or -7d",
    autocomplete: "off", size: "22" });
  const bounds = [make(from, "Occurred from"), make(to, "Occurred before")];
  const custom = h("div", { class: "row", hidden: known }, field("From", bounds[0]),
      field("Before", bounds[1]));
  span.addEventListener("change", () => {
    custom.hidden = span.value !== "custom";
    if (custom.hidden) {
      span.form.requestSubmit();
    } else {
      bounds[0].focus();
    }
  });
  const set = (now, name, value) => (value === "" ? now.delete(name) : now.set(name, value));
  return {
    node: [field("Time", span), custom],
    take(now) {
      set(now, "from", span.value === "custom" ? bounds[0].value.trim() : span.value);
      set(now, "to", span.value === "custom" ? bounds[1].value.trim() : "");
    },
  };
}

// Field, "is" or "is absent", value, and a button that adds them.
function conditionAdder(ranges, apply, prefix) {
  const groups = ranges ? [...GROUPS, ["Range", RANGES.slice(2)]] : GROUPS;
  const name = h("select", { id: `${prefix}-field` }, groups.map(([label, fields]) =>
    h("optgroup", { label }, fields.map(([value, title]) => h("option", { value }, title)))));
  const how = select([["is", "is"], ["absent", "is absent"]], "is");
  const place = h("span", { class: "value" });
  let value;
  const refresh = () => {
    const [, label, choices] = ALL.get(name.value);
    value = choices ? select([["", "choose …"], ...choices]) : h("input",
        { autocomplete: "off", maxlength: "1024" });
    value.setAttribute("aria-label", `Value of ${label}`);
    place.replaceChildren(value);
    how.value = "is";
    place.hidden = false;
  };
  name.addEventListener("change", refresh);
  how.addEventListener("change", () => {
    place.hidden = how.value === "absent";
  });
  refresh();
  return {
    node: h("fieldset", { class: "adder" }, h("legend", {}, "Add a filter"),
      h("div", { class: "row" }, h("label", {}, h("span", { class: "unseen" }, "Field"), name),
        h("label", {}, h("span", { class: "unseen" }, "Condition"), how), place,
        h("button", { type: "button", id: `${prefix}-add`, onclick: apply }, "Add"))),
    take(now) {
      const absent = how.value === "absent";
      if (!absent && value.value === "") {
        return;
      }
      const wanted = absent ? "" : value.value;
      if (RANGE_NAMES.has(name.value)) {
        now.set(name.value, wanted);
      } else if (!now.getAll(name.value).includes(wanted)) {
        now.append(name.value, wanted);
      }
    },
  };
}

// The filters in force, each with a button that takes it away.
function chips(params, changed) {
  const shown = [...params].filter(([name]) => ALL.has(name) && name !== "from" && name !== "to" &&
    !(name === "text" && params.getAll("text").length === 1));
  if (shown.length === 0) {
    return null;
  }
  const drop = (name, value) => {
    const rest = new URLSearchParams([...params].filter(([n, v]) => n !== name || v !== value));
    announce(`Filter ${ALL.get(name)[1]} removed`);
    changed(rest);
  };
  return h("ul", { class: "chips", "aria-label": "Filters in force" },
      shown.map(([name, value]) => {
    const label = ALL.get(name)[1];
    return h("li", {}, h("span", {}, `${label} `, value === "" ? h("em", {}, "is absent")
        : text(value, { most: 60, all: false })),
      h("button", { type: "button", class: "chip", "aria-label": `Remove filter ${label}`,
        onclick: () => drop(name, value) }, "×"));
  }));
}

// A sentence about the filters, for exports and acts.
export function summary(params) {
  const list = [...filtersOf(params)];
  if (list.length === 0) {
    return h("p", {}, "No filter: all events.");
  }
  return h("ul", { class: "chips" }, list.map(([name, value]) =>
    h("li", {}, `${ALL.get(name)[1]} `, value === "" ? h("em", {}, "is absent")
        : text(value, { most: 80 }))));
}

// The address of a search for these pairs.
export function searchLink(pairs) {
  return `#/search?${new URLSearchParams(pairs)}`;
}
