// A verification report and a job's progress, as several views show them.

import { follow, post, remove } from "./api.js";
import { announce, badge, button, facts, h, problemBox, table, text } from "./dom.js";
import { when } from "./time.js";

const LOOKS = { VERIFIED: ["ok", "✓ VERIFIED"], TAMPERED: ["bad", "✗ TAMPERED"],
    UNVERIFIABLE: ["warning", "! UNVERIFIABLE"] };

const QUALIFIERS = {
  unanchored: "no anchor, remembered checkpoint or quorum: the tail could have been cut",
  mac_unchecked: "the MACs need the auditors' key",
  content_part: "only a part of the contents was looked at",
  purged: "contents were purged, on record",
  erased: "contents were erased, on record",
  withheld: "contents were withheld",
  gaps: "the ledger declares gaps",
  restored: "the ledger was restored from a backup",
  volatile: "the ledger may drop its oldest contents",
  index_unchecked: "the search index was not looked at",
};

export function verdictBadge(report) {
  const [kind, label] = LOOKS[report?.verdict] ?? ["note", `? ${report?.verdict ?? "UNKNOWN"}`];
  return badge(kind, text(label));
}

// Verdict, how much it covers, what was found.
export function verdictOf(report) {
  if (!report) {
    return problemBox({ title: "There is no report",
        advice: "Nothing is known about the ledger then." });
  }
  const findings = report.findings ?? [];
  const heads = ["Finding", "Weight", "Record", "What"];
  return h("div", { class: "stack" }, h("p", {}, verdictBadge(report)), facts([
    ["Records checked", `${report.checked} of ${report.expected}`],
    ["Contents compared", report.contents],
    ["Skipped", report.skipped || null],
    ["As of", report.checkpoint ? [`${report.checkpoint.size} records, `,
        when(report.checkpoint.time)] : null],
    ["Found", report.counts
        ? `${report.counts.tampered} tampered, ${report.counts.unverifiable} unverifiable, ` +
      `${report.counts.warnings} warnings, ${report.counts.notes} notes` : null],
    ["Limits", report.qualifiers?.length ? h("ul", {},
        report.qualifiers.map((one) => h("li", {}, text(one),
        QUALIFIERS[one] ? ` – ${QUALIFIERS[one]}` : null))) : null],
  ]), findings.length ? table("Findings", heads, findings.slice(0, 200).map((one) => [
    h("code", {}, text(one.code)), text(one.weight),
    Number.isSafeInteger(one.seq) ? h("a", { href: `#/record/${one.seq}` }, String(one.seq)) : "–",
    text(one.what)])) : h("p", { class: "hint" }, "No findings."));
}

// Follows a job in `place` with a bar and a button that stops it, then shows what `shown` makes of
// its result.
export async function watchJob(job, place, shown, signal) {
  const bar = h("progress", { "aria-label": "Progress" });
  const words = h("p", { class: "hint", role: "status" });
  const stop = button("Stop", () => remove(`/v1/jobs/${encodeURIComponent(job.id)}`, signal)
      .catch((error) => {
    place.append(problemBox(error));
  }));
  place.replaceChildren(bar, words, stop);
  const result = await follow(job, ({ state, progress }) => {
    if (progress?.total > 0) {
      bar.max = progress.total;
      bar.value = progress.done;
    }
    words.textContent = `${state}: ${progress?.done ?? 0} of ${progress?.total ?? "?"}`;
  }, signal);
  place.replaceChildren(...[shown(result)].flat());
  announce("Done");
}

// Starts a verification and shows it in `place`; gives whether it came to an end.
export async function verify(body, place, shown, signal) {
  try {
    await watchJob(await post("/v1/verify", body, signal), place, shown, signal);
    return true;
  } catch (error) {
    if (error.name !== "AbortError") {
      place.replaceChildren(problemBox(error));
    }
    return false;
  }
}
