// Files from the server: the token goes along, so a plain link would not do.

import { save } from "./dom.js";

const END = 65536; // bytes at the end that are kept, in which a manifest is

// Where the bytes go: memory, or straight into a file where it may be large and the browser can do
// that.
export async function openSink(suggestedName, isLarge) {
  if (isLarge && globalThis.showSaveFilePicker) {
    const handle = await showSaveFilePicker({ suggestedName });
    const file = await handle.createWritable();
    return { name: handle.name, write: (part) => file.write(part), save: () => file.close(),
        drop: () => file.abort() };
  }
  const parts = [];
  return { name: null, write: (part) => parts.push(part), save: (name, type) =>
      save(name, parts, type), drop() {} };
}

// Copies the stream, and gives its last bytes.
export async function copy(stream, sink, progress) {
  const reader = stream.getReader();
  let end = new Uint8Array();
  let bytes = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return end;
    }
    await sink.write(value);
    bytes += value.length;
    end = value.length >= END ? value.slice(-END) : new Uint8Array([...end, ...value]).slice(-END);
    progress(bytes);
  }
}

// The name that the server gives the file.
export function offeredName(answer) {
  return /filename="([\w.-]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1];
}
