// Follows the epochs of a ledger (docs/evidence.md, sections 6 to 8): each EPOCH record names the
// next key, and the checkpoint that ends with it, the seal, is signed by the key before.

import { Bad, hex, same, sha256 } from "./bytes.js";
import { keep, recall } from "./dom.js";
import { epochKeys, keyFits, leafHash, nodeHash, parseCheckpoint, parseKey, parseLeaf, parseProof,
    verifySignature } from "./proof.js";

// The root of the tree that ends with the leaf: of its path the hashes to the left are enough.
async function rootAsLast(leaf, { index, checkpoint, path }) {
  let hash = await leafHash(leaf);
  let [first, last] = [BigInt(index), BigInt(checkpoint.size - 1)];
  for (const sibling of path) {
    while (first === last && first % 2n === 0n && first !== 0n) {
      [first, last] = [first / 2n, last / 2n];
    }
    hash = first % 2n === 1n ? await nodeHash(sibling, hash) : hash;
    [first, last] = [first / 2n, last / 2n];
  }
  return hash;
}

function payloadOf(leaf) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(leaf.payload));
  } catch {
    throw new Bad("an EPOCH record that is no JSON");
  }
}

const numberOf = (key) => Number(/\/epoch\/(\d+)$/.exec(key.name)?.[1] ?? NaN);

async function isSigned(seal, key, time) {
  const line = seal.lines.find((one) => one.name === key.name && hex(one.id) === key.id);
  return line !== undefined && line.data.length === 72 &&
      new DataView(line.data.buffer).getBigUint64(0) === time / 1000000n &&
      verifySignature(key, line, seal.body);
}

// The key that record `seq` names after `key`; throws if that is not what `key` sealed.
async function nextKey(origin, key, seq, proofText, sealText) {
  const proof = parseProof(proofText);
  const leaf = parseLeaf(proof.leaf);
  const seal = parseCheckpoint(sealText);
  const payload = payloadOf(leaf);
  const next = parseKey(String(payload.epoch_key));
  const wrong = (what) => {
    throw new Bad(`at record ${seq} ${what}`);
  };
  if (leaf.kind !== "epoch" || leaf.seq !== seq || proof.index !== seq ||
      !same(await sha256([5], leaf.payload), leaf.commit)) {
    wrong("there is no EPOCH record");
  }
  if (payload.from !== numberOf(key) || leaf.epoch !== payload.from ||
      !(payload.to > payload.from) || !next || next.type !== 4 || next.name !== `${origin}/epoch/${payload.to}` ||
      !await keyFits(next)) {
    wrong("the next key does not follow the one before");
  }
  if (seal.origin !== origin || seal.size !== seq + 1 ||
      !same(await rootAsLast(proof.leaf, proof), seal.root)) {
    wrong("the seal does not end with it");
  }
  if (!await isSigned(seal, key, leaf.time)) {
    wrong("the key before did not sign the seal, or not at that time");
  }
  return next;
}

// Follows the epochs from the key of the trust file, or from where it came to before, and remembers
// how far. `records(after)` gives the EPOCH records after a position, `proof(seq)` and `seal(size)`
// the evidence; `each(count)` is told of each one. Throws Bad where the chain breaks.
export async function followEpochs(origin, trust, { records, proof, seal, each = () => {} }) {
  let state = epochKeys(trust, origin).at(-1);
  if (!state) {
    throw new Bad("the trust file has no epoch key of this ledger");
  }
  let count = 0;
  let after = state.seq ?? 0;
  for (;;) {
    const items = await records(after);
    for (const { seq, payload } of items) {
      after = seq;
      if (!String(payload?.epoch_key).startsWith(`${origin}/epoch/`)) {
        continue; // of before a restore
      }
      const [proofText, sealText] = await Promise.all([proof(seq), seal(seq + 1)]);
      const key = await nextKey(origin, state.key, seq, proofText, sealText);
      state = { ...state, key };
      keep("epochs", { ...recall("epochs", {}),
          [origin]: { from: state.from, key: key.text, seq } });
      each(++count);
    }
    if (items.length === 0) {
      return count;
    }
  }
}
