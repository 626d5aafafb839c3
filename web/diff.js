// Old and new values side by side: only what differs, each by its place.

import { badge, h, table, text } from "./dom.js";

const MOST_ROWS = 500;
const isObject = (value) => value !== null && typeof value === "object";
const token = (key) => String(key).replaceAll("~", "~0").replaceAll("/", "~1");

// [{ path, before, after }]; undefined stands for "not there". Own properties only: an event may
// well have a member named "__proto__".
export function differences(before, after, path = "", found = []) {
  if (isObject(before) && isObject(after) && Array.isArray(before) === Array.isArray(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    for (const key of keys) {
      const side = (object) => (Object.hasOwn(object, key) ? object[key] : undefined);
      differences(side(before), side(after), `${path}/${token(key)}`, found);
    }
  } else if (JSON.stringify(before) !== JSON.stringify(after)) {
    found.push({ path: path || "/", before, after });
  }
  return found;
}

export function diffTable(before = {}, after = {}) {
  const rows = differences(before, after);
  if (rows.length === 0) {
    return h("p", { class: "hint" }, "Old and new values are the same.");
  }
  const cells = rows.slice(0, MOST_ROWS).map((row) => [
    text(row.path), badge(...markOf(row)), valueOf(row.before, "removed"),
        valueOf(row.after, "added")]);
  return [table("Differences of old and new values", ["Member", "Change", "Old", "New"], cells),
    rows.length > MOST_ROWS ? h("p", { class: "hint" },
        `${rows.length - MOST_ROWS} more are in the raw text.`) : null];
}

function markOf(row) {
  if (row.before === undefined) {
    return ["added", "+ added"];
  }
  return row.after === undefined ? ["removed", "− removed"] : ["note", "≠ changed"];
}

function valueOf(value, kind) {
  if (value === undefined) {
    return h("span", { class: "hint" }, "not there");
  }
  return h("code", { class: kind },
      text(typeof value === "string" ? value : JSON.stringify(value)));
}
