// Whether the content that is shown is what the leaf commits to (docs/evidence.md, sections 2 and
// 4). The opening gives the bytes; they are put together again, and compared with what is shown.

import { Bad, encoder, same, sha256, unbase64 } from "./bytes.js";
import { micros } from "./time.js";

// The canonical text (RFC 8785) of a value that JSON.parse() made: one text for each value.
export function canonicalText(value) {
  if (Array.isArray(value)) {
    return `[${value.map(canonicalText).join(",")}]`;
  }
  if (value !== null && typeof value === "object") {
    const members = Object.keys(value).sort().map((name) =>
      `${JSON.stringify(name)}:${canonicalText(value[name])}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value) ?? "";
}

// Only what is canonical: a name that stood there twice would be shown once.
function parseCanonical(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Bad("content that is no JSON");
  }
  if (canonicalText(value) !== text) {
    throw new Bad("content that is not canonical");
  }
  return value;
}

// { seq, leaf, rest, salt, members: [{ pointer, digest }] or [{ pointer, salt, value }] }
export function parseOpening(text) {
  let made;
  try {
    made = JSON.parse(text);
  } catch {
    throw new Bad("an opening that is no JSON");
  }
  if (!made || typeof made.rest !== "string" || !Array.isArray(made.members)) {
    throw new Bad("an opening without content");
  }
  const members = made.members.map((one) => {
    if (typeof one?.p !== "string" || (one.d === undefined && typeof one.v !== "string")) {
      throw new Bad("an opening with a bad member");
    }
    return one.d === undefined ? { pointer: one.p, salt: unbase64(one.s, 16), value: one.v }
        : { pointer: one.p, digest: unbase64(one.d, 32) };
  });
  return { seq: made.seq, leaf: unbase64(made.leaf), rest: made.rest,
      salt: unbase64(made.salt, 16), members };
}

function integer(value, bytes) {
  return Array.from({ length: bytes }, (_, at) => (value >>> (8 * (bytes - 1 - at))) & 255);
}

function prefixed(text, bytes) {
  const data = encoder.encode(text);
  return [...integer(data.length, bytes), ...data];
}

async function commitment(opening) {
  const parts = await Promise.all(opening.members.map(async (one) => {
    const pointer = prefixed(one.pointer, 2);
    const digest = one.digest ?? await sha256([3], one.salt, pointer, encoder.encode(one.value));
    return [...pointer, ...digest];
  }));
  const rest = encoder.encode(opening.rest);
  return sha256([4], opening.salt, integer(rest.length, 4), rest, integer(parts.length, 2),
      parts.flat());
}

function put(event, pointer, value) {
  const names = pointer.slice(1).split("/")
      .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = names.pop();
  let parent = event;
  for (const name of names) {
    parent = Object.hasOwn(parent, name) ? parent[name] : null;
    if (parent === null || typeof parent !== "object" || Array.isArray(parent)) {
      throw new Bad("an opening with a member that has no place");
    }
  }
  if (Object.hasOwn(parent, last)) {
    throw new Bad("an opening with a member that is there twice");
  }
  Object.defineProperty(parent, last, { value, enumerable: true });
}

// The canonical text of the event, as far as it is there.
function joined(opening) {
  const event = parseCanonical(opening.rest);
  for (const { pointer, value } of opening.members) {
    if (value !== undefined) {
      put(event, pointer, parseCanonical(value));
    }
  }
  return canonicalText(event);
}

// What is wrong with an event on the page, its time and its state; null if nothing. `canonical` is
// its raw text.
export async function contentFault(record, canonical, opening, leaf, commit) {
  if (opening.seq !== record.seq || !same(opening.leaf, leaf)) {
    return "The opening is of another leaf.";
  }
  if (!same(await commitment(opening), commit)) {
    return "The opening does not give the commitment in the leaf.";
  }
  const text = joined(opening);
  if (canonicalText(record.event) !== text || canonical !== text || record.payload !== undefined) {
    return "What is shown is not what the leaf commits to.";
  }
  const erased = opening.members.filter((one) => one.digest).map((one) => one.pointer);
  if (record.state !== (erased.length > 0 ? "partial" : "present") ||
      canonicalText(record.erased ?? []) !== canonicalText(erased)) {
    return "What is shown as erased is not what has been.";
  }
  const event = record.event;
  return record.id === event.id && micros(record.time) === micros(event.occurred_at) ? null
      : "The id or the time that is shown is not the event's.";
}
