// Export: the filter of the search as a file, at once or made by the server.

import { get, post, Problem, request } from "./api.js";
import { button, facts, field, h, into, problemBox, section, select, text } from "./dom.js";
import { copy, offeredName, openSink } from "./download.js";
import { filterForm, filtersOf, summary } from "./filters.js";
import { preparedList } from "./prepared.js";

const FORMATS = [["ndjson", "NDJSON: a record a line, ends with a manifest"],
    ["json", "JSON: one document, ends with a manifest"],
  ["csv", "CSV: for spreadsheets, formulas made harmless"]];
const DIRECTORIES = [["bundle", "Bundle: evidence that can be checked without this server"],
    ["tlog", "tlog: hashes and leaves of all records, no contents"]];

const IN_MEMORY = 10000; // records; more go straight into a file

export function render(params, { who, go, signal }) {
  const count = h("div", { role: "status" });
  const progress = h("div", { class: "stack" });
  const mayPrepare = who.tenants.length === 0; // a job is about the ledger as a whole
  const format = select(mayPrepare ? [...FORMATS, ...DIRECTORIES] : FORMATS,
      params.get("format") ?? "ndjson", { id: "format", onchange: () => refresh() });
  const prepared = h("input", { type: "checkbox", id: "prepared", onchange: () => {
    isChosen = prepared.checked;
    refresh();
  } });
  const reason = h("input", { id: "export-reason", maxlength: "1000", autocomplete: "off" });
  const reasonField = field("Reason, for the record", reason);
  const list = mayPrepare ? preparedList(signal) : null;
  const isDirectory = () => DIRECTORIES.some(([name]) => name === format.value);
  const refresh = () => {
    prepared.disabled = isDirectory();
    prepared.checked = isChosen || isDirectory();
    reasonField.hidden = !prepared.checked;
  };
  into(count, async () => {
    const found = await get("/v1/count", filtersOf(params), signal);
    most = found.exact ? found.count : Infinity;
    return h("p", {}, h("strong", {},
        `${found.count.toLocaleString("en")}${found.exact ? "" : " or more"} records`), " fit.");
  });
  let most = null;
  let isChosen = false;
  const start = h("button", { type: "button", class: "primary", onclick: () => (prepared.checked
    ? prepare(params, format.value, reason.value.trim(), start, progress, list, signal)
    : run(params, format.value, start, progress, most, signal)) }, "Export");
  refresh();
  return h("div", { class: "stack" },
      filterForm(params, (next) => go("export", next), { submit: "Use these filters" }),
    section("What goes along", summary(params), count,
      h("p", { class: "hint" },
          "As the ledger is at the moment it starts. A bundle has the leaves of all records, and the "
            + "contents of those that fit. The export itself becomes "
            + "an event: who, and which filters, never what was searched for.")),
    section("File", h("div", { class: "row" }, field("Format", format),
        mayPrepare ? h("label", { class: "check" }, prepared, " Let the server prepare the file")
          : null, reasonField, start), progress),
    mayPrepare ? section("Prepared files", h("p", { class: "hint" },
        "Kept for a day, or until something is purged or erased. They go on when this page is left."),
    list.node) : null);
}

// A tlog has no contents that a filter could choose.
async function prepare(params, format, reason, start, place, list, signal) {
  const query = filtersOf(params);
  const filter = Object.fromEntries([...new Set(query.keys())].map((name) =>
      [name, query.getAll(name)]));
  const body = { format, ...(format === "tlog" || query.size === 0 ? {} : { filter }),
    ...(reason ? { reason } : {}) };
  start.disabled = true;
  await into(place, async () => {
    const job = await post("/v1/exports", body, signal);
    list.look();
    return h("p", { role: "status" }, "The server prepares it as ", text(job.id), ": see below.");
  });
  start.disabled = false;
}

async function run(params, format, start, place, count, signal) {
  const own = new AbortController();
  signal.addEventListener("abort", () => own.abort());
  const words = h("p", { role: "status" }, "Starting …");
  start.disabled = true;
  let sink = null;
  try {
    sink = await openSink(`tally-export.${format}`, count > IN_MEMORY);
    place.replaceChildren(words, button("Stop", () => own.abort()));
    const query = filtersOf(params);
    query.set("format", format);
    const answer = await request("GET", "/v1/exports", { query, signal: own.signal });
    const end = await copy(answer.body, sink, (bytes) => {
      words.textContent = `${bytes.toLocaleString("en")} bytes …`;
    });
    place.replaceChildren(await finish(answer, sink, end, format));
  } catch (error) {
    await sink?.drop();
    place.replaceChildren(failure(error));
  } finally {
    start.disabled = false;
  }
}

function failure(error) {
  if (error.name === "AbortError") {
    return h("p", {}, "Stopped; nothing was saved.");
  }
  return problemBox(error instanceof Problem ? error
    : { title: "The export broke off", detail: "The file would not be whole, and was not saved.",
        advice: "Export again." });
}

// Saves the file and says what its manifest says. CSV has none: there only the stream's end says
// that it is whole.
async function finish(answer, sink, end, format) {
  const manifest = format === "csv" ? null : manifestOf(new TextDecoder().decode(end), format);
  if (format !== "csv" && manifest?.complete !== true) {
    await sink.drop();
    return problemBox({ title: "The export is not whole",
        detail: "It does not end with a manifest, and was not saved.", advice: "Export again." });
  }
  const name = sink.name ?? offeredName(answer) ?? `tally-export.${format}`;
  await sink.save(name, answer.headers.get("Content-Type") ?? undefined);
  return h("div", {}, h("p", { class: "verdict ok", role: "status" }, "Saved as ", text(name), "."),
      manifest ? facts([
    ["Records", String(manifest.count)], ["First position", manifest.first_seq],
        ["Last position", manifest.last_seq],
    ["Tree size", manifest.tree_size], ["Root", manifest.root]]) : null);
}

function manifestOf(end, format) {
  try {
    if (format === "ndjson") {
      return JSON.parse(end.trimEnd().split("\n").at(-1)).tally_export ?? null;
    }
    const found = /"export":(\{[^]*\})\s*\}\s*$/.exec(end.slice(end.lastIndexOf('"export":')));
    return JSON.parse(found[1]);
  } catch {
    return null;
  }
}
