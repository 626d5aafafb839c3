// Checks evidence in the browser (docs/evidence.md): proof, checkpoint, signatures. Every check
// says what it looked at, and one that could not be made is never reported as passed.

import { Bad, encoder, hex, same, sha256, unbase64 } from "./bytes.js";
import { keep, recall } from "./dom.js";
import { canonicalText, contentFault, parseOpening } from "./opening.js";
import { micros } from "./time.js";

export function canCheck() {
  return Boolean(globalThis.crypto?.subtle);
}

// ---- Parsing: one spelling of each value, everything used up
// -------------------------------------

function number(text) {
  if (!/^(0|[1-9][0-9]{0,15})$/.test(text) || !Number.isSafeInteger(Number(text))) {
    throw new Bad("a bad number");
  }
  return Number(text);
}

// { body, origin, size, root, lines: [{ name, id, data }] }
export function parseCheckpoint(text) {
  const middle = text.lastIndexOf("\n\n");
  const head = text.slice(0, middle).split("\n");
  if (middle < 0 || head.length !== 3 || !text.endsWith("\n")) {
    throw new Bad("not a checkpoint");
  }
  const [origin, size, root] = head;
  const lines = text.slice(middle + 2, -1).split("\n").map((line) => {
    const parts = line.split(" ");
    if (parts.length !== 3 || parts[0] !== "\u2014") {
      throw new Bad("a bad signature line");
    }
    const data = unbase64(parts[2]);
    return { name: parts[1], id: data.slice(0, 4), data: data.slice(4) };
  });
  return { text, body: `${head.join("\n")}\n`, origin, size: number(size), root: unbase64(root, 32),
      lines };
}

// { leaf, index, path, checkpoint } of a C2SP tlog-proof
export function parseProof(text) {
  const middle = text.indexOf("\n\n");
  const lines = text.slice(0, Math.max(middle, 0)).split("\n");
  if (lines.shift() !== "c2sp.org/tlog-proof@v1") {
    throw new Bad("not a tlog-proof");
  }
  const leaf = lines[0]?.startsWith("extra ") ? unbase64(lines.shift().slice(6)) : null;
  const index = /^index (\d+)$/.exec(lines.shift() ?? "");
  if (!leaf || !index || lines.length > 63) {
    throw new Bad("a proof without its leaf or position");
  }
  return { leaf, index: number(index[1]), path: lines.map((line) => unbase64(line, 32)),
    checkpoint: parseCheckpoint(text.slice(middle + 2)) };
}

// { path, checkpoint } as /v1/consistency gives it
function parseConsistency(text) {
  const middle = text.startsWith("\n") ? 0 : text.indexOf("\n\n") + 1;
  const lines = text.slice(0, middle).split("\n").filter((line) => line !== "");
  return { path: lines.map((line) => unbase64(line, 32)),
      checkpoint: parseCheckpoint(text.slice(middle + 1)) };
}

const KINDS = ["genesis", "epoch", "policy", "purge", "erase", "hold", "release", "key", "anchor",
    "gap", "resume", "restore"];

// The fields of a leaf that can be compared with a record.
export function parseLeaf(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  if (data.length < 104 || String.fromCharCode(...data.subarray(0, 4)) !== "TLY1") {
    throw new Bad("not a leaf");
  }
  const kind = data[4] === 1 ? "event" : KINDS[data[4] - 0x80];
  if (!kind || (kind === "event" && data.length !== 104)) {
    throw new Bad("a leaf of unknown kind");
  }
  return { kind, seq: Number(view.getBigUint64(8)), time: view.getBigUint64(16),
      retainUntil: view.getUint32(24),
    epoch: view.getUint32(28), id: data.slice(32, 48), commit: data.slice(48, 80),
        payload: data.slice(104) };
}

// "name+hex+base64"; null for what is none.
export function parseKey(text) {
  const [, name, id, data] = /^(.+?)\+([0-9a-f]{8})\+(\S+)$/.exec(text) ?? [];
  const bytes = name === undefined ? null : unbase64(data, 33);
  return bytes && { text, name, id, type: bytes[0], data: bytes };
}

