// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
/** A BPE vocabulary as tables: a double-array trie over all tokens, and how each token was merged. */
export interface Vocabulary {
  /** Two integers a slot: `base << 1 | isToken`, and the slot of the parent. The child by byte `b` is at `base + b` if its parent is this slot. */
  readonly trie: Int32Array;
  /** The token that ends at a slot. A token is named by its rank: the order in which merges are made. */
  readonly tokenAt: Int32Array;
  readonly length: Uint8Array;
  /** The longest token that is a proper prefix of a token, or -1. */
  readonly shorter: Int32Array;
  /** The two tokens of a token's last merge; a token that was not merged, such as one of one byte, is its own left and right. */
  readonly left: Int32Array;
  readonly right: Int32Array;
  /** Tokens from here on are made by no merge: a piece that is one of them counts as one, and a part of a piece never is. */
  readonly reachable: number;
}

const HEAD_BYTES = 12;
const PLANES = 6;
const NONE = -1;
/** How many places are tried for a node with several children before it goes to the free end. */
const TRIES = 6;
const BYTES = 256;
/** Where walks of the trie begin. */
export const ROOT_SLOT = 1;

/** Reads what `scripts/pack-vocabularies.mjs` writes; the format is described there. */
export function readVocabulary(packed: Uint8Array, reachableMost: number = Number.POSITIVE_INFINITY): Vocabulary {
  const n = new DataView(packed.buffer, packed.byteOffset).getUint32(8, true);
  const reachable = Math.min(n, reachableMost);
  const plane = (i: number) => packed.subarray(HEAD_BYTES + i * n, HEAD_BYTES + (i + 1) * n);
  const shared = plane(0);
  const added = plane(1);
  const leftBytes = plane(2);
  const low = plane(3);
  const middle = plane(4);
  const high = plane(5);
  const suffixes = packed.subarray(HEAD_BYTES + PLANES * n);

  // The tokens come sorted, so walking them makes the trie in preorder: the first child of a node is the next node, and a stack of
  // nodes by depth is all that is needed.
  const nodesMax = suffixes.length + 1;
  const label = new Uint8Array(nodesMax);
  const isLeaf = new Uint8Array(nodesMax);
  const sibling = new Int32Array(nodesMax);
  const tokenOfNode = new Int32Array(nodesMax).fill(NONE);
  const length = new Uint8Array(n);
  const shorter = new Int32Array(n);
  const left = new Int32Array(n);
  const right = new Int32Array(n);
  const rightBytesAt = new Int32Array(n);
  const rightBytes = new Uint8Array(tokenBytes(shared, added));
  const nodeAtDepth = new Int32Array(257);
  const tokenAtDepth = new Int32Array(257).fill(NONE); // the longest token that ends at this depth or above
  const byteAtDepth = new Uint8Array(257);
  let depth = 0;
  let node = 0;
  let suffixAt = 0;
  let rightAt = 0;
  for (let i = 0; i < n; i++) {
    const kept = shared[i]!;
    if (kept < depth) {
      isLeaf[node] = 1;
      sibling[nodeAtDepth[kept + 1]!] = node + 1;
    }
    depth = kept;
    for (const end = kept + added[i]!; depth < end; ) {
      const byte = suffixes[suffixAt++]!;
      byteAtDepth[depth] = byte;
      label[++node] = byte;
      tokenAtDepth[depth + 1] = tokenAtDepth[depth]!;
      nodeAtDepth[++depth] = node;
    }
    const token = low[i]! | (middle[i]! << 8) | (high[i]! << 16);
    tokenOfNode[node] = token;
    length[token] = depth;
    shorter[token] = tokenAtDepth[depth]!;
    if (token < reachable) tokenAtDepth[depth] = token;
    const split = leftBytes[i]!;
    left[token] = split === 0 ? token : tokenOfNode[nodeAtDepth[split]!]!;
    rightBytesAt[token] = rightAt;
    if (split > 0) for (let at = split; at < depth; at++) rightBytes[rightAt++] = byteAtDepth[at]!;
  }
  isLeaf[node] = 1;

  const { trie, tokenAt } = placeNodes(node + 1, label, isLeaf, sibling, tokenOfNode);
  for (let token = 0; token < n; token++) {
    const first = left[token]!;
    if (first === token) {
      right[token] = token;
      continue;
    }
    let slot = ROOT_SLOT;
    const from = rightBytesAt[token]!;
    const end = from + length[token]! - length[first]!;
    for (let at = from; at < end; at++) slot = (trie[2 * slot]! >> 1) + rightBytes[at]!;
    right[token] = tokenAt[slot]!;
  }
  return { trie, tokenAt, length, shorter, left, right, reachable };
}

function tokenBytes(shared: Uint8Array, added: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < shared.length; i++) sum += shared[i]! + added[i]!;
  return sum;
}

/**
 * Gives every node a slot so that all children of a node are at one base plus their byte, and no two nodes share a slot. A free slot has
 * no parent, which is why the slots begin at 1.
 */
function placeNodes(nodes: number, label: Uint8Array, isLeaf: Uint8Array, sibling: Int32Array, tokenOfNode: Int32Array) {
  let slots = nodes + (nodes >> 4) + 1024;
  let trie = new Int32Array(2 * slots);
  let tokenAt = new Int32Array(slots);
  const slotOf = new Int32Array(nodes);
  slotOf[0] = ROOT_SLOT;
  trie[2 * ROOT_SLOT + 1] = NONE;
  tokenAt[ROOT_SLOT] = NONE;
  let firstFree = ROOT_SLOT + 1; // every slot below is taken
  let top = firstFree; // every slot from here is free
  let wideFrom = firstFree; // where to look for room for several children; the gaps left below are for only children
  for (let node = 0; node < nodes; node++) {
    if (top + 2 * BYTES > slots) {
      slots = 2 * (top + BYTES);
      trie = grown(trie, 2 * slots);
      tokenAt = grown(tokenAt, slots);
    }
    const slot = slotOf[node]!;
    const token = tokenOfNode[node]!;
    const isToken = token >= 0 ? 1 : 0;
    if (isToken) tokenAt[slot] = token;
    if (isLeaf[node] === 1) {
      trie[2 * slot] = isToken;
      continue;
    }
    const first = node + 1;
    const firstLabel = label[first]!;
    let base = -1;
    if (sibling[first] === 0) {
      while (trie[2 * firstFree + 1] !== 0) firstFree++;
      let at = Math.max(firstFree, firstLabel);
      while (trie[2 * at + 1] !== 0) at++;
      base = at - firstLabel;
    } else {
      while (trie[2 * wideFrom + 1] !== 0) wideFrom++;
      let at = Math.max(wideFrom, firstLabel);
      for (let tries = 0; tries < TRIES && at < top; at++) {
        if (trie[2 * at + 1] !== 0) continue;
        let child = sibling[first]!;
        while (child !== 0 && trie[2 * (at - firstLabel + label[child]!) + 1] === 0) child = sibling[child]!;
        if (child === 0) {
          base = at - firstLabel;
          break;
        }
        tries++;
      }
      if (base < 0) {
        base = Math.max(top, firstLabel) - firstLabel;
        wideFrom = at;
      }
    }
    trie[2 * slot] = (base << 1) | isToken;
    for (let child = first; child !== 0; child = sibling[child]!) {
      const at = base + label[child]!;
      trie[2 * at + 1] = slot;
      slotOf[child] = at;
      if (at >= top) top = at + 1;
    }
  }
  return { trie, tokenAt };
}

/** A table with more room. Few vocabularies have children so far apart that they need it. */
function grown(table: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(length);
  larger.set(table);
  return larger;
}
