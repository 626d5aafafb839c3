// Exports that the server makes as jobs: how far they are, their files, their end.

import { get, pause, Problem, remove, request } from "./api.js";
import { copy, offeredName, openSink } from "./download.js";
import { announce, badge, button, facts, h, into, problemBox, text } from "./dom.js";
import { when } from "./time.js";

const IN_MEMORY = 64 << 20; // bytes; more go straight into a file
const STATES = { queued: ["", "waits"], running: ["warning", "in the making"], done: ["ok", "✓ done"],
  failed: ["bad", "✗ failed"], cancelled: ["", "stopped"] };
const number = (value) => value.toLocaleString("en");
const isAtWork = (job) => job.state === "queued" || job.state === "running";

// The list, and how to look again; it follows what is at work until that has ended or the view is
// left.
export function preparedList(signal) {
  const place = h("div", { class: "stack" });
  const cards = new Map();
  let turn = 0;
  const show = (jobs) => (jobs.length === 0
    ? h("p", { class: "hint" }, "None since the server was started.")
    : jobs.map((job) => cardOf(cards, job, look, signal)));
  async function look() {
    const mine = ++turn;
    for (let wait = 250; mine === turn; wait = Math.min(wait * 1.5, 3000)) {
      let jobs = [];
      await into(place, async () => {
        jobs = (await get("/v1/jobs", {}, signal)).jobs.filter((job) => job.kind === "export");
        return show(jobs);
      });
      if (!jobs.some(isAtWork)) {
        return;
      }
      await pause(wait, signal).catch(() => turn++); // left
    }
  }
  look();
  return { node: place, look };
}

// A job that is as it was keeps its card, and with it the focus and what a download says.
function cardOf(cards, job, look, signal) {
  const state = JSON.stringify(job);
  if (cards.get(job.id)?.state !== state) {
    cards.set(job.id, { state, node: card(job, look, signal) });
  }
  return cards.get(job.id).node;
}

function card(job, look, signal) {
  const [kind, label] = STATES[job.state] ?? ["", job.state];
  const place = h("div", { role: "status" });
  const end = button(isAtWork(job) ? "Stop" : "Delete the file", () => into(place, async () => {
    await remove(`/v1/jobs/${encodeURIComponent(job.id)}`, signal);
    announce(isAtWork(job) ? "Asked to stop" : "File deleted");
    look();
    return [];
  }));
  const result = job.result;
  return h("div", { class: "prepared", "data-job": job.id },
    h("p", {}, badge(kind, label), " ", h("strong", {}, text(result?.format ?? "export")), " ",
      text(job.id), ", by ", text(job.by), " ", when(job.started_at),
      job.state === "running" ? ` – ${number(job.progress.done)} of ${number(job.progress.total)}`
        : null),
    job.problem ? problemBox(job.problem) : null,
    result ? facts([["Records", number(result.records)], ["Bytes", number(result.bytes)],
      ["SHA-256", h("code", {}, text(result.sha256))],
      ["Kept until", result.file ? when(result.kept_until) : "removed"]]) : null,
    h("div", { class: "row" },
      result?.file ? h("button", { type: "button", class: "primary",
        onclick: () => into(place, () => download(result, place, signal)) }, "Download") : null,
      isAtWork(job) || result?.file ? end : null),
    place);
}

async function download(result, place, signal) {
  let sink = null;
  try {
    sink = await openSink(`tally-${result.format}`, result.bytes > IN_MEMORY);
    const answer = await request("GET", result.file, { signal });
    await copy(answer.body, sink, (bytes) => {
      place.textContent = `${number(bytes)} of ${number(result.bytes)} bytes …`;
    });
    const name = sink.name ?? offeredName(answer) ?? `tally-${result.format}`;
    await sink.save(name, answer.headers.get("Content-Type") ?? undefined);
    return h("p", { class: "verdict ok" }, "Saved as ", text(name), ".");
  } catch (error) {
    await sink?.drop();
    throw error instanceof Problem || error.name === "AbortError" ? error
      : new Problem(0, { title: "The download broke off", detail: "Nothing was saved." });
  }
}
