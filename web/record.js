// One record as a line: what the lists of search, live and related events show.

import { badge, h, text } from "./dom.js";
import { when } from "./time.js";

const short = (value) => (value === undefined || value === null || value === "" ? "–" : text(value,
    { most: 120, all: false }));

export function recordLink(item, label) {
  return h("a", { href: `#/record/${Number(item.seq)}`, class: "record" }, label);
}

// What is done, or which control record it is.
export function actionOf(item) {
  return item.event?.action ?? (item.kind === "event" ? `(${item.state})` : `[${item.kind}]`);
}

export function actorOf(item) {
  const actor = item.event?.actor;
  if (!actor) {
    return item.payload?.by ? short(item.payload.by) : "–";
  }
  return actor.name ? [short(actor.name), actor.id
      ? [" ", h("span", { class: "second" }, short(actor.id))] : null] : short(actor.id ??
      actor.type);
}

export function targetOf(item) {
  const targets = item.event?.targets ?? [];
  if (targets.length === 0) {
    return "–";
  }
  const [first] = targets;
  const more = targets.length > 1 ? ` +${targets.length - 1}` : "";
  return [h("span", { class: "second" }, short(first.type ?? "")), " ",
      short(first.name ?? first.id ?? ""), more];
}

const OUTCOMES = { success: "✓", failure: "✗", pending: "…", unknown: "?" };

export function outcomeBadge(outcome) {
  return outcome ? badge(`outcome-${outcome in OUTCOMES ? outcome : "unknown"}`,
      [OUTCOMES[outcome] ?? "?", " ", text(outcome)]) : "–";
}

const SEVERITIES = new Set(["low", "medium", "high", "critical"]);

export function severityBadge(severity) {
  return severity ? badge(`severity-${SEVERITIES.has(severity) ? severity : "medium"}`,
      text(severity)) : "–";
}

// name: [label, cell]
export const COLUMNS = {
  time: ["Time", (item) => when(item.time)],
  action: ["Action", (item) => recordLink(item,
      [short(actionOf(item)), item.state === "partial" ? badge("note", "partly erased") : null])],
  actor: ["Actor", actorOf],
  target: ["Target", targetOf],
  outcome: ["Outcome", (item) => outcomeBadge(item.event?.outcome)],
  severity: ["Severity", (item) => severityBadge(item.event?.severity)],
  reason: ["Reason", (item) => short(item.event?.reason)],
  tenant: ["Tenant", (item) => short(item.event?.tenant_id)],
  service: ["Service", (item) => short(item.event?.source?.service)],
  host: ["Host", (item) => short(item.event?.source?.host)],
  ip: ["Address", (item) => short(item.event?.source?.ip)],
  transport: ["Transport", (item) => short(item.event?.transport)],
  correlation: ["Correlation", (item) => short(item.event?.correlation_id)],
  request: ["Request", (item) => short(item.event?.request_id)],
  session: ["Session", (item) => short(item.event?.session_id)],
  tags: ["Tags", (item) => (item.event?.tags ?? []).slice(0, 5).map((tag) =>
      badge("note", short(tag)))],
  id: ["Id", (item) => short(item.id)],
  recorded: ["Recorded", (item) => when(item.recorded_at, true)],
  seq: ["Position", (item) => String(item.seq)],
  state: ["State", (item) => short(item.state)],
};
export const USUAL = ["time", "action", "actor", "target", "outcome", "severity"];
