// The look of <tally-viewer>: a sheet that is made by script, which a strict policy of the page around
// it allows. Each colour may be set from outside: tally-viewer { --tally-accent: #0a5; }

export const sheet = new CSSStyleSheet();
sheet.replaceSync(`
:host {
  display: block;
  padding: 1em;
  background: var(--tally-back, #f6f7f6);
  border-radius: 10px;
  --card: var(--tally-card, #ffffff);
  --line: var(--tally-line, #d9dedb);
  --strong-line: var(--tally-strong-line, #76807b);
  --ink: var(--tally-ink, #1c2320);
  --second: var(--tally-second, #56615c);
  --accent: var(--tally-accent, #1b6654);
  --on-accent: var(--tally-on-accent, #ffffff);
  --accent-soft: var(--tally-accent-soft, #e2f0ec);
  --good: var(--tally-good, #1b6431);
  --good-soft: var(--tally-good-soft, #e1f2e5);
  --bad: var(--tally-bad, #a3201c);
  --bad-soft: var(--tally-bad-soft, #fbe6e4);
  --warning: var(--tally-warning, #7a4b00);
  --warning-soft: var(--tally-warning-soft, #fbefd8);
  --code: var(--tally-code, #f0f2f1);
  color: var(--ink);
  font: var(--tally-font, 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif);
  text-align: start;
  overflow-wrap: anywhere;
}
@media (prefers-color-scheme: dark) {
  :host {
    color-scheme: dark;
    background: var(--tally-back, #131816);
    --card: var(--tally-card, #1b211f);
    --line: var(--tally-line, #323b37);
    --strong-line: var(--tally-strong-line, #76827c);
    --ink: var(--tally-ink, #e6ebe8);
    --second: var(--tally-second, #a3afa9);
    --accent: var(--tally-accent, #74cdb5);
    --on-accent: var(--tally-on-accent, #0d1a16);
    --accent-soft: var(--tally-accent-soft, #1f3831);
    --good: var(--tally-good, #86d69c);
    --good-soft: var(--tally-good-soft, #1a3522);
    --bad: var(--tally-bad, #ff9d96);
    --bad-soft: var(--tally-bad-soft, #44201e);
    --warning: var(--tally-warning, #f0bf6c);
    --warning-soft: var(--tally-warning-soft, #3b2c11);
    --code: var(--tally-code, #242c29);
  }
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
h2, p, ul, dl, dd { margin: 0; padding: 0; }
h2 { font-size: 1.1em; font-weight: 650; }
code, pre { font-family: ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 0.88em; }
pre { margin: 0; padding: 0.75em; max-height: 32em; overflow: auto; background: var(--code); border-radius: 6px; white-space: pre-wrap; }
bdi { unicode-bidi: isolate; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
h2:focus { outline: none; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.stack { display: flex; flex-direction: column; gap: 1em; min-width: 0; position: relative; }
.stack > * { min-width: 0; }
.stack > :empty { display: none; }
.row { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 0.6em 0.75em; }
.filters > .field { flex: 1 1 9em; }
.card { padding: 1em 1.2em; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section.card { display: flex; flex-direction: column; gap: 0.8em; }
.card > * { min-width: 0; }
.hint, .second { color: var(--second); }
.empty { padding: 2em 1em; text-align: center; color: var(--second); }
.end { text-align: center; }
input, select, button { font: inherit; color: inherit; }
input, select { width: 100%; min-height: 2.3em; padding: 0.35em 0.6em; background: var(--card); border: 1px solid var(--strong-line); border-radius: 6px; }
::placeholder { color: var(--second); opacity: 1; }
.field { display: flex; flex-direction: column; gap: 0.2em; }
.field .label { font-size: 0.85em; font-weight: 600; }
button { min-height: 2.3em; padding: 0.35em 0.9em; background: var(--card); border: 1px solid var(--strong-line); border-radius: 6px; cursor: pointer; }
button:hover { border-color: var(--accent); color: var(--accent); }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600; }
button.link { min-height: 0; padding: 0; border: 0; background: none; color: var(--accent); text-align: start; text-decoration: underline; text-underline-offset: 2px; overflow-wrap: anywhere; }
button.record { font-weight: 600; text-decoration: none; }
button.record:hover { text-decoration: underline; }
table { width: 100%; border-collapse: collapse; }
th { padding: 0.45em 0.75em 0.45em 0; text-align: start; font-size: 0.82em; font-weight: 600; color: var(--second); border-bottom: 1px solid var(--strong-line); white-space: nowrap; }
td { min-width: 4.5em; padding: 0.5em 0.75em 0.5em 0; vertical-align: top; border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; }
td time { white-space: nowrap; }
tbody tr:hover, tbody tr:focus-within { background: var(--accent-soft); }
.results .cell { max-height: 4.6em; overflow: hidden; }
.facts { display: grid; gap: 0.35em; }
.facts > div { display: grid; grid-template-columns: minmax(7em, 10em) minmax(0, 1fr); gap: 1em; }
.facts dt { color: var(--second); }
.badge { display: inline-block; max-width: 100%; padding: 0 0.5em; border-radius: 1em; font-size: 0.85em; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; vertical-align: bottom; background: var(--code); color: var(--ink); }
.badge.added, .badge.outcome-success { background: var(--good-soft); color: var(--good); }
.badge.removed, .badge.outcome-failure, .badge.severity-critical { background: var(--bad-soft); color: var(--bad); }
.badge.warning, .badge.severity-high { background: var(--warning-soft); color: var(--warning); }
code.added { color: var(--good); }
code.removed { color: var(--bad); }
.invisible { padding: 0 0.25em; margin: 0 0.1em; border: 1px dashed currentcolor; border-radius: 3px; color: var(--warning); font-size: 0.75em; unicode-bidi: isolate; white-space: nowrap; }
.problem, .ended { padding: 0.8em 1em; background: var(--bad-soft); border: 1px solid var(--bad); border-radius: 8px; display: flex; flex-direction: column; gap: 0.3em; }
.ended { background: var(--warning-soft); border-color: var(--warning); color: var(--ink); }
.problem strong { color: var(--bad); }
.problem .hint { color: var(--ink); }
@media (max-width: 760px) {
  .card { padding: 0.8em 0.9em; }
  thead { display: none; }
  table, tbody, tr, td { display: block; }
  tr { padding: 0.6em 0; border-bottom: 1px solid var(--line); }
  tbody tr:last-child { border-bottom: 0; }
  td { display: grid; min-width: 0; grid-template-columns: 6em minmax(0, 1fr); gap: 0.6em; padding: 0.1em 0; border: 0; }
  td::before { content: attr(data-label); color: var(--second); font-size: 0.88em; }
  .results .cell { max-height: none; }
  .facts > div { grid-template-columns: 6em minmax(0, 1fr); gap: 0.6em; }
}
`);
