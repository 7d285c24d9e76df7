// biome-ignore-all lint/style/noNonNullAssertion: indices into typed arrays are in range by construction, and are read for every byte.
import { type CharacterSet, CODE_POINTS, setOfProperty, setOfRanges, union } from "./character-set.ts";
import { type Pattern, parsePattern } from "./pattern.ts";
import { Uncountable } from "./uncountable.ts";

/**
 * A regular expression as a table: what it finds first from a place on, by one look at each character, however it is written. It finds what a
 * matcher that goes back finds, because a state is the list of places in the pattern that are still possible, the preferred ones first.
 */
export interface Automaton {
  /** Characters that no part of the pattern tells apart are one class. Two steps: blocks of 128 code points, most of which share their content. */
  readonly blockOf: Uint16Array;
  readonly blocks: Uint8Array;
  /** The class of each ASCII character. */
  readonly ascii: Uint8Array;
  /** Classes of characters; the one after the last is the end of the text. */
  readonly classes: number;
  /** By `state * (classes + 1) + class`: the next state and, in the lowest bit, whether a match ends before this character. State 0 has no way on. */
  readonly table: Uint16Array;
  /** Wherever a letter or a number is followed by a blank, no match goes across, whatever stands around them. */
  readonly endsWords: boolean;
  /** Something is found at every blank of every text. */
  readonly findsBlanks: boolean;
  /** Something is found at every place of every text. */
  readonly findsAll: boolean;
}

export const BLOCK_BITS = 7;
const START = 1;
const CLASSES_MOST = 127;
const STEPS_MOST = 5_000;
const STATES_MOST = 8_000;
const WORD = ["L", "N"];
const BLANK = 0x20;

type Step =
  | { readonly kind: "character"; readonly set: number; next: number }
  | { readonly kind: "ahead"; readonly set: number; readonly negative: boolean; next: number }
  /** The first way is preferred. */
  | { readonly kind: "ways"; ways: number[] }
  | { readonly kind: "found" };

/** Throws where the pattern is too large, or finds nothing at all as something. */
export function compilePattern(text: string): Automaton {
  const { steps, sets, start } = stepsOf(parsePattern(text), text);
  // Letters, numbers and the blank are kinds of their own, whether the pattern asks for them or not.
  const { classOf, members, representatives } = classesOf([...sets, union(WORD.map(setOfProperty)), setOfRanges([BLANK, BLANK])], text);
  const classes = representatives.length;
  const width = classes + 1;

  /** The places in the pattern that look at a character, preferred ones first, and whether it is found there, which ends the list. */
  function reached(places: readonly number[], kind: number): { readonly places: readonly number[]; readonly isFound: boolean } {
    const seen = new Set<number>();
    const list: number[] = [];
    const visit = (place: number): boolean => {
      if (seen.has(place)) return false;
      seen.add(place);
      const step = steps[place]!;
      switch (step.kind) {
        case "found":
          return true;
        case "ways":
          return step.ways.some(visit);
        case "ahead":
          return (kind < classes && members[step.set]![kind] === 1) !== step.negative && visit(step.next);
        case "character":
          list.push(place);
          return false;
      }
    };
    return { isFound: places.some(visit), places: list };
  }

  const states: (readonly number[])[] = [[], [start]];
  const known = new Map(states.map((places, state) => [places.join(), state]));
  const rows: number[][] = [];
  for (let state = 0; state < states.length; state++) {
    const row: number[] = [];
    for (let kind = 0; kind < width; kind++) {
      const { places, isFound } = reached(states[state]!, kind);
      const next = new Set<number>();
      for (const place of places) {
        const step = steps[place]!;
        if (step.kind === "character" && kind < classes && members[step.set]![kind] === 1) next.add(step.next);
      }
      const key = [...next].join();
      let to = known.get(key);
      if (to === undefined) {
        to = states.length;
        if (to >= STATES_MOST) throw new Uncountable(`its pattern has more than ${STATES_MOST} states`);
        known.set(key, to);
        states.push([...next]);
      }
      row.push(2 * to + (isFound ? 1 : 0));
    }
    rows.push(row);
  }
  if (rows[START]!.some((entry) => (entry & 1) === 1)) throw new Uncountable(`its pattern ${text} finds nothing at all as something`);

  const blank = classOf[BLANK]!;
  const wordKinds = representatives.flatMap((_, kind) => (members[sets.length]![kind] === 1 ? [kind] : []));
  const isFound = (kind: number) => rows[rows[START]![kind]! >> 1]!.every((entry) => (entry & 1) === 1);
  return {
    ...packed(classOf),
    classes,
    table: Uint16Array.from(rows.flat()),
    endsWords: endWords(rows, wordKinds, blank),
    findsBlanks: isFound(blank),
    findsAll: representatives.every((_, kind) => isFound(kind)),
  };
}

