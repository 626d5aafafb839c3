// How many events there were on which day, or in which hour, as bars. A range is dragged with the pointer, or chosen
// with the arrow keys, Shift to extend, and Enter.

import { announce, h, svg } from "./dom.js";
import { timeOf } from "./time.js";

const WIDTH = 1000;
const HEIGHT = 80;
const MOST_BARS = 90;

// `rows` as /v1/stats gives them by `unit`; `chosen(from, to)` gets two bounds, the second not
// included.
export function histogram(rows, params, unit, chosen) {
  const bars = barsOf(rows, params, unit);
  if (bars.length === 0) {
    return null;
  }
  const most = Math.max(...bars.map((bar) => bar.count), 1);
  const step = WIDTH / bars.length;
  const shapes = bars.map((bar, index) => barShape(bar, index, step, most, unit));
  const label = h("p", { class: "hint", "aria-live": "polite" }, `Drag over ${unit.plural} to search there.`);
  const drawing = svg("svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "application",
    tabindex: "0", id: "histogram", "aria-roledescription": "timeline",
    "aria-label": `Events by ${unit.by}, ${overall(bars, unit)}. `
        + `Arrow keys choose ${unit.plural}, Shift extends, Enter searches there.` }, shapes);
  selectable(drawing, bars, { shapes, label, unit, chosen });
  return h("div", { class: "histogram" }, drawing,
    h("div", { class: "axis", "aria-hidden": "true" }, h("span", {}, unit.label(bars[0].first)),
        h("span", {}, unit.label(bars.at(-1).last))), label);
}

function overall(bars, unit) {
  return `${unit.label(bars[0].first)} to ${unit.label(bars.at(-1).last)}`;
}

// Days without events are bars too; many days share one bar.
function barsOf(rows, params, unit) {
  const counts = rows.map((row) => [Math.floor(unit.time(row) / unit.size), row.count])
      .filter(([start]) => !Number.isNaN(start));
  if (counts.length === 0) {
    return [];
  }
  const from = timeOf(params.get("from"));
  const first = counts.reduce((least, [start]) => Math.min(least, start),
      from === null ? Infinity : Math.floor(from / unit.size));
  const last = counts.reduce((most, [start]) => Math.max(most, start), first);
  const size = Math.ceil((last - first + 1) / MOST_BARS);
  const bars = Array.from({ length: Math.ceil((last - first + 1) / size) }, (_, index) =>
    ({ first: first + index * size, last: Math.min(last, first + index * size + size - 1),
        count: 0 }));
  for (const [start, count] of counts) {
    bars[Math.floor((start - first) / size)].count += count;
  }
  return bars;
}

function barShape(bar, index, step, most, unit) {
  const width = Math.min(step * 0.8, 60);
  const height = bar.count === 0 ? 0 : Math.max(2, (bar.count / most) * (HEIGHT - 4));
  return svg("g", { class: "bar" },
    svg("rect", { class: "back", x: index * step, y: 0, width: step, height: HEIGHT }),
    svg("rect", { class: "fill", x: (index + 0.5) * step - width / 2, y: HEIGHT - height, width,
        height }),
    svg("title", {}, barText(bar, unit)));
}

function barText(bar, unit) {
  const span = bar.first === bar.last ? unit.label(bar.first)
      : `${unit.label(bar.first)} to ${unit.label(bar.last)}`;
  return `${span}: ${bar.count.toLocaleString("en")} events`;
}

function selectable(drawing, bars, { shapes, label, unit, chosen }) {
  let anchor = null;
  let end = null;
  let dragging = false;
  const show = () => {
    const [low, high] = [Math.min(anchor, end), Math.max(anchor, end)];
    shapes.forEach((shape, index) => shape.classList.toggle("on", anchor !== null && index >= low &&
        index <= high));
    const count = bars.slice(low, high + 1).reduce((sum, bar) => sum + bar.count, 0);
    label.textContent = barText({ first: bars[low].first, last: bars[high].last, count }, unit);
  };
  const finish = () => {
    const [low, high] = [Math.min(anchor, end), Math.max(anchor, end)];
    announce(`Searching ${label.textContent}`);
    chosen(unit.bound(bars[low].first), unit.bound(bars[high].last + 1));
  };
  const at = (event) => {
    const box = drawing.getBoundingClientRect();
    const index = Math.floor(((event.clientX - box.left) / box.width) * bars.length);
    return Math.max(0, Math.min(bars.length - 1, index));
  };
  drawing.addEventListener("pointerdown", (event) => {
    drawing.setPointerCapture(event.pointerId);
    dragging = true;
    anchor = end = at(event);
    show();
  });
  drawing.addEventListener("pointermove", (event) => {
    if (dragging) {
      end = at(event);
      show();
    }
  });
  drawing.addEventListener("pointerup", () => {
    if (dragging) {
      dragging = false;
      finish();
    }
  });
  drawing.addEventListener("pointercancel", () => {
    dragging = false;
  });
  drawing.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key in moves) {
      end = Math.max(0, Math.min(bars.length - 1, (end ?? bars.length) + moves[event.key]));
      anchor = event.shiftKey && anchor !== null ? anchor : end;
      show();
      event.preventDefault();
    } else if (event.key === "Enter" && anchor !== null) {
      finish();
    }
  });
}
