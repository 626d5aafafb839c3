// Times: the ledger keeps UTC to the microsecond; the page shows that, or the reader's own zone.

import { h, keep, recall, text } from "./dom.js";

const local = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" });

export function isLocal() {
  return recall("local", false);
}

export function setLocal(on) {
  keep("local", on);
}

// "2026-03-14 09:26:53 UTC"; `fine` adds the fraction of the second. What is no time stays as it
// is.
export function timeText(value, fine = false) {
  const date = new Date(value);
  if (typeof value !== "string" || Number.isNaN(date.getTime())) {
    return String(value ?? "");
  }
  const fraction = fine ? /\.\d+/.exec(value)?.[0] ?? "" : "";
  if (!isLocal()) {
    return `${date.toISOString().slice(0, 19).replace("T", " ")}${fraction} UTC`;
  }
  const name = zone.formatToParts(date).find((part) => part.type === "timeZoneName").value;
  return `${local.format(date)}${fraction} ${name}`;
}

// Microseconds since 1970, as a BigInt; -1 for what is no time in UTC.
export function micros(text) {
  const [, whole, fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(text) ?? [];
  const seconds = Date.parse(`${whole}Z`);
  return Number.isNaN(seconds) ? -1n
      : BigInt(seconds) * 1000n + BigInt(fraction.padEnd(6, "0").slice(0, 6));
}

// A <time> whose tooltip says how long ago it was.
export function when(value, fine = false) {
  if (value === null || value === undefined || value === "") {
    return h("span", {}, "–");
  }
  return h("time", { datetime: String(value), title: ago(value) }, text(timeText(value, fine)));
}

const STEPS = [[60, "second"], [60, "minute"], [24, "hour"], [30, "day"], [12, "month"],
    [Infinity, "year"]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

// "3 minutes ago"
export function ago(value) {
  let amount = (new Date(value).getTime() - Date.now()) / 1000;
  if (Number.isNaN(amount)) {
    return "";
  }
  for (const [size, unit] of STEPS) {
    if (Math.abs(amount) < size) {
      return relative.format(Math.round(amount), unit);
    }
    amount /= size;
  }
  return "";
}

// 93784 → "1 d 2 h"
export function duration(seconds) {
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const words = [];
  let rest = Math.max(0, Math.round(seconds));
  for (const [unit, size] of parts) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) {
      words.push(`${count} ${unit}`);
    }
  }
  return words.slice(0, 2).join(" ") || "0 s";
}

// Between `started_at` and `ended_at`, in the finest unit that says it.
export function between(from, to) {
  const milliseconds = new Date(to) - new Date(from);
  return milliseconds < 1000 ? `${milliseconds} ms` : duration(milliseconds / 1000);
}

const DAY = 86400000;

const HOUR = 3600000;

// What a timeline counts by. Starts are numbered; `bound` is what the filters take, `label` what is
// shown.
const DAYS = { by: "day", plural: "days", size: DAY, time: (row) => Date.parse(`${row.day}T00:00:00Z`),
  bound: (start) => isoOf(start * DAY).slice(0, 10),
  label: (start) => isoOf(start * DAY).slice(0, 10) };
const HOURS = { by: "hour", plural: "hours", size: HOUR, time: (row) => Date.parse(row.hour),
  bound: (start) => `${isoOf(start * HOUR).slice(0, 13)}:00:00Z`,
  label: (start) => `${isoOf(start * HOUR).slice(0, 13).replace("T", " ")}:00 UTC` };
const isoOf = (time) => new Date(time).toISOString();

// Hours for what lasts three days at most.
export function unitOf(params) {
  const from = timeOf(params.get("from"));
  const to = timeOf(params.get("to")) ?? Date.now();
  return from !== null && to - from <= 3 * DAY + HOUR ? HOURS : DAYS;
}

// The moment of an absolute, dated or relative bound, as the filters take it; null if it is none.
export function timeOf(bound) {
  const match = /^-(\d+)([smhdw])$/.exec(bound ?? "");
  if (match) {
    const size = { s: 1000, m: 60000, h: HOUR, d: DAY, w: 7 * DAY }[match[2]];
    return Date.now() - Number(match[1]) * size;
  }
  const time = bound === "now" ? Date.now() : Date.parse(bound ?? "");
  return Number.isNaN(time) ? null : time;
}
