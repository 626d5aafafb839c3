// Export: the filter of the search as a file.

import { get, Problem, request } from "./api.js";
import { button, facts, field, h, into, problemBox, save, section, select } from "./dom.js";
import { filterForm, filtersOf, summary } from "./filters.js";

const FORMATS = [["ndjson", "NDJSON: a record a line, ends with a manifest"], ["json", "JSON: one document, ends with a manifest"],
  ["csv", "CSV: for spreadsheets, formulas made harmless"]];

export function render(params, { go, signal }) {
  const count = h("div", { role: "status" });
  const progress = h("div", { class: "stack" });
  const format = select(FORMATS, params.get("format") ?? "ndjson", { id: "format" });
  into(count, async () => {
    const found = await get("/v1/count", filtersOf(params), signal);
    return h("p", {}, h("strong", {}, `${found.count.toLocaleString("en")}${found.exact ? "" : " or more"} records`), " fit.");
  });
  const start = h("button", { type: "button", class: "primary", onclick: () => run(params, format.value, start, progress, signal) }, "Export");
  return h("div", { class: "stack" }, filterForm(params, (next) => go("export", next), { submit: "Use these filters" }),
    section("What goes along", summary(params), count,
      h("p", { class: "hint" }, "As the ledger is at the moment it starts. The export itself becomes an event: who, and which filters, never what was searched for.")),
    section("File", h("div", { class: "row" }, field("Format", format), start), progress));
}

async function run(params, format, start, place, signal) {
  const own = new AbortController();
  signal.addEventListener("abort", () => own.abort());
  const words = h("p", { role: "status" }, "Starting …");
  place.replaceChildren(words, button("Stop", () => own.abort()));
  start.disabled = true;
  try {
    const query = filtersOf(params);
    query.set("format", format);
    const answer = await request("GET", "/v1/exports", { query, signal: own.signal });
    const parts = await readAll(answer, (bytes) => {
      words.textContent = `${bytes.toLocaleString("en")} bytes …`;
    });
    place.replaceChildren(await finished(answer, parts, format));
  } catch (error) {
    const stopped = error.name === "AbortError";
    place.replaceChildren(stopped ? h("p", {}, "Stopped; nothing was saved.") : problemBox(error instanceof Problem ? error
      : { title: "The export broke off", detail: "The file would not be whole, and was not saved.", advice: "Export again." }));
  } finally {
    start.disabled = false;
  }
}

async function readAll(answer, progress) {
  const reader = answer.body.getReader();
  const parts = [];
  let bytes = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return parts;
    }
    parts.push(value);
    bytes += value.length;
    progress(bytes);
  }
}

// Saves the file and says what its manifest says. CSV has none: there only the stream's end says that it is whole.
async function finished(answer, parts, format) {
  const manifest = format === "csv" ? null : await manifestOf(parts, format);
  if (format !== "csv" && manifest?.complete !== true) {
    return problemBox({ title: "The export is not whole", detail: "It does not end with a manifest, and was not saved.", advice: "Export again." });
  }
  const name = /filename="([\w.-]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? `tally-export.${format}`;
  save(name, parts, answer.headers.get("Content-Type") ?? undefined);
  return h("div", {}, h("p", { class: "verdict ok", role: "status" }, `Saved as ${name}.`), manifest ? facts([
    ["Records", String(manifest.count)], ["First position", manifest.first_seq], ["Last position", manifest.last_seq],
    ["Tree size", manifest.tree_size], ["Root", manifest.root]]) : null);
}

async function manifestOf(parts, format) {
  const blob = new Blob(parts);
  const end = await blob.slice(Math.max(0, blob.size - 65536)).text();
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