/** The pattern as steps, each with where it goes on; compiled from its end to its beginning. */
function stepsOf(pattern: Pattern, text: string) {
  const steps: Step[] = [{ kind: "found" }];
  const sets: CharacterSet[] = [];
  const add = (step: Step): number => {
    if (steps.length >= STEPS_MOST) throw new Uncountable(`its pattern ${text.slice(0, 60)} is longer than ${STEPS_MOST} steps`);
    return steps.push(step) - 1;
  };
  const setNumber = (set: CharacterSet): number => {
    const at = sets.findIndex((one) => one === set || Buffer.compare(one, set) === 0);
    return at >= 0 ? at : sets.push(set) - 1;
  };
  const compile = (part: Pattern, next: number): number => {
    switch (part.kind) {
      case "character":
        return add({ kind: "character", set: setNumber(part.set), next });
      case "ahead":
        return add({ kind: "ahead", set: setNumber(part.set), negative: part.negative, next });
      case "sequence":
        return part.parts.reduceRight((to, one) => compile(one, to), next);
      case "choice":
        return add({ kind: "ways", ways: part.options.map((one) => compile(one, next)) });
      case "repeat":
        return compileRepeat(part, next);
    }
  };
  const compileRepeat = ({ part, least, most, lazy }: Pattern & { kind: "repeat" }, next: number): number => {
    const ordered = (on: number, out: number) => (lazy ? [out, on] : [on, out]);
    let to = next;
    if (most === Number.POSITIVE_INFINITY) {
      const loop: Step = { kind: "ways", ways: [] };
      to = add(loop);
      loop.ways = ordered(compile(part, to), next);
    } else {
      for (let i = least; i < most; i++) to = add({ kind: "ways", ways: ordered(compile(part, to), next) });
    }
    for (let i = 0; i < least; i++) to = compile(part, to);
    return to;
  };
  const start = compile(pattern, 0);
  return { steps, sets, start };
}

/** The characters that are in the same of the sets, by a number for each such class, and the first of each. */
function classesOf(sets: readonly CharacterSet[], text: string) {
  const classOf = new Uint8Array(CODE_POINTS);
  let count = 1;
  for (const set of sets) {
    // By class and by whether it is in the set.
    const numbers = new Int16Array(2 * count).fill(-1);
    let next = 0;
    for (let code = 0; code < CODE_POINTS; code++) {
      const key = 2 * classOf[code]! + set[code]!;
      if (numbers[key] === -1) numbers[key] = next++;
      classOf[code] = numbers[key]!;
    }
    count = next;
    if (count > CLASSES_MOST)
      throw new Uncountable(`its pattern ${text.slice(0, 60)} tells more than ${CLASSES_MOST} kinds of characters apart`);
  }
  const representatives: number[] = new Array(count).fill(-1);
  for (let code = 0; code < CODE_POINTS; code++) {
    const kind = classOf[code]!;
    if (representatives[kind] === -1) representatives[kind] = code;
  }
  const members = sets.map((set) => Uint8Array.from(representatives, (code) => set[code]!));
  return { classOf, members, representatives };
}

/** No match that has come past a letter or number goes on over a blank, and none is found otherwise before a blank than before the end. */
function endWords(rows: readonly (readonly number[])[], wordKinds: readonly number[], blank: number): boolean {
  const end = rows[0]!.length - 1;
  const after = new Set(rows.flatMap((row) => wordKinds.map((kind) => row[kind]! >> 1)));
  return [...after].every((state) => rows[state]![blank]! >> 1 === 0 && (rows[state]![blank]! & 1) === (rows[state]![end]! & 1));
}

function packed(classOf: Uint8Array): Pick<Automaton, "blockOf" | "blocks" | "ascii"> {
  const size = 1 << BLOCK_BITS;
  const contents = new Map<string, number>();
  const blockOf = Uint16Array.from({ length: CODE_POINTS / size }, (_, block) => {
    const content = Buffer.from(classOf.buffer, block * size, size).toString("latin1");
    const number = contents.get(content) ?? contents.size;
    contents.set(content, number);
    return number;
  });
  const blocks = Uint8Array.from(Buffer.from([...contents.keys()].join(""), "latin1"));
  return { blockOf, blocks, ascii: classOf.slice(0, 128) };
}