// Those of a trust file's lines: log, and #tally epoch
function parseTrust(text) {
  return text.split("\n").map((line) => /^(?:log|#tally epoch) (.+)$/.exec(line))
      .map((match) => match && parseKey(match[1].trim())).filter(Boolean);
}

// ---- Hashes ------------------------------------------------------------------------------------

export const leafHash = (leaf) => sha256([0], leaf);
export const nodeHash = (left, right) => sha256([1], left, right);
const half = (value) => Math.floor(value / 2);
const odd = (value) => value % 2 === 1;

// RFC 9162, section 2.1.3.2; null if the path does not fit the position.
async function rootOf(hash, index, size, path) {
  let [first, last] = [index, size - 1];
  if (index >= size) {
    return null;
  }
  for (const sibling of path) {
    if (last === 0) {
      return null;
    }
    if (odd(first) || first === last) {
      hash = await nodeHash(sibling, hash);
      while (!odd(first) && first !== 0) {
        [first, last] = [half(first), half(last)];
      }
    } else {
      hash = await nodeHash(hash, sibling);
    }
    [first, last] = [half(first), half(last)];
  }
  return last === 0 ? hash : null;
}

// RFC 9162, section 2.1.4.2
async function extendsTree(old, now, path) {
  if (old.size === now.size) {
    return path.length === 0 && same(old.root, now.root);
  }
  if (old.size > now.size || old.size === 0 || path.length === 0) {
    return false;
  }
  let [first, last] = [old.size - 1, now.size - 1];
  while (odd(first)) {
    [first, last] = [half(first), half(last)];
  }
  // first is 0 where the old size is a power of two: the old root is then the node itself, and not
  // sent.
  const nodes = first === 0 ? [old.root, ...path] : path;
  let [oldHash, newHash] = [nodes[0], nodes[0]];
  for (const node of nodes.slice(1)) {
    if (last === 0) {
      return false;
    }
    if (odd(first) || first === last) {
      oldHash = await nodeHash(node, oldHash);
      newHash = await nodeHash(node, newHash);
      while (!odd(first) && first !== 0) {
        [first, last] = [half(first), half(last)];
      }
    } else {
      newHash = await nodeHash(newHash, node);
    }
    [first, last] = [half(first), half(last)];
  }
  return last === 0 && same(oldHash, old.root) && same(newHash, now.root);
}

// ---- Signatures
// ----------------------------------------------------------------------------------

export async function verifySignature(key, line, body) {
  const cosigned = key.type === 4;
  if (line.data.length !== (cosigned ? 72 : 64)) {
    return false;
  }
  const time = cosigned ? new DataView(line.data.buffer, line.data.byteOffset).getBigUint64(0)
      : null;
  const message = encoder.encode(cosigned ? `cosignature/v1\ntime ${time}\n${body}` : body);
  const made = await crypto.subtle.importKey("raw", key.data.slice(1), "Ed25519", false,
      ["verify"]);
  return crypto.subtle.verify("Ed25519", made, line.data.slice(-64), message);
}

export async function keyFits(key) {
  const hash = await sha256(encoder.encode(`${key.name}\n`), key.data);
  return hex(hash.slice(0, 4)) === key.id;
}

// The first epoch key that a trust file has of a ledger, and the newest that was found from there:
// [{ key, from, seq }]
export function epochKeys(trust, origin) {
  const first = parseTrust(trust).find((key) => key.type === 4 &&
      key.name.startsWith(`${origin}/epoch/`));
  const all = recall("epochs", {});
  const found = Object.hasOwn(all, origin) ? all[origin] : null;
  return [first && { key: first, from: first.text },
    first && found?.from === first.text && { ...found, key: parseKey(found.key) }].filter(Boolean);
}

const check = (name, result, detail) => ({ name, result, detail });

// What the lines of a checkpoint say by the keys of the trust file.
async function signatureChecks(checkpoint, trust) {
  if (trust === null) {
    return [check("Signature", "none", "Not checked: this token may not read the trust file.")];
  }
  const checks = [];
  const found = epochKeys(trust, checkpoint.origin).slice(1).map((one) => one.key);
  for (const key of [...parseTrust(trust), ...found]) {
    const what = key.type === 1 ? "Signature of the log key" : "Signature of the epoch key";
    const line = checkpoint.lines.find((one) => one.name === key.name && hex(one.id) === key.id);
    if (!line) {
      if (key.type === 1) {
        checks.push(check(what, "none",
            `Not checked: no line of the checkpoint is by ${key.name}+${key.id}.`));
      }
      continue;
    }
    if (!await keyFits(key)) {
      checks.push(check(what, "bad", "The key's id in the trust file does not fit the key."));
      continue;
    }
    checks.push(await signatureCheck(what, key, line, checkpoint.body));
  }
  if (!checks.some((one) => one.name === "Signature of the epoch key")) {
    checks.push(check("Signature of the epoch key", "none",
      "Not checked: the trust file has the first epoch's key only. "
          + "The epochs since then are followed under Integrity."));
  }
  return checks;
}

async function signatureCheck(what, key, line, body) {
  try {
    const good = await verifySignature(key, line, body);
    return check(what, good ? "ok" : "bad", good
        ? `Ed25519 by ${key.name}+${key.id} over the checkpoint.`
      : `The line of ${key.name}+${key.id} is not a signature of this checkpoint.`);
  } catch {
    return check(what, "none", "Not checked: this browser has no Ed25519.");
  }
}

// ---- What this browser remembers
// -----------------------------------------------------------------

const memory = () => recall("seen", {});

// The key and the largest checkpoint that were seen at earlier visits, by origin.
export function remembered(origin) {
  const all = memory();
  return Object.hasOwn(all, origin) ? all[origin] : null;
}

function remember(checkpoint, key) {
  const old = remembered(checkpoint.origin);
  if (!old || checkpoint.size >= old.size) {
    keep("seen", { ...memory(),
        [checkpoint.origin]: { since: old?.since ?? new Date().toISOString(), key: old?.key ?? key,
      size: checkpoint.size, root: hex(checkpoint.root), at: new Date().toISOString() } });
  }
}

const logKey = (trust) => parseTrust(trust ?? "").find((one) => one.type === 1)?.text;

// Keeps a trust file that the reader brings, for the ledger whose log key it names. Gives that
// ledger's name.
export function pin(trust) {
  const key = logKey(trust);
  if (!key) {
    throw new Bad("a trust file without a log key");
  }
  const origin = key.slice(0, key.indexOf("+"));
  keep("pinned", { ...recall("pinned", {}), [origin]: { trust, at: new Date().toISOString() } });
  return origin;
}

function pinned(origin) {
  const all = recall("pinned", {});
  return Object.hasOwn(all, origin) ? all[origin] : null;
}

// Forgets the checkpoints, the trust file and the epochs of a ledger.
export function forget(origin) {
  for (const name of ["seen", "pinned", "epochs"]) {
    const all = recall(name, {});
    delete all[origin];
    keep(name, all);
  }
}

function keyCheck(checkpoint, trust) {
  const own = pinned(checkpoint.origin);
  if (own) {
    return [check("Whose key", "ok",
        `The one of the trust file that you gave on ${own.at.slice(0, 10)}.`)];
  }
  const key = logKey(trust);
  const old = remembered(checkpoint.origin);
  if (!key) {
    return [];
  }
  if (!old?.key) {
    return [check("Whose key", "none",
        "The key came from this server, just now. Compare it with the trust file that you keep.")];
  }
  return [old.key === key
    ? check("Whose key", "ok",
        `The same key as when this browser first saw the ledger, ${old.since.slice(0, 10)}. `
          + "Only your own copy of the trust file says more.")
    : check("Whose key", "none",
        `Not the key that this browser saw first (${old.since.slice(0, 10)}). `
          + "A rotation, or another ledger: verify with your own trust file.")];
}

function sizeCheck(checkpoint) {
  const old = remembered(checkpoint.origin);
  if (!old) {
    return [];
  }
  if (checkpoint.size < old.size) {
    return [check("Not rolled back", "bad",
        `This browser saw ${old.size} records before, now there are ${checkpoint.size}.`)];
  }
  const fork = checkpoint.size === old.size && hex(checkpoint.root) !== old.root;
  return fork ? [check("Not rolled back", "bad",
      "This browser saw another root for the same size: two histories.")] : [];
}

// ---- A record
// ------------------------------------------------------------------------------------

async function leafIdOf(id) {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) {
    return Uint8Array.from(id.replaceAll("-", "").match(/../g), (pair) => parseInt(pair, 16));
  }
  return (await sha256(encoder.encode(id))).slice(0, 16);
}

async function eventCheck(proof, leaf, record, canonical, opening) {
  if (record.event === undefined) {
    return check("Content", "none",
        "Not checked: it is gone. Whether it may be is for a verification to tell.");
  }
  if (opening === null) {
    return check("Content", "none", "Not checked: the server gave nothing to check it with.");
  }
  const fault = await contentFault(record, canonical, parseOpening(opening), proof.leaf,
      leaf.commit);
  return check("Content", fault === null ? "ok" : "bad", fault ??
      "Put together from what the server opened of it, it is what is shown, and gives the "
        + "commitment in the leaf.");
}

async function payloadCheck(leaf, record, canonical) {
  if (canonical === null) {
    return check("Content", "none", "Not compared: its bytes did not come.");
  }
  const sealed = same(await sha256([5], leaf.payload), leaf.commit);
  const shown = same(encoder.encode(canonical), leaf.payload) &&
      canonicalText(record.payload) === canonical && record.event === undefined &&
      record.id === undefined && record.time === record.recorded_at;
  return check("Content", sealed && shown ? "ok" : "bad",
      "The payload shown, byte for byte the one in the leaf, and the leaf's commitment to it.");
}

async function leafChecks(proof, record, canonical, opening) {
  const leaf = parseLeaf(proof.leaf);
  const hash = hex(await leafHash(proof.leaf));
  const places = [proof.index, leaf.seq].every((seq) => seq === record.seq);
  const checks = [
    check("Leaf", hash === record.leaf_hash ? "ok" : "bad",
        `SHA-256 of the ${proof.leaf.length} bytes of the leaf is ${hash}.`),
    check("Position", places ? "ok" : "bad",
        `The leaf says ${leaf.seq}, the proof ${proof.index}, the record ${record.seq}.`),
    check("Time of recording", leaf.time === micros(record.recorded_at) ? "ok" : "bad",
        "In the leaf, compared with the one shown."),
    check("Kind", leaf.kind === record.kind ? "ok" : "bad", `The leaf says ${leaf.kind}.`),
  ];
  if (leaf.kind === "event") {
    const id = record.event?.id ?? record.id;
    checks.push(id === undefined ? check("Id", "none",
        "Not checked: the content is gone, and its id with it.")
      : check("Id", same(await leafIdOf(id), leaf.id) ? "ok" : "bad",
          "The leaf's id, compared with the event's."));
    checks.push(await eventCheck(proof, leaf, record, canonical, opening));
  } else {
    checks.push(await payloadCheck(leaf, record, canonical));
  }
  return checks;
}

// Everything that can be said about a record in the browser. `served` is the server's trust file,
// or null; the reader's own comes first. `canonical` is the text of its content, `opening` what the
// server gave to check it with, or null. { verdict: "ok" | "part" | "none" | "bad", headline,
// checks: [{ name, result, detail }] }
export async function checkRecord(record, proofText, served, canonical, opening) {
  if (!canCheck()) {
    return { verdict: "none",
        headline: "Could not be checked: browsers compute hashes only over https or on localhost.",
        checks: [] };
  }
  try {
    const proof = parseProof(proofText);
    const trust = pinned(proof.checkpoint.origin)?.trust ?? served;
    const root = await rootOf(await leafHash(proof.leaf), proof.index, proof.checkpoint.size,
        proof.path);
    const included = root !== null && same(root, proof.checkpoint.root);
    const checks = [...await leafChecks(proof, record, canonical, opening),
      check("Origin", proof.checkpoint.origin === record.origin ? "ok" : "bad",
          "The checkpoint's, compared with the record's."),
      check("Inclusion", included ? "ok" : "bad",
          `${proof.path.length} hashes lead from the leaf to ` +
        `${included ? "the" : "another than the"} root of the checkpoint `
          + `of ${proof.checkpoint.size} records.`),
      ...await signatureChecks(proof.checkpoint, trust), ...keyCheck(proof.checkpoint, trust),
          ...sizeCheck(proof.checkpoint)];
    return conclude(checks, proof);
  } catch (error) {
    if (!(error instanceof Bad)) {
      throw error;
    }
    return { verdict: "bad", headline: `The evidence does not parse: ${error.message}.`,
        checks: [] };
  }
}

function conclude(checks, proof) {
  const wrong = checks.filter((one) => one.result === "bad").map((one) => one.name.toLowerCase());
  if (wrong.length > 0) {
    return { verdict: "bad", headline: `This does not fit: ${wrong.join(", ")}.`, checks };
  }
  const passed = (name) => checks.some((one) => one.name === name && one.result === "ok");
  const place = `record ${proof.index} is in the tree of ${proof.checkpoint.size} records`;
  if (!passed("Signature of the log key")) {
    return { verdict: "none", headline: `Partly checked: ${place}; who signed it was not checked.`,
        checks };
  }
  return passed("Content") ? { verdict: "ok",
      headline: `Checked: ${place} that the log key signed, and holds what is shown.`, checks }
    : { verdict: "part",
        headline: `Partly checked: ${place} that the log key signed; `
          + "its content was not compared here.", checks };
}

// ---- The newest checkpoint
// -----------------------------------------------------------------------

// Signatures of the newest checkpoint, and that it extends the one remembered. `consistency(size)`
// fetches the proof from that size on. Only a checkpoint in which nothing was wrong is remembered.
export async function checkNewest(text, served, consistency) {
  let checkpoint = parseCheckpoint(text);
  const trust = pinned(checkpoint.origin)?.trust ?? served;
  if (!canCheck()) {
    return { checkpoint, checks: [check("Signature", "none",
        "Not checked: browsers compute hashes only over https or on localhost.")] };
  }
  const old = remembered(checkpoint.origin);
  const checks = sizeCheck(checkpoint);
  if (old && old.size < checkpoint.size) {
    const proof = parseConsistency(await consistency(old.size));
    const root = Uint8Array.from(old.root.match(/../g), (pair) => parseInt(pair, 16));
    const good = proof.checkpoint.origin === checkpoint.origin &&
        await extendsTree({ size: old.size, root }, proof.checkpoint, proof.path);
    checkpoint = proof.checkpoint; // the newer of the two, and what the proof is about
    checks.push(check("Extends what was seen", good ? "ok" : "bad",
      `The ${old.size} records that this browser saw on ${old.at.slice(0, 10)} `
        + (good ? "are how the ledger still begins." : "are NOT how the ledger begins now.")));
  }
  checks.push(...await signatureChecks(checkpoint, trust), ...keyCheck(checkpoint, trust));
  if (checks.every((one) => one.result !== "bad") &&
      checks.some((one) => one.name === "Signature of the log key" && one.result === "ok")) {
    remember(checkpoint, logKey(trust));
  }
  return { checkpoint, checks, trust };
}

// The second in which the epoch key signed, as an ISO time; null if no line has one.
export function signedAt(checkpoint) {
  for (const line of checkpoint.lines) {
    if (line.data.length === 72) {
      const seconds = new DataView(line.data.buffer, line.data.byteOffset).getBigUint64(0);
      return seconds < 253402300800n ? new Date(Number(seconds) * 1000).toISOString() : null;
    }
  }
  return null;
}
