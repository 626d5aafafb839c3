// Signs in, shows one view at a time, and keeps what all views share: navigation, keys, focus.

import { get, setToken, takeToken } from "./api.js";
import { announce, button, field, h, problemBox, text } from "./dom.js";
import * as admin from "./admin.js";
import * as event from "./event.js";
import * as exporting from "./export.js";
import * as integrity from "./integrity.js";
import * as lifecycle from "./lifecycle.js";
import * as live from "./live.js";
import * as search from "./search.js";
import { isLocal, setLocal } from "./time.js";

const VIEWS = { search, record: event, event, live, integrity, lifecycle, export: exporting,
    admin };

// What the navigation offers, and to whom. A token limited to tenants sees events alone.
const MENU = [
  ["search", "Search", (who) => who.role !== "writer"],
  ["live", "Live", (who) => who.role !== "writer"],
  ["integrity", "Integrity", (who) => who.role !== "writer" && !limited(who)],
  ["lifecycle", "Lifecycle", (who) => who.role !== "writer" && !limited(who)],
  ["export", "Export", (who) => ["auditor", "admin"].includes(who.role)],
  ["admin", (who) => (who.role === "admin" ? "Admin" : "Status"), (who) => who.role !== "writer" &&
      !limited(who)],
];
const limited = (who) => who.tenants.length > 0;
const labelOf = ([, label]) => (typeof label === "string" ? label : label(who));

const main = document.getElementById("main");
let who = null;
let leaveView = null;
let shown = null;
let back = "#/search"; // the view from which a record was opened

// ---- Signing in --------------------------------------------------------------------------------

async function start(message) {
  try {
    who = await get("/v1/whoami");
    who.tenants ??= [];
  } catch (error) {
    who = null;
    signIn(error.status === 401 ? message ?? "The token is not known, was revoked, or is over."
        : error);
    return;
  }
  navigation();
  route();
}

function signIn(message) {
  leaveView?.abort();
  who = null;
  shown = null;
  navigation();
  const token = h("input", { type: "password", id: "token", autocomplete: "current-password",
      required: true, spellcheck: "false", maxlength: "4096" });
  const words = message instanceof Error ? problemBox(message) : message ? h("p",
      { class: "problem", role: "alert" }, message) : null;
  document.title = "Sign in – Tallystick";
  main.replaceChildren(h("div", { class: "sign-in card" }, h("h1", { tabindex: "-1" }, "Sign in"),
      words,
    h("form", { class: "stack", onsubmit: (submitted) => {
      submitted.preventDefault();
      setToken(token.value.trim());
      start();
    } }, field("Token", token,
        "From whoever runs the server, or from 'tally serve' when it was first started. "
          + "This tab forgets it when it is closed."),
      h("button", { type: "submit", class: "primary" }, "Sign in"))));
  token.focus();
}

function signOut(message) {
  search.leave(false);
  setToken(null);
  signIn(message);
}

// ---- Navigation --------------------------------------------------------------------------------

function navigation() {
  const menu = document.getElementById("menu");
  const tools = document.getElementById("who");
  menu.hidden = tools.hidden = document.getElementById("keys").hidden = who === null;
  if (who === null) {
    menu.replaceChildren();
    tools.replaceChildren();
    return;
  }
  menu.replaceChildren(h("ul", {}, MENU.filter(([, , may]) => may(who)).map(([name, label]) =>
    h("li", {}, h("a", { href: `#/${name}`, "data-view": name }, labelOf([name, label]))))));
  const zone = button(isLocal() ? "Local time" : "UTC", () => {
    setLocal(!isLocal());
    zone.textContent = isLocal() ? "Local time" : "UTC";
    search.leave(false);
    shown = null;
    route();
    announce(`Times in ${zone.textContent}`);
  }, "quiet");
  zone.title = "Times: UTC or local";
  const may = limited(who) ? `${who.role}, ${who.tenants.join(", ")}` : who.role;
  tools.replaceChildren(zone, h("span", { class: "name" },
    text(who.name, { most: 40, all: false }), " ",
    h("span", { class: "second" }, text(may, { most: 60, all: false }))),
  button("Sign out", () => signOut(), "quiet"));
}

