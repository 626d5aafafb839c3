// Makes elements. Whatever comes from the server becomes a text node: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

// h("a", { href: "#/search", class: "x", onclick: fn }, "text", node, [more], null)
export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

// The same for drawings.
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else if (name === "value" || name === "checked" || name === "disabled" || name === "open") {
      node[name] = value;
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, name === "href" ? safeHref(value) : value === true ? "" : value);
    }
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined &&
      child !== false));
  return node;
}

// Links go to views of this page and nowhere else, whatever an event would like.
function safeHref(value) {
  if (!value.startsWith("#")) {
    throw new Error("a link out of the page");
  }
  return value;
}

// Characters that are not seen but change what is: controls, directions, zero width, fillers. An
// emoji may use joiners and variation selectors within itself.
const INVISIBLE = new RegExp(
  "(?<!\\p{Extended_Pictographic}|\\p{Emoji_Modifier})\\ufe0f|\\ufe0e" +
    "|(?<!\\p{Extended_Pictographic}\\ufe0f?|\\p{Emoji_Modifier})\\u200d" +
    "|\\u200d(?!\\p{Extended_Pictographic})" +
    "|[\\p{Cc}\\p{Zl}\\p{Zp}\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u2800\\u3164\\uffa0\\ufff0-\\uffff]" +
    "|[\\ufe00-\\ufe0d\\u{e0000}-\\u{e0fff}]|(?!\\u200d)\\p{Cf}",
  "gu",
);
const NAMES = {
  0x9: "tab", 0xa: "line feed", 0xd: "carriage return", 0xad: "soft hyphen",
      0x200b: "zero width space",
  0x200c: "zero width non-joiner", 0x200d: "zero width joiner", 0x200e: "left-to-right mark",
  0x200f: "right-to-left mark", 0x202a: "left-to-right embedding",
      0x202b: "right-to-left embedding",
  0x202c: "pop directional formatting", 0x202d: "left-to-right override",
      0x202e: "right-to-left override",
  0x2060: "word joiner", 0x2066: "left-to-right isolate", 0x2067: "right-to-left isolate",
  0x2068: "first strong isolate", 0x2069: "pop directional isolate",
      0xfeff: "zero width no-break space",
};

// Nodes for `text`, with a mark in place of each invisible character; line feeds may stay in a
// <pre>.
function marked(text, keepLines) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INVISIBLE)) {
    if (keepLines && match[0] === "\n") {
      continue;
    }
    const code = match[0].codePointAt(0);
    const label = "U+" + code.toString(16).toUpperCase().padStart(4, "0");
    nodes.push(text.slice(end, match.index));
    nodes.push(h("span", { class: "invisible", title: NAMES[code] ?? "invisible character" },
        label));
    end = match.index + match[0].length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

// Text of unknown origin and direction. Longer than `most` it is cut, and with `all` a button shows
// the rest.
export function text(value, { most = 400, all = true } = {}) {
  const whole = String(value);
  const node = h("bdi");
  if (whole.length <= most) {
    node.append(...marked(whole));
    return node;
  }
  node.append(...marked(cutAt(whole, most)), "…");
  if (all) {
    node.append(" ", button(`show all ${whole.length.toLocaleString("en")} characters`, () => {
      node.replaceChildren(...marked(whole));
    }, "link"));
  }
  return node;
}

// Not between the two halves of a character.
function cutAt(whole, most) {
  const last = whole.charCodeAt(most - 1);
  return whole.slice(0, last >= 0xd800 && last < 0xdc00 ? most - 1 : most);
}

// A block of text whose lines count, such as JSON.
export function block(value, most = 20000) {
  const node = h("pre", { dir: "ltr", tabindex: "0" });
  const show = (part) => node.replaceChildren(...marked(part, true));
  if (value.length <= most) {
    show(value);
    return node;
  }
  show(cutAt(value, most));
  const more = button(`Show all ${value.length.toLocaleString("en")} characters`, () => {
    show(value);
    more.remove();
  });
  return h("div", {}, node, more);
}

export function button(label, onclick, kind = "") {
  return h("button", { type: "button", class: kind, onclick }, label);
}

// A form's control with its label. `control` needs no id.
export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", { class: "label" }, label), control,
    hint ? h("span", { class: "hint" }, hint) : null);
}

