// <tally-viewer server="https://audit.example" token="tallyv_…" locale="de" columns="time,action">
//
// What a viewer link lets see, within a page of somebody else. It asks the server for nothing that
// the link does not open, keeps nothing, and changes nothing outside of itself. When the link has
// ended it fires "tally-expired": a new `token` goes on where the old one ended.

import { send } from "./api.js";
import { badge, block, button, facts, field, h, into, save, section, select, table, tableRow,
    text } from "./dom.js";
import { diffTable } from "./diff.js";
import { actionOf, actorOf, COLUMNS, outcomeBadge, severityBadge, targetOf } from "./record.js";
import { sheet } from "./viewer_style.js";

const USUAL = ["time", "action", "actor", "target", "outcome"];
const PAGE = 50;
const SPANS = [["", "Any time"], ["-24h", "Last 24 hours"], ["-7d", "Last 7 days"],
  ["-30d", "Last 30 days"], ["custom", "From … to"]];

class TallyViewer extends HTMLElement {
  static observedAttributes = ["server", "token", "locale", "columns"];

  #root = this.attachShadow({ mode: "open" });
  #status = h("p", { class: "unseen", role: "status" });
  #list = h("div", { class: "stack" });
  #record = h("div", { class: "stack", hidden: true });
  #filters = new URLSearchParams();
  #left = new AbortController(); // what is asked for now, and not wanted any more later
  #again = null; // what a new token goes on with
  #isDue = false;

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [sheet];
  }

  connectedCallback() {
    this.#root.replaceChildren(h("div", { class: "stack" }, this.#filterForm(), this.#status,
        this.#list, this.#record));
    this.#begin();
  }

  disconnectedCallback() {
    this.#left.abort();
  }

  attributeChangedCallback(name, before, now) {
    if (before === now || !this.isConnected) {
      return;
    }
    if (name === "token" && this.#again) {
      const again = this.#again;
      this.#again = null;
      again();
    } else {
      this.#begin();
    }
  }

  // Once, however many attributes are set at a time.
  #begin() {
    if (!this.#isDue) {
      this.#isDue = true;
      queueMicrotask(() => {
        this.#isDue = false;
        if (this.isConnected) {
          this.#close();
          this.#load();
        }
      });
    }
  }

  // ---- Asking ----------------------------------------------------------------------------------

  async #ask(path, query) {
    const home = new URL(import.meta.url).origin;
    const to = { server: new URL(this.getAttribute("server") || home, home).origin,
        token: this.getAttribute("token") };
    return send(to, "GET", path, { query, signal: this.#left.signal });
  }

  // Puts what `work` makes into `place`; after the end of the link a new token does it again.
  #show(place, work) {
    return into(place, async () => {
      try {
        return await work();
      } catch (error) {
        if (error.status !== 401) {
          throw error;
        }
        this.#again = () => this.#show(place, work);
        setTimeout(() => this.dispatchEvent(new CustomEvent("tally-expired",
            { bubbles: true, composed: true })));
        return h("p", { class: "ended", role: "alert" },
            "This view has ended. Reload the page to see it again.");
      }
    });
  }

  // ---- The list --------------------------------------------------------------------------------

  #load() {
    this.#left.abort();
    this.#left = new AbortController();
    this.#again = null;
    if (!this.getAttribute("token")) {
      this.#list.replaceChildren(h("p", { class: "empty" }, "No link was given yet."));
      return;
    }
    this.#list.replaceChildren();
    const columns = this.#columns();
    const heads = columns.map(([label]) => label);
    this.#show(this.#list, async () => {
      const page = await (await this.#ask("/v1/events", this.#query())).json();
      if (page.items.length === 0) {
        this.#say("Nothing fits.");
        return h("p", { class: "empty" }, "Nothing fits.");
      }
      const list = table("Events", heads, []);
      const end = h("div", { class: "end" });
      end.append(...this.#addPage(page, list, end, columns));
      return [h("div", { class: "results card" }, list), end];
    });
  }

  #query(more = {}) {
    const query = new URLSearchParams(this.#filters);
    query.set("limit", PAGE);
    Object.entries(more).forEach(([name, value]) => query.set(name, value));
    return query;
  }

  // Adds its rows; gives what stands below: what went wrong, and the way to the next page.
  #addPage(page, list, end, columns) {
    const heads = columns.map(([label]) => label);
    list.tBodies[0].append(...page.items.map((item) => tableRow(heads,
        columns.map(([, cell]) => cell(item)))));
    this.#say(`${list.tBodies[0].rows.length} events shown`);
    const trouble = page.complete === false
      ? [h("p", { class: "ended" }, "Part of what fits could not be read.")] : [];
    if (!page.next) {
      return [...trouble, h("p", { class: "hint" }, "End of the list.")];
    }
    const more = button("Load more", () => this.#show(end, async () => {
      const next = await (await this.#ask("/v1/events", this.#query({ cursor: page.next }))).json();
      return this.#addPage(next, list, end, columns);
    }));
    this.#pressWhenSeen(more);
    return [...trouble, more];
  }

  #pressWhenSeen(more) {
    const watcher = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        watcher.disconnect();
        more.click();
      }
    }, { rootMargin: "200px" });
    watcher.observe(more);
    this.#left.signal.addEventListener("abort", () => watcher.disconnect());
  }

  // [label, cell] of each; a record is opened by its action, and without that by its time.
  #columns() {
    const own = { ...COLUMNS,
      time: ["Time", (item) => this.#when(item.time)],
      recorded: ["Recorded", (item) => this.#when(item.recorded_at)],
      action: ["Action", (item) => text(actionOf(item), { most: 120, all: false })] };
    const wanted = (this.getAttribute("columns") ?? "").split(",").map((name) => name.trim())
        .filter((name) => Object.hasOwn(own, name));
    const names = wanted.length > 0 ? wanted : USUAL;
    const opening = names.includes("action") ? "action" : names[0];
    return names.map((name) => {
      const [label, cell] = own[name];
      return [label, name === opening ? (item) => this.#opener(item, cell(item)) : cell];
    });
  }

  #opener(item, label) {
    const node = button("", () => this.#open(item, node), "link record");
    node.append(...[label].flat());
    return node;
  }

  #when(value, style = "medium") {
    const date = new Date(value ?? "");
    if (Number.isNaN(date.getTime())) {
      return "–";
    }
    let words;
    try {
      words = date.toLocaleString(this.getAttribute("locale") || undefined,
          { dateStyle: style, timeStyle: style === "full" ? "long" : "medium" });
    } catch { // no such locale
      words = date.toLocaleString();
    }
    return h("time", { datetime: String(value), title: String(value) }, words);
  }

  #say(words) {
    this.#status.textContent = words;
  }

  // ---- Filters ---------------------------------------------------------------------------------

  #filterForm() {
    const span = select(SPANS, "");
    const from = h("input", { type: "date" });
    const to = h("input", { type: "date" });
    const custom = h("div", { class: "row", hidden: true }, field("From", from), field("To", to));
    const action = h("input", { autocomplete: "off", maxlength: "200", placeholder: "invoice.*" });
    const actor = h("input", { autocomplete: "off", maxlength: "1024" });
    span.addEventListener("change", () => {
      custom.hidden = span.value !== "custom";
    });
    const apply = (event) => {
      event.preventDefault();
      const isCustom = span.value === "custom";
      const given = { action: action.value.trim(), actor_id: actor.value.trim(),
          from: isCustom ? midnight(from.value, 0) : span.value,
          to: isCustom ? midnight(to.value, 1) : "" };
      this.#filters = new URLSearchParams(Object.entries(given).filter(([, value]) => value));
      this.#close();
      this.#load();
    };
    return h("form", { class: "row filters", role: "search", "aria-label": "Events",
        onsubmit: apply },
      field("Time", span), custom, field("Action", action), field("Who (id)", actor),
      h("button", { type: "submit", class: "primary" }, "Filter"));
  }

  // ---- One record ------------------------------------------------------------------------------

  #open(item, opener) {
    const heading = h("h2", { tabindex: "-1" }, text(actionOf(item), { most: 200 }));
    const back = () => {
      this.#close();
      opener.focus();
    };
    this.#record.replaceChildren(h("section", { class: "stack", "aria-label": "Event",
        onkeydown: (event) => {
          if (event.key === "Escape") {
            event.stopPropagation();
            back();
          }
        } },
      h("div", {}, button("← Back", back)), heading, this.#what(item), ...changes(item),
      ...contents(item), this.#evidence(item)));
    this.#list.hidden = true;
    this.#record.hidden = false;
    heading.focus();
  }

  #close() {
    this.#record.hidden = true;
    this.#record.replaceChildren();
    this.#list.hidden = false;
  }

  #what(item) {
    const event = item.event ?? {};
    const source = event.source ?? {};
    return h("section", { class: "card" }, facts([
      ["Who", event.actor ? [actorOf(item)] : null],
      ["What", item.state === "present" || !item.state ? text(actionOf(item))
          : [text(actionOf(item)), " ", badge("warning", text(item.state))]],
      ["On what", event.targets ? [targetOf(item)] : null],
      ["When", this.#when(event.occurred_at ?? item.time, "full")],
      ["Outcome", event.outcome ? outcomeBadge(event.outcome) : null],
      ["Severity", event.severity ? severityBadge(event.severity) : null],
      ["Reason", event.reason],
      ["Where", [source.service, source.host, source.ip].filter(Boolean).join(" · ")],
      ["User agent", source.user_agent],
      ["Transport", event.transport],
      ["Tenant", event.tenant_id],
      ["Correlation", event.correlation_id],
      ["Id", item.id],
    ]));
  }

  #evidence(item) {
    const place = h("div", { class: "stack" });
    const download = button("Download the proof", () => this.#show(place, async () => {
      const answer = await this.#ask(`/v1/records/${item.seq}/proof`);
      save(`record-${item.seq}.tlog-proof`, [await answer.text()], "text/plain");
      return null;
    }));
    return section("Evidence", facts([["Position", String(item.seq)],
      ["Recorded", this.#when(item.recorded_at, "full")],
      ["Leaf hash", h("code", {}, text(item.leaf_hash))], ["Ledger", item.origin]]),
    h("div", {}, download), place);
  }
}

// The begin of a day where the reader is, and of the one `days` later; "" for no day.
function midnight(day, days) {
  const date = new Date(`${day}T00:00`);
  if (Number.isNaN(date.getTime())) {
    return "";
  }
  date.setDate(date.getDate() + days);
  return date.toISOString();
}

function changes(item) {
  const { old_values: before, new_values: after } = item.event ?? {};
  return before || after ? [section("Old and new values", ...[diffTable(before, after)].flat())]
    : [];
}

function contents(item) {
  return ["request", "response", "metadata"].filter((name) => item.event?.[name] !== undefined)
      .map((name) => section(name[0].toUpperCase() + name.slice(1),
          block(JSON.stringify(item.event[name], null, 2))));
}

if (!customElements.get("tally-viewer")) {
  customElements.define("tally-viewer", TallyViewer);
}
