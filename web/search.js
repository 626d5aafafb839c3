// Search: filters, timeline, saved searches, columns, results that load as one scrolls.

import { get } from "./api.js";
import { announce, button, field, h, into, keep, problemBox, recall, select, table,
    tableRow } from "./dom.js";
import { filterForm, filtersOf } from "./filters.js";
import { histogram } from "./histogram.js";
import { COLUMNS, USUAL } from "./record.js";
import { unitOf } from "./time.js";

const ORDERS = [["seq desc", "Newest recorded first"], ["seq asc", "Oldest recorded first"],
  ["occurred_at desc", "Latest occurred first"], ["occurred_at asc", "Earliest occurred first"]];

// The view as it was left, so that coming back from an event finds the same rows at the same place.
let left = null;

export function render(params, { who, go, signal }) {
  const address = params.toString();
  if (left?.address === address && left.cameFrom) {
    left.cameFrom = false;
    requestAnimationFrame(() => {
      scrollTo(0, left.scroll);
      left.focused?.focus({ preventScroll: true });
    });
    return left.node;
  }
  const change = (next) => go("search", next);
  const count = h("p", { class: "count", role: "status" });
  const timeline = h("div");
  const results = h("div");
  const node = h("div", { class: "stack" }, filterForm(params, change),
    h("div", { class: "row tools" }, h("div", { class: "grow" }, count),
        orderChoice(params, change), columnChoice(params, change),
      savedSearches(params, change), elsewhere(params, who)),
    timeline, results);
  left = { address, node, scroll: 0, cameFrom: false, focused: null };
  // Rows may go on loading after the view was left and found again: they belong to it, not to the
  // visit.
  const own = new AbortController();
  left.stop = () => own.abort();
  loadResults(results, params, own.signal);
  loadCount(count, params, own.signal).then((exact) => {
    const large = exact === false && !params.get("from");
    loadTimeline(timeline, params, large ? "-30d" : null, change, own.signal);
  });
  signal.addEventListener("abort", () => {
    if (left?.node !== node) {
      own.abort();
    }
  });
  return node;
}

// Called by the router when an event is opened, and with false when anything else is.
export function leave(toRecord) {
  if (left) {
    left.cameFrom = toRecord;
    left.scroll = scrollY;
    left.focused = document.activeElement;
    if (!toRecord) {
      left.stop();
      left = null;
    }
  }
}

function columnsOf(params) {
  const names = (params.get("cols") ?? recall("columns", USUAL.join(","))).split(",")
      .filter((name) => Object.hasOwn(COLUMNS, name));
  return names.length > 0 ? names : USUAL;
}

function queryOf(params, more = {}) {
  const query = filtersOf(params);
  for (const name of ["order", "dir"]) {
    if (params.get(name)) {
      query.set(name, params.get(name));
    }
  }
  Object.entries(more).forEach(([name, value]) => query.set(name, value));
  return query;
}

async function loadResults(place, params, signal) {
  const columns = columnsOf(params);
  const heads = columns.map((name) => COLUMNS[name][0]);
  await into(place, async () => {
    const page = await get("/v1/events", queryOf(params, { limit: 50 }), signal);
    if (page.items.length === 0) {
      return [incomplete(page),
          h("p", { class: "empty" }, "Nothing fits. Remove a filter, or take a longer time.")];
    }
    const list = table("Events that fit", heads, []);
    const end = h("div", { class: "end" });
    addPage(list, end, page, { params, columns, heads, signal });
    return [incomplete(page), h("div", { class: "results card" }, list), end];
  });
}

function incomplete(page) {
  return page.complete === false
    ? problemBox({ title: "These results are not complete", detail: page.problem?.detail ??
        page.problem?.title ?? String(page.problem ?? ""),
      advice: "Part of what the filter covers could not be read." })
    : null;
}

// Rows of one page, and what brings the next: a button that presses itself when it comes into
// sight.
function addPage(list, end, page, view) {
  const body = list.tBodies[0];
  body.append(...page.items.map((item) => tableRow(view.heads,
      view.columns.map((name) => COLUMNS[name][1](item)))));
  if (!page.next) {
    end.replaceChildren(h("p", { class: "hint" },
        `End of the list, ${body.rows.length.toLocaleString("en")} shown.`));
    return;
  }
  const more = button("Load more", () => loadMore(list, end, page.next, view));
  end.replaceChildren(more);
  const watcher = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) {
      watcher.disconnect();
      more.click();
    }
  }, { rootMargin: "400px" });
  watcher.observe(more);
}

async function loadMore(list, end, cursor, view) {
  end.replaceChildren(h("p", { class: "hint" }, "Loading …"));
  try {
    const page = await get("/v1/events", queryOf(view.params, { limit: 50, cursor }), view.signal);
    addPage(list, end, page, view);
    if (page.complete === false) {
      end.prepend(incomplete(page));
    }
    announce(`${list.tBodies[0].rows.length} events shown`);
  } catch (error) {
    if (error.name !== "AbortError") {
      end.replaceChildren(problemBox(error),
          button("Try again", () => loadMore(list, end, cursor, view)));
    }
  }
}