export function select(options, value, attributes = {}) {
  const node = h("select", attributes,
      options.map(([key, label]) => h("option", { value: key }, label)));
  node.value = value ?? options[0][0];
  return node;
}

// A list of (name, value) that leaves out what has no value.
export function facts(pairs) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, rows.map(([name, value]) =>
    h("div", {}, h("dt", {}, name),
        h("dd", {}, value instanceof Node ? value : Array.isArray(value) ? value : text(value)))));
}

// A table of nodes or texts. The roles are said because on phones style.css makes blocks of the
// cells, and browsers then forget that it is a table.
export function table(caption, heads, rows) {
  return h("table", { role: "table" }, h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      heads.map((head) => h("th", { role: "columnheader", scope: "col" }, head)))),
    h("tbody", { role: "rowgroup" }, rows.map((cells) => tableRow(heads, cells))));
}

export function tableRow(heads, cells) {
  return h("tr", { role: "row" }, cells.map((cell, index) =>
    h("td", { role: "cell", "data-label": heads[index] },
      h("div", { class: "cell" }, cell instanceof Node || Array.isArray(cell) ? cell
          : text(cell ?? "–", { most: 160 })))));
}

export function badge(kind, label) {
  return h("span", { class: `badge ${kind}` }, label);
}

export function section(title, ...children) {
  return h("section", { class: "card" }, h("h2", {}, title), ...children);
}

// Speaks to screen readers, once per change.
export function announce(message) {
  document.getElementById("announcer").textContent = message;
}

// What a failed call looks like: title, detail, what to do, request id.
export function problemBox(problem) {
  const errors = problem.errors ?? [];
  return h("div", { class: "problem", role: "alert" },
    h("strong", {}, text(problem.title ?? "This page could not show what the server sent")),
    problem.detail ? h("p", {}, text(problem.detail)) : null,
    errors.length ? h("ul", {}, errors.slice(0, 20).map((error) =>
      h("li", {}, text(`${error.pointer ?? ""} ${error.detail ?? error.code}`)))) : null,
    problem.advice ? h("p", {}, problem.advice) : null,
    problem.request ? h("p", { class: "hint" }, "Request ", h("code", {}, text(problem.request)))
        : null);
}

// Runs `work` and puts what it returns into `place`; while it runs, and if it fails, `place` says
// so.
export async function into(place, work) {
  place.setAttribute("aria-busy", "true");
  if (!place.hasChildNodes()) {
    place.append(h("p", { class: "hint" }, "Loading …"));
  }
  try {
    const made = await work();
    place.replaceChildren(...[made].flat(Infinity).filter(Boolean));
  } catch (error) {
    if (error.name === "AbortError") {
      return;
    }
    if (error.title === undefined) {
      reportError(error); // a fault of this page, which somebody may want to find in the console
    }
    place.replaceChildren(problemBox(error));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

// Hands a file to the browser's downloads.
export function save(name, parts, type = "application/octet-stream") {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

export function copyButton(getText, label = "Copy") {
  const node = button(label, async () => {
    try {
      await navigator.clipboard.writeText(await getText());
      node.textContent = "Copied";
    } catch {
      node.textContent = "Could not copy";
    }
    announce(node.textContent);
    setTimeout(() => {
      node.textContent = label;
    }, 2000);
  });
  return node;
}

// What this browser keeps between visits. Private windows may refuse; then nothing is kept.
export function recall(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem("tally." + key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function keep(key, value) {
  try {
    localStorage.setItem("tally." + key, JSON.stringify(value));
  } catch {
    announce("This browser does not let the page keep settings.");
  }
}
