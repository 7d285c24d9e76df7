// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
/** A byte-level BPE vocabulary as tables: a double-array trie over all tokens, and how each token was merged. */
export interface Vocabulary {
  /** Two integers a slot: `base << 1 | isToken`, and the slot of the parent. The child by byte `b` is at `base + b` if its parent is this slot. */
  readonly trie: Int32Array;
  /** The token that ends at a slot. A token is named by its rank: the order in which merges are made. */
  readonly tokenAt: Int32Array;
  readonly length: Uint8Array;
  /** The longest token that is a proper prefix of a token, or -1. */
  readonly shorter: Int32Array;
  /** The two tokens of a token's last merge; a token of one byte is its own left and right. */
  readonly left: Int32Array;
  readonly right: Int32Array;
}

const HEAD_BYTES = 12;
const PLANES = 6;
const FREE = -1;
const TRIES = 6;
const ROOT = 0;

/** Reads what `scripts/pack-vocabularies.mjs` writes; the format is described there. */
export function readVocabulary(packed: Uint8Array): Vocabulary {
  const n = new DataView(packed.buffer, packed.byteOffset).getUint32(8, true);
  const plane = (i: number) => packed.subarray(HEAD_BYTES + i * n, HEAD_BYTES + (i + 1) * n);
  const shared = plane(0);
  const added = plane(1);
  const leftBytes = plane(2);
  const ranks = [plane(3), plane(4), plane(5)] as const;
  const suffixes = packed.subarray(HEAD_BYTES + PLANES * n);

  // The tokens come sorted, so walking them makes the trie in preorder: a stack of nodes by depth is all that is needed.
  const nodesMax = suffixes.length + 1;
  const label = new Uint8Array(nodesMax);
  const firstChild = new Int32Array(nodesMax);
  const lastChild = new Int32Array(nodesMax);
  const sibling = new Int32Array(nodesMax);
  const tokenOfNode = new Int32Array(nodesMax).fill(-1);
  const length = new Uint8Array(n);
  const shorter = new Int32Array(n);
  const left = new Int32Array(n);
  const right = new Int32Array(n);
  const rightBytesAt = new Int32Array(n);
  const nodeAtDepth = new Int32Array(256);
  const longestTokenAtDepth = new Int32Array(256).fill(-1);
  const bytesAtDepth = new Uint8Array(256);
  const rightBytes = new Uint8Array(tokenBytes(shared, added));
  let nodes = 1;
  let suffixAt = 0;
  let rightAt = 0;
  for (let i = 0; i < n; i++) {
    let depth = shared[i]!;
    let node = nodeAtDepth[depth]!;
    for (let end = depth + added[i]!; depth < end; ) {
      const byte = suffixes[suffixAt++]!;
      const child = nodes++;
      label[child] = byte;
      if (firstChild[node] === 0) firstChild[node] = child;
      else sibling[lastChild[node]!] = child;
      lastChild[node] = child;
      longestTokenAtDepth[depth + 1] = longestTokenAtDepth[depth]!;
      bytesAtDepth[depth++] = byte;
      nodeAtDepth[depth] = child;
      node = child;
    }
    const token = ranks[0][i]! | (ranks[1][i]! << 8) | (ranks[2][i]! << 16);
    tokenOfNode[node] = token;
    length[token] = depth;
    shorter[token] = longestTokenAtDepth[depth]!;
    longestTokenAtDepth[depth] = token;
    const split = leftBytes[i]!;
    left[token] = split === 0 ? token : tokenOfNode[nodeAtDepth[split]!]!;
    right[token] = token;
    rightBytesAt[token] = rightAt;
    if (split > 0) for (let at = split; at < depth; at++) rightBytes[rightAt++] = bytesAtDepth[at]!;
  }

  const { trie, tokenAt } = placeNodes(nodes, label, firstChild, sibling, tokenOfNode);
  for (let token = 0; token < n; token++) {
    if (left[token] === token) continue;
    let slot = ROOT;
    const from = rightBytesAt[token]!;
    const end = from + length[token]! - length[left[token]!]!;
    for (let at = from; at < end; at++) slot = (trie[2 * slot]! >> 1) + rightBytes[at]!;
    right[token] = tokenAt[slot]!;
  }
  return { trie, tokenAt, length, shorter, left, right };
}

function tokenBytes(shared: Uint8Array, added: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < shared.length; i++) sum += shared[i]! + added[i]!;
  return sum;
}

/** Gives every node a slot so that all children of a node are at one base plus their byte, and no two nodes share a slot. */
function placeNodes(nodes: number, label: Uint8Array, firstChild: Int32Array, sibling: Int32Array, tokenOfNode: Int32Array) {
  const slots = nodes + (nodes >> 2) + 1024;
  const trie = new Int32Array(2 * slots).fill(FREE);
  const tokenAt = new Int32Array(slots).fill(-1);
  const slotOf = new Int32Array(nodes);
  trie[1] = ROOT;
  let firstFree = 1; // every slot below is taken
  let top = 1; // every slot from here is free
  let wideFrom = 1; // where to look for room for several children; the gaps left below it are filled by only children
  for (let node = 0; node < nodes; node++) {
    const slot = slotOf[node]!;
    const isToken = tokenOfNode[node]! >= 0 ? 1 : 0;
    if (isToken) tokenAt[slot] = tokenOfNode[node]!;
    const first = firstChild[node]!;
    if (first === 0) {
      trie[2 * slot] = isToken;
      continue;
    }
    let base: number;
    const firstLabel = label[first]!;
    if (sibling[first] === 0) {
      while (trie[2 * firstFree + 1] !== FREE) firstFree++;
      let at = Math.max(firstFree, firstLabel);
      while (trie[2 * at + 1] !== FREE) at++;
      base = at - firstLabel;
    } else {
      while (trie[2 * wideFrom + 1] !== FREE) wideFrom++;
      let at = Math.max(wideFrom, firstLabel);
      base = -1;
      for (let tries = 0; tries < TRIES && at < top; at++) {
        if (trie[2 * at + 1] !== FREE) continue;
        let child = sibling[first]!;
        while (child !== 0 && trie[2 * (at - firstLabel + label[child]!) + 1] === FREE) child = sibling[child]!;
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