// Gives whether the count is exact; null if there is none.
async function loadCount(place, params, signal) {
  place.textContent = "Counting …";
  try {
    const { count, exact } = await get("/v1/count", filtersOf(params), signal);
    const noun = count === 1 && exact ? "event" : "events";
    const words = `${count.toLocaleString("en")}${exact ? "" : "+"} ${noun}`;
    place.replaceChildren(h("strong", {}, words));
    if (!exact) {
      place.append(" (counting stops there) ",
          button("Count all", () => countAll(place, params, signal), "link"));
    }
    return exact;
  } catch (error) {
    if (error.name !== "AbortError") {
      place.textContent = `Not counted: ${error.title}`;
    }
    return null;
  }
}

async function countAll(place, params, signal) {
  const query = filtersOf(params);
  query.set("exact", "true");
  await into(place, async () => {
    const { count } = await get("/v1/count", query, signal);
    return h("strong", {}, `${count.toLocaleString("en")} events`);
  });
}

// Days cannot be counted without looking at every event: of millions, only the newest month is
// drawn unasked.
async function loadTimeline(place, params, since, change, signal) {
  if (signal.aborted) {
    return;
  }
  const query = filtersOf(params);
  if (since !== null) {
    query.set("from", since);
  }
  const shown = new URLSearchParams(query);
  const unit = unitOf(shown);
  query.set("by", unit.by);
  await into(place, async () => {
    const { rows } = await get("/v1/stats", query, signal);
    const drawing = histogram(rows, shown, unit, (from, to) => {
      const next = new URLSearchParams(params);
      next.delete("until");
      next.set("from", from);
      next.set("to", to);
      change(next);
    });
    const all = since === null ? null : h("p", { class: "hint" }, "The last 30 days. ",
      button("Draw all days", () => loadTimeline(place, params, null, change, signal), "link"),
          " (may take a while)");
    return [drawing, all];
  });
}

function orderChoice(params, change) {
  const now = `${params.get("order") ?? "seq"} ${params.get("dir") ?? "desc"}`;
  const node = select(ORDERS, now, { id: "order", onchange: () => {
    const [order, dir] = node.value.split(" ");
    const next = new URLSearchParams(params);
    next.set("order", order);
    next.set("dir", dir);
    change(next);
  } });
  return field("Order", node);
}

function columnChoice(params, change) {
  const on = new Set(columnsOf(params));
  const boxes = Object.entries(COLUMNS).map(([name, [label]]) => {
    const box = h("input", { type: "checkbox", checked: on.has(name), disabled: name === "action",
        onchange: () => {
      box.checked ? on.add(name) : on.delete(name);
    } });
    return h("label", { class: "check" }, box, label);
  });
  const apply = () => {
    const names = Object.keys(COLUMNS).filter((name) => on.has(name)).join(",");
    keep("columns", names);
    const next = new URLSearchParams(params);
    next.set("cols", names);
    change(next);
  };
  return menu("Columns", h("div", { class: "columns" }, boxes),
      button("Show these", apply, "primary"));
}

// The same filters in other views.
function elsewhere(params, who) {
  const link = (view, label, query) => h("a", { class: "button", href: `#/${view}?${query}` },
      label);
  const may = who.role === "auditor" || who.role === "admin";
  return [link("live", "Watch live", filtersOf(params, { ranges: false })), may
      ? link("export", "Export", filtersOf(params)) : null];
}

// A button that opens a small panel; Esc closes it.
function menu(label, ...content) {
  const node = h("details", { class: "menu", onkeydown: (event) => {
    if (event.key === "Escape" && node.open) {
      node.open = false;
      node.querySelector("summary").focus();
      event.stopPropagation();
    }
  } }, h("summary", {}, label), h("div", { class: "panel" }, content));
  return node;
}

function savedSearches(params, change) {
  const list = h("ul", { class: "saved" });
  const name = h("input", { maxlength: "80", autocomplete: "off" });
  const refresh = () => {
    const saved = recall("searches", []);
    list.replaceChildren(...saved.map((one, index) => h("li", {},
      button(one.name, () => change(new URLSearchParams(one.query)), "link"),
      h("button", { type: "button", class: "chip", "aria-label": `Forget ${one.name}`,
          onclick: () => {
        keep("searches", saved.filter((_, other) => other !== index));
        refresh();
      } }, "×"))));
    if (saved.length === 0) {
      list.append(h("li", { class: "hint" }, "None yet; they are kept in this browser."));
    }
  };
  refresh();
  const form = h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    if (name.value.trim() !== "") {
      const others = recall("searches", []).filter((one) => one.name !== name.value.trim());
      keep("searches", [...others, { name: name.value.trim(), query: params.toString() }]);
      announce("Search saved");
      name.value = "";
      refresh();
    }
  } }, field("Name", name), h("button", { type: "submit" }, "Save this search"));
  return menu("Saved", list, form);
}
