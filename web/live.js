// The tail: new records as they come, with pause and filters.

import { tail } from "./api.js";
import { announce, button, h, problemBox, table, tableRow } from "./dom.js";
import { filterForm, filtersOf } from "./filters.js";
import { COLUMNS, USUAL } from "./record.js";

const MOST_ROWS = 500;

export function render(params, { go, signal }) {
  const heads = USUAL.map((name) => COLUMNS[name][0]);
  const list = table("New records, newest first", heads, []);
  const body = list.tBodies[0];
  const state = h("p", { class: "count", role: "status" }, "Connecting …");
  const trouble = h("div");
  const waiting = [];
  let paused = false;
  let count = 0;

  const add = (item) => {
    body.prepend(tableRow(heads, USUAL.map((name) => COLUMNS[name][1](item))));
    if (body.rows.length > MOST_ROWS) {
      body.deleteRow(-1);
    }
  };
  const pauseButton = button("Pause", () => {
    paused = !paused;
    pauseButton.textContent = paused ? "Go on" : "Pause";
    pauseButton.setAttribute("aria-pressed", String(paused));
    waiting.splice(0).forEach(add);
    announce(paused ? "Paused" : "Going on");
    say();
  });
  pauseButton.setAttribute("aria-pressed", "false");
  let connection = "Connecting …";
  const say = () => {
    const held = paused ? `; paused, ${waiting.length} waiting` : "";
    state.textContent = `${connection} ${count.toLocaleString("en")} new${held}.`;
  };

  // A fast ledger would drown a screen reader: the count is said, and at most once in two seconds.
  let due = null;
  const sayLater = () => {
    due ??= setTimeout(() => {
      due = null;
      say();
    }, 2000);
  };
  const each = (item) => {
    count += 1;
    if (paused) {
      waiting.push(item);
      waiting.splice(0, waiting.length - MOST_ROWS);
    } else {
      add(item);
    }
    count === 1 ? say() : sayLater();
  };
  tail(filtersOf(params, { ranges: false }), each, (now) => {
    connection = now === "open" ? "Connected." : "Connection lost, trying again.";
    say();
  }, signal).catch((error) => {
    if (error.name !== "AbortError") {
      connection = "Not connected.";
      say();
      trouble.replaceChildren(problemBox(error));
    }
  });

  return h("div", { class: "stack" },
      filterForm(params, (next) => go("live", next), { ranges: false, submit: "Watch" }),
    h("div", { class: "row tools" }, h("div", { class: "grow" }, state), pauseButton,
        button("Clear", () => body.replaceChildren())),
    trouble, h("div", { class: "results card", "aria-live": "off" }, list,
      h("p", { class: "empty if-empty" },
          `Waiting for records. The newest ${MOST_ROWS} are shown here.`)));
}
