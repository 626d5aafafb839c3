// Export: the filter of the search as a file.

import { get, Problem, request } from "./api.js";
import { button, facts, field, h, into, problemBox, save, section, select, text } from "./dom.js";
import { filterForm, filtersOf, summary } from "./filters.js";

const FORMATS = [["ndjson", "NDJSON: a record a line, ends with a manifest"],
    ["json", "JSON: one document, ends with a manifest"],
  ["csv", "CSV: for spreadsheets, formulas made harmless"]];

const IN_MEMORY = 10000; // records; more go straight into a file
const END = 65536; // bytes in which the manifest is

export function render(params, { go, signal }) {
  const count = h("div", { role: "status" });
  const progress = h("div", { class: "stack" });
  const format = select(FORMATS, params.get("format") ?? "ndjson", { id: "format" });
  into(count, async () => {
    const found = await get("/v1/count", filtersOf(params), signal);
    most = found.exact ? found.count : Infinity;
    return h("p", {}, h("strong", {},
        `${found.count.toLocaleString("en")}${found.exact ? "" : " or more"} records`), " fit.");
  });
  let most = null;
  const start = h("button",
      { type: "button", class: "primary", onclick: () =>
      run(params, format.value, start, progress, most, signal) }, "Export");
  return h("div", { class: "stack" },
      filterForm(params, (next) => go("export", next), { submit: "Use these filters" }),
    section("What goes along", summary(params), count,
      h("p", { class: "hint" },
          "As the ledger is at the moment it starts. The export itself becomes "
            + "an event: who, and which filters, never what was searched for.")),
    section("File", h("div", { class: "row" }, field("Format", format), start), progress));
}

async function run(params, format, start, place, count, signal) {
  const own = new AbortController();
  signal.addEventListener("abort", () => own.abort());
  const words = h("p", { role: "status" }, "Starting …");
  start.disabled = true;
  let sink = null;
  try {
    sink = await openSink(format, count);
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

// Where the bytes go: memory, or straight into a file where it may be large and the browser can do
// that.
async function openSink(format, count) {
  if (count > IN_MEMORY && globalThis.showSaveFilePicker) {
    const handle = await showSaveFilePicker({ suggestedName: `tally-export.${format}` });
    const file = await handle.createWritable();
    return { name: handle.name, write: (part) => file.write(part), save: () => file.close(),
        drop: () => file.abort() };
  }
  const parts = [];
  return { name: null, write: (part) => parts.push(part), save: (name, type) =>
      save(name, parts, type), drop() {} };
}

// Copies the stream, and gives its last bytes.
async function copy(stream, sink, progress) {
  const reader = stream.getReader();
  let end = new Uint8Array();
  let bytes = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return end;
    }
    await sink.write(value);
    bytes += value.length;
    end = value.length >= END ? value.slice(-END) : new Uint8Array([...end, ...value]).slice(-END);
    progress(bytes);
  }
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
  const offered = /filename="([\w.-]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1];
  const name = sink.name ?? offered ?? `tally-export.${format}`;
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