// "#/search?action=x" → ["search"], URLSearchParams
function address() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { path: (path || "search").split("/").map(decode), params: new URLSearchParams(query) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function go(view, params) {
  const words = params.toString();
  const next = `#/${view}${words ? `?${words}` : ""}`;
  if (location.hash === next) {
    search.leave(false);
    shown = null;
    route();
  } else {
    location.hash = next;
  }
}

function route() {
  if (location.hash.startsWith("#token=")) {
    takeToken();
    start();
    return;
  }
  if (who === null) {
    return;
  }
  const { path, params } = address();
  const [name] = path;
  const view = Object.hasOwn(VIEWS, name) ? VIEWS[name] : null;
  const toRecord = name === "record" || name === "event";
  if (shown === "search" || !(toRecord || name === "search")) {
    search.leave(toRecord);
  }
  if (!toRecord) {
    back = location.hash || "#/search";
  }
  leaveView?.abort();
  leaveView = new AbortController();
  show(name, view, { path, params });
}

function show(name, view, { path, params }) {
  // A record belongs to the search.
  const menuName = name === "record" || name === "event" ? "search" : name;
  const entry = MENU.find(([one]) => one === menuName);
  for (const link of document.querySelectorAll("#menu a")) {
    link.dataset.view === menuName ? link.setAttribute("aria-current", "page")
        : link.removeAttribute("aria-current");
  }
  const label = menuName === name && entry ? labelOf(entry) : view?.title;
  const heading = h("h1", { tabindex: "-1" }, label ?? "Not found");
  document.title = `${heading.textContent} – Tallystick`;
  // A changed filter leaves the focus where it was; another view, or record, begins at its top.
  const place = name === menuName ? name : path.join("/");
  const focused = shown === place ? document.activeElement?.id : null;
  const fresh = shown !== place;
  shown = place;
  if (!view || !entry || !entry[2](who)) {
    main.replaceChildren(heading,
        h("p", {}, who.role === "writer" ? "This token may record events, and read nothing."
        : "There is no such page, or this token may not see it."));
    heading.focus();
    return;
  }
  main.replaceChildren(heading, view.render(params, { who, go, path, back,
    signal: leaveView.signal }));
  const again = focused ? document.getElementById(focused) : null;
  (again ?? heading).focus({ preventScroll: true });
  if (fresh) {
    scrollTo(0, 0);
  }
}

// ---- Keys --------------------------------------------------------------------------------------

const typing = (node) => node.matches?.("input, textarea, select, [contenteditable]");

function onKey(pressed) {
  if (pressed.ctrlKey || pressed.altKey || pressed.metaKey || pressed.defaultPrevented ||
      who === null) {
    return;
  }
  if (pressed.key === "Escape") {
    onEscape(pressed);
  } else if (!typing(pressed.target) && pressed.key === "/") {
    pressed.preventDefault();
    const box = document.getElementById("filter-words");
    box ? box.focus() : (location.hash = "#/search");
  } else if (!typing(pressed.target) && (pressed.key === "j" || pressed.key === "k")) {
    step(pressed.key === "j" ? 1 : -1);
  }
}

function onEscape(pressed) {
  const open = document.querySelector("details.menu[open]");
  if (open) {
    open.open = false;
  } else if (typing(pressed.target)) {
    pressed.target.blur();
  } else if (/^(record|event)\//.test(shown)) {
    location.hash = back;
  }
}

// From one record's link to the next; Enter then opens it, as with any link.
function step(by) {
  const links = [...main.querySelectorAll(".results a.record")];
  const now = links.indexOf(document.activeElement);
  const next = links[now < 0 ? 0 : Math.max(0, Math.min(links.length - 1, now + by))];
  next?.focus();
  next?.closest("tr").scrollIntoView({ block: "nearest" });
}

addEventListener("signed-out", () => {
  if (who !== null) {
    signOut("The token is not known any more: it was revoked, or its time is over.");
  }
});
addEventListener("hashchange", route);
addEventListener("keydown", onKey);
document.getElementById("skip").addEventListener("click", (clicked) => {
  clicked.preventDefault(); // the address holds the view
  main.querySelector("h1")?.focus();
});

if (takeToken()) {
  start();
} else {
  signIn();
}
