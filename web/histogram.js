// How many events there were on which day, as bars. A range is dragged with the pointer, or chosen
// with the arrow keys, Shift to extend, and Enter.

import { announce, h, svg } from "./dom.js";
import { dayNumber, dayOf, dayText } from "./time.js";

const WIDTH = 1000;
const HEIGHT = 80;
const MOST_BARS = 90;

// `rows` as /v1/stats gives them by day; `chosen(from, to)` gets two dates, the second not
// included.
export function histogram(rows, params, chosen) {
  const bars = barsOf(rows, params);
  if (bars.length === 0) {
    return null;
  }
  const most = Math.max(...bars.map((bar) => bar.count), 1);
  const step = WIDTH / bars.length;
  const shapes = bars.map((bar, index) => barShape(bar, index, step, most));
  const label = h("p", { class: "hint", "aria-live": "polite" }, "Drag over days to search there.");
  const drawing = svg("svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "application",
    tabindex: "0", id: "histogram", "aria-roledescription": "timeline",
    "aria-label": `Events by day, ${overall(bars)}. `
        + "Arrow keys choose days, Shift extends, Enter searches there." }, shapes);
  selectable(drawing, bars, shapes, label, chosen);
  return h("div", { class: "histogram" }, drawing,
    h("div", { class: "axis", "aria-hidden": "true" }, h("span", {}, dayText(bars[0].first)),
        h("span", {}, dayText(bars.at(-1).last))), label);
}

function overall(bars) {
  return `${dayText(bars[0].first)} to ${dayText(bars.at(-1).last)}`;
}

// Days without events are bars too; many days share one bar.
function barsOf(rows, params) {
  const days = rows.map((row) => [dayNumber(row.day), row.count]).filter(([day]) =>
      !Number.isNaN(day));
  if (days.length === 0) {
    return [];
  }
  const first = days.reduce((least, [day]) => Math.min(least, day), dayOf(params.get("from")) ??
      Infinity);
  const last = days.reduce((most, [day]) => Math.max(most, day), first);
  const size = Math.ceil((last - first + 1) / MOST_BARS);
  const bars = Array.from({ length: Math.ceil((last - first + 1) / size) }, (_, index) =>
    ({ first: first + index * size, last: Math.min(last, first + index * size + size - 1),
        count: 0 }));
  for (const [day, count] of days) {
    bars[Math.floor((day - first) / size)].count += count;
  }
  return bars;
}

function barShape(bar, index, step, most) {
  const width = Math.min(step * 0.8, 60);
  const height = bar.count === 0 ? 0 : Math.max(2, (bar.count / most) * (HEIGHT - 4));
  return svg("g", { class: "bar" },
    svg("rect", { class: "back", x: index * step, y: 0, width: step, height: HEIGHT }),
    svg("rect", { class: "fill", x: (index + 0.5) * step - width / 2, y: HEIGHT - height, width,
        height }),
    svg("title", {}, barText(bar)));
}

function barText(bar) {
  const days = bar.first === bar.last ? dayText(bar.first)
      : `${dayText(bar.first)} to ${dayText(bar.last)}`;
  return `${days}: ${bar.count.toLocaleString("en")} events`;
}

function selectable(drawing, bars, shapes, label, chosen) {
  let anchor = null;
  let end = null;
  let dragging = false;
  const show = () => {
    const [low, high] = [Math.min(anchor, end), Math.max(anchor, end)];
    shapes.forEach((shape, index) => shape.classList.toggle("on", anchor !== null && index >= low &&
        index <= high));
    const count = bars.slice(low, high + 1).reduce((sum, bar) => sum + bar.count, 0);
    label.textContent = barText({ first: bars[low].first, last: bars[high].last, count });
  };
  const finish = () => {
    const [low, high] = [Math.min(anchor, end), Math.max(anchor, end)];
    announce(`Searching ${label.textContent}`);
    chosen(dayText(bars[low].first), dayText(bars[high].last + 1));
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
