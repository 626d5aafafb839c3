// Bytes of evidence: base64, hashes, comparison.

export const encoder = new TextEncoder();

// What does not parse, or does not fit its own form.
export class Bad extends Error {
  title = "The evidence does not parse";

  get detail() {
    return this.message;
  }
}

// One spelling of each value.
export function unbase64(text, length) {
  let data;
  try {
    data = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw new Bad("bad base64");
  }
  if (btoa(String.fromCharCode(...data.subarray(0, 0x8000))) !== text && data.length <= 0x8000) {
    throw new Bad("base64 that is not canonical");
  }
  if (length !== undefined && data.length !== length) {
    throw new Bad("base64 of another length");
  }
  return data;
}

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function same(left, right) {
  return hex(left) === hex(right);
}

export async function sha256(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}
