// The viewer within pages of another server, which have a strict policy of their own: as a component
// and in a frame.

import { createServer } from "node:http";
import assert from "node:assert/strict";

const WIDTHS = [["desktop", { width: 1280, height: 800 }], ["phone", { width: 390, height: 844 }]];

// The pages around it. `origin` is configured with the server at `base`, `foreign` is not.
function startHost(base, port) {
  const policy = `default-src 'none'; script-src 'self' ${base}; connect-src ${base}; ` +
      `frame-src ${base}; style-src 'self'; base-uri 'none'; require-trusted-types-for 'script'`;
  const page = (body) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Host</title>` +
      `<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/host.css">` +
      `<script src="/host.js"></script><main><h1>Orders</h1>${body}</main></html>`;
  const files = {
    "/component": ["text/html", page(`<script type="module" src="${base}/ui/viewer.js"></script>` +
        `<tally-viewer server="${base}"></tally-viewer>`)],
    "/frame": ["text/html", page('<iframe title="Events"></iframe>')],
    "/host.css": ["text/css", ":root { color-scheme: light dark; } body { margin: 1rem; " +
        "font-family: sans-serif; } iframe { width: 100%; height: 40rem; border: 0; }"],
    "/host.js": ["text/javascript", "window.told = []; addEventListener('tally-expired', () => " +
        "told.push('event')); addEventListener('message', (sent) => told.push(sent.data));"],
  };
  const server = createServer((request, reply) => {
    const [type, text] = files[request.url] ?? ["text/plain", null];
    reply.writeHead(text === null ? 404 : 200, { "Content-Type": `${type}; charset=utf-8`,
        "Content-Security-Policy": policy });
    reply.end(text ?? "");
  });
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

export function addViewerTests({ test, base, port, call, context, axe, shots }) {
  const origin = `http://localhost:${port}`;
  const foreign = `http://127.0.0.1:${port}`;
  const link = async (more = {}) => (await call("POST", "/v1/viewer-links",
      { all_tenants: true, origin, ...more }));
  let host;

  async function open(address, options = {}) {
    host ??= (await startHost(base, port)).unref();
    const own = await context(options);
    const page = await own.newPage();
    page.trouble = [];
    page.on("pageerror", (error) => page.trouble.push(`error: ${error.stack}`));
    page.on("dialog", (dialog) => {
      page.trouble.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on("console", (message) => {
      if (/Content Security Policy|CORS|Trusted/.test(message.text())) {
        page.trouble.push(message.text());
      }
    });
    await page.goto(address);
    return page;
  }

  async function close(page) {
    assert.deepEqual(page.trouble, []);
    await page.context().close();
  }

  const give = (page, token) => page.evaluate((text) =>
      document.querySelector("tally-viewer").setAttribute("token", text), token);

  // A link whose time is over.
  async function ended() {
    const { token } = await link({ expires_in: "1s" });
    await new Promise((resolve) => {
      setTimeout(resolve, 1100);
    });
    return token;
  }

  async function scrollToEnd(page) {
    while (await page.getByText("End of the list.").count() === 0) {
      await page.mouse.wheel(0, 20000);
      await page.waitForTimeout(100);
    }
  }

  // The component in a page of the host, with the rows of a link.
  async function show(more = {}, options = {}) {
    const page = await open(`${origin}/component`, options);
    await give(page, (await link(more)).token);
    await page.locator("tally-viewer tbody tr").first().waitFor();
    return page;
  }

  async function frame(address, url, options = {}) {
    const page = await open(address, options);
    await page.evaluate((src) => {
      document.querySelector("iframe").src = src;
    }, base + url);
    return page;
  }

  test("viewer: a page of another server shows what its link names", async () => {
    const filter = { action: ["user.role.update"] };
    const page = await show({ tenants: ["acme"], all_tenants: undefined, filter });
    const list = page.locator("tally-viewer tbody tr");
    const { count } = await call("GET",
        "/v1/count?exact=true&tenant_id=acme&action=user.role.update");
    await scrollToEnd(page);
    assert.equal(await list.count(), count);
    const opener = page.getByRole("button", { name: "user.role.update" }).first();
    await opener.click();
    await page.getByRole("heading", { name: "user.role.update" }).waitFor();
    for (const words of ["Old and new values", "/role", "reader", "admin", "acme", "Leaf hash"]) {
      await page.getByText(words, { exact: false }).first().waitFor();
    }
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download the proof" }).click();
    assert.match((await download).suggestedFilename(), /^record-\d+\.tlog-proof$/);
    await page.keyboard.press("Escape");
    assert.equal(await page.evaluate(() =>
        document.querySelector("tally-viewer").shadowRoot.activeElement.textContent),
    "user.role.update");
    await close(page);
  });

  test("viewer: filters narrow the list, and more rows load as one scrolls, each once", async () => {
    const page = await show();
    const rows = page.locator("tally-viewer tbody tr");
    assert.equal(await rows.count() >= 50, true);
    await page.mouse.wheel(0, 20000);
    await page.waitForFunction(() =>
        document.querySelector("tally-viewer").shadowRoot.querySelectorAll("tbody tr").length > 50);
    await page.getByLabel("Action").fill("invoice.*");
    await page.getByLabel("Who (id)").fill("u1");
    await page.getByLabel("Time").selectOption("custom");
    await page.getByLabel("From", { exact: true }).fill("2021-01-01");
    await page.getByRole("button", { name: "Filter" }).click();
    await page.waitForFunction(() => [...document.querySelector("tally-viewer").shadowRoot
        .querySelectorAll("tbody tr")].every((row) => /invoice\./.test(row.textContent)));
    assert.equal((await rows.allTextContents()).every((words) => words.includes("Ada")), true);
    await page.getByLabel("Action").fill("no.such.action");
    await page.keyboard.press("Enter");
    await page.getByText("Nothing fits.").last().waitFor();
    await close(page);
  });

  test("viewer: columns and locale are the host's to choose", async () => {
    const page = await show({ filter: { action: ["invoice.paid"] } });
    await page.evaluate(() => {
      const viewer = document.querySelector("tally-viewer");
      viewer.setAttribute("columns", "severity, time, tenant, nonsense, __proto__");
      viewer.setAttribute("locale", "de-DE");
    });
    await page.getByRole("columnheader", { name: "Tenant" }).waitFor();
    assert.deepEqual(await page.getByRole("columnheader").allTextContents(),
        ["Severity", "Time", "Tenant"]);
    assert.match(await page.locator("tally-viewer td time").first().textContent(),
        /^\d\d\.\d\d\.\d{4}, \d\d:\d\d:\d\d$/);
    await page.locator("tally-viewer tbody button").first().click();
    await page.getByRole("heading", { name: "invoice.paid" }).waitFor();
    await page.evaluate(() =>
        document.querySelector("tally-viewer").setAttribute("locale", "no such locale"));
    await page.locator("tally-viewer tbody tr").first().waitFor();
    await close(page);
  });

  test("viewer: a link that ends says so, and goes on with a new one", async () => {
    const page = await show({ filter: { action: ["invoice.paid"] } });
    await give(page, await ended());
    await page.getByRole("alert").getByText("This view has ended.").waitFor();
    await page.getByLabel("Who (id)").fill("u1");
    await page.getByRole("button", { name: "Filter" }).click();
    await page.getByRole("alert").getByText("This view has ended.").waitFor();
    await page.waitForFunction(() => globalThis.told.includes("event"));
    await give(page, (await link({ filter: { action: ["invoice.paid"] } })).token);
    await page.locator("tally-viewer tbody tr").first().waitFor();
    assert.match(await page.locator("tally-viewer tbody tr").first().textContent(), /Ada/);
    await close(page);
  });

  test("viewer: a host may make the component by script, take it out and put it back", async () => {
    const page = await show();
    await page.evaluate(() => {
      const viewer = document.querySelector("tally-viewer");
      viewer.remove();
      viewer.removeAttribute("token");
      document.querySelector("main").append(viewer);
    });
    await page.getByText("No link was given yet.").waitFor();
    await give(page, "no header can carry this \u202e");
    await page.getByText("This view has ended.").waitFor();
    await give(page, (await link()).token);
    await page.locator("tally-viewer tbody tr").first().waitFor();
    await close(page);
  });

  test("viewer: hostile events are text in the list and one by one", async () => {
    const page = await show({ filter: { tag: ["hostile"] } });
    await page.evaluate(() => document.querySelector("tally-viewer").setAttribute("columns",
        "time,action,actor,target,reason,service,tags,id,transport"));
    await page.locator("tally-viewer td", { hasText: "hostile.n" }).first().waitFor();
    const rows = page.locator("tally-viewer tbody tr");
    await scrollToEnd(page);
    const count = await rows.count();
    assert.equal(count, 200);
    for (let index = 0; index < count; index += 17) {
      const opener = rows.nth(index).getByRole("button", { name: /^hostile\.n/ });
      await opener.click();
      await page.getByRole("button", { name: "← Back" }).click();
    }
    const strange = await page.evaluate(() => document.querySelector("tally-viewer").shadowRoot
        .querySelectorAll("script, img, svg, a, iframe, object, style, link, [onerror], [onload]")
        .length);
    assert.equal(strange, 0);
    assert.deepEqual(await page.evaluate(() => [globalThis.pwned, "a" in {}]), [undefined, false]);
    await close(page);
  });

  test("viewer: a frame shows it too, and forgets the address of the link", async () => {
    const made = await link({ filter: { action: ["invoice.paid"] } });
    const page = await frame(`${origin}/frame`, `${made.url}&locale=de&columns=time,action`);
    const inner = page.frameLocator("iframe");
    await inner.locator("tally-viewer tbody tr").first().waitFor();
    assert.deepEqual(await inner.getByRole("columnheader").allTextContents(), ["Time", "Action"]);
    const [, child] = page.frames();
    assert.equal(await child.evaluate(() => location.href), `${base}/ui/viewer.html`);
    const setSource = (src) => page.evaluate((address) => {
      document.querySelector("iframe").src = address;
    }, base + src);
    await setSource(`/ui/viewer.html#token=${await ended()}`);
    await inner.getByText("This view has ended.").waitFor();
    await page.waitForFunction(() => globalThis.told.includes("tally-expired"));
    await setSource((await link({ filter: { action: ["invoice.paid"] } })).url);
    await inner.locator("tally-viewer tbody tr").first().waitFor();
    await close(page);
  });

  test("viewer: a page that is not configured gets nothing, in a frame or without", async () => {
    const made = await link({ origin: undefined });
    const framed = await frame(`${foreign}/frame`, made.url);
    await framed.waitForTimeout(500);
    assert.equal(await framed.frameLocator("iframe").locator("tally-viewer").count(), 0);
    assert.equal(framed.trouble.some((one) => one.includes("frame-ancestors")), true);
    await framed.context().close();
    const page = await open(`${foreign}/component`);
    await page.waitForTimeout(500);
    assert.equal(await page.evaluate(() => customElements.get("tally-viewer") === undefined), true);
    const answer = await page.evaluate(([server, token]) => fetch(`${server}/v1/events`,
        { headers: { Authorization: `Bearer ${token}` } }).then(() => "read", () => "refused"),
    [base, made.token]);
    assert.equal(answer, "refused");
    await page.context().close();
    const index = await frame(`${origin}/frame`, "/ui/index.html");
    await index.waitForTimeout(500);
    assert.equal(await index.frameLocator("iframe").locator("main").count(), 0);
    await index.context().close();
  });

  test("viewer: everything is done with the keyboard alone", async () => {
    const page = await show({ filter: { action: ["user.role.update"] } });
    const focused = () => page.evaluate(() => {
      const inner = document.querySelector("tally-viewer").shadowRoot.activeElement;
      return inner ? (inner.labels?.[0]?.textContent || inner.textContent) : "";
    });
    const reach = async (words) => {
      for (let press = 0; press < 20 && !(await focused()).startsWith(words); press += 1) {
        await page.keyboard.press("Tab");
      }
      assert.ok((await focused()).startsWith(words), `${words}: ${await focused()}`);
    };
    await reach("Action");
    await page.keyboard.type("user.role.update");
    await page.keyboard.press("Enter");
    await page.locator("tally-viewer tbody tr").first().waitFor();
    await reach("user.role.update");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() =>
        document.querySelector("tally-viewer").shadowRoot.activeElement?.localName === "h2");
    await page.keyboard.press("Escape");
    await reach("user.role.update");
    await close(page);
  });

  for (const colorScheme of ["light", "dark"]) {
    for (const [name, viewport] of WIDTHS) {
      test(`viewer: axe, width and screenshots, ${colorScheme}, ${viewport.width} px`, async () => {
        const take = async (page, what) => {
          await page.waitForTimeout(150);
          await page.screenshot({ path: `${shots}/viewer-${what}-${name}-${colorScheme}.png` });
          const width = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(width <= viewport.width, `${what}: ${width} px`);
          await page.evaluate(axe);
          const { violations } = await page.evaluate(() =>
              globalThis.axe.run({ resultTypes: ["violations"] }));
          const serious = violations.filter((one) =>
              ["serious", "critical", "moderate"].includes(one.impact));
          assert.deepEqual(serious.map((one) => `${what} ${one.id}: ${one.nodes.slice(0, 3)
              .map((node) => node.html.slice(0, 160))}`), []);
        };
        const page = await show({}, { colorScheme, viewport });
        await take(page, "list");
        await page.getByRole("button", { name: "user.role.update" }).first().click();
        await take(page, "record");
        await give(page, "tallyv_x");
        await page.getByRole("button", { name: "← Back" }).waitFor({ state: "detached" });
        await page.getByText("This view has ended.").waitFor();
        await take(page, "ended");
        await give(page, (await link({ filter: { tag: ["hostile"] } })).token);
        await page.locator("tally-viewer tbody tr").first().waitFor();
        await take(page, "hostile");
        page.trouble = page.trouble.filter((one) => !one.includes("axe"));
        await close(page);
      });
    }
  }
}
