import { PurserError } from "../errors.ts";

/** What happens to a call while a budget is used as far as its step says. */
export type Rung =
  /** Sent to another model of the same provider or another one that speaks the same format. */
  | { readonly kind: "use"; readonly model: string }
  /** One answer has at most this many tokens. */
  | { readonly kind: "shorten"; readonly outputTokens: number }
  /** The oldest turns are left out until the input has at most this many tokens. */
  | { readonly kind: "trim"; readonly inputTokens: number }
  /** The call waits before it is sent. */
  | { readonly kind: "slow"; readonly waitMs: number }
  /** The caller gets this text in the place of an answer, and no provider is asked. */
  | { readonly kind: "answer"; readonly text: string }
  /** The call is refused. */
  | { readonly kind: "block" };

/** Rungs that hold from a share of a limit on that is spent or held. */
export interface LadderStep {
  /** In hundredths of a per cent: 8500 is 85 %. */
  readonly from: number;
  readonly rungs: readonly Rung[];
}

/** Steps by ascending share. */
export type Ladder = readonly LadderStep[];

/** A ladder as people write it: `{ "85%": "use gpt-4o-mini", "90%": ["shorten 300", "trim 4000"] }`. */
export type LadderInput = Readonly<Record<string, string | readonly string[]>>;

const FULL = 10_000;
/** A step that was entered is left when the use is this much below it, so that calls which end do not make it flap. */
const LEEWAY = 200;
const SLOW_MS = 2_000;
const SLOW_MOST_MS = 60_000;
const GRAMMAR =
  'Write steps as `85%: use gpt-4o-mini`. Rungs are `use MODEL`, `shorten TOKENS`, `trim TOKENS`, `slow` or `slow 5s`, `answer "TEXT"` and `block`.';

/** Reads a ladder. Throws `ladder_invalid` with what to do. */
export function parseLadder(input: LadderInput): Ladder {
  const steps = Object.entries(input).map(([share, rungs]) => ({
    from: parseShare(share),
    rungs: (typeof rungs === "string" ? [rungs] : rungs).map((text) => parseRung(text, share)),
  }));
  steps.sort((a, b) => a.from - b.from);
  for (const [i, { from }] of steps.entries()) if (steps[i - 1]?.from === from) throw invalid(`it has two steps at ${shareText(from)}.`);
  return steps;
}

function parseShare(text: string): number {
  const match = /^(\d{1,3})(?:\.(\d{1,2}))?\s*%$/.exec(text.trim());
  const from = match ? Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0")) : Number.NaN;
  if (from >= 0 && from <= FULL) return from;
  throw invalid(`"${text}" is not a share of a limit from 0% to 100%.`);
}

function parseRung(text: string, share: string): Rung {
  const [, word = "", rest = ""] = /^(\S+)\s*(.*)$/s.exec(text.trim()) ?? [];
  const read = RUNGS.get(word.toLowerCase());
  const rung = read?.(rest.trim());
  if (rung) return rung;
  if (NOT_THERE.has(word.toLowerCase())) throw invalid(`this version has no rung "${word}" yet (${share}).`);
  throw invalid(`"${text}" at ${share} is not a rung.`);
}

const RUNGS: ReadonlyMap<string, (rest: string) => Rung | undefined> = new Map<string, (rest: string) => Rung | undefined>([
  ["use", (model) => (/^\S+$/.test(model) ? { kind: "use", model } : undefined)],
  ["shorten", (rest) => withTokens(rest, (outputTokens) => ({ kind: "shorten", outputTokens }))],
  ["trim", (rest) => withTokens(rest, (inputTokens) => ({ kind: "trim", inputTokens }))],
  ["slow", parseSlow],
  ["answer", (rest) => withText(rest)],
  ["block", (rest) => (rest === "" ? { kind: "block" } : undefined)],
]);

/** Rungs that people ask for and that are not built: better refused than promised. */
const NOT_THERE: ReadonlySet<string> = new Set(["tell", "summarise", "summarize", "cache", "queue", "ask"]);

function withTokens(rest: string, make: (tokens: number) => Rung): Rung | undefined {
  const [, digits, thousands] = /^(\d+)(k?)(?: tokens)?$/i.exec(rest) ?? [];
  const tokens = Number(digits) * (thousands ? 1000 : 1);
  return tokens >= 1 && Number.isSafeInteger(tokens) ? make(tokens) : undefined;
}

function parseSlow(rest: string): Rung | undefined {
  if (rest === "") return { kind: "slow", waitMs: SLOW_MS };
  const [, digits, unit] = /^(\d+)\s*(ms|s)$/.exec(rest) ?? [];
  const waitMs = Number(digits) * (unit === "s" ? 1000 : 1);
  return waitMs >= 1 && waitMs <= SLOW_MOST_MS ? { kind: "slow", waitMs } : undefined;
}

function withText(rest: string): Rung | undefined {
  const text = /^"(.*)"$/s.exec(rest)?.[1] ?? rest;
  return text.trim() === "" ? undefined : { kind: "answer", text };
}

function invalid(what: string): PurserError {
  return new PurserError("ladder_invalid", `The ladder cannot be read: ${what} ${GRAMMAR}`);
}

/** A rung as it is written: `use gpt-4o-mini`. */
export function rungText(rung: Rung): string {
  if (rung.kind === "use") return `use ${rung.model}`;
  if (rung.kind === "shorten") return `shorten ${rung.outputTokens}`;
  if (rung.kind === "trim") return `trim ${rung.inputTokens}`;
  if (rung.kind === "slow") return `slow ${rung.waitMs % 1000 === 0 ? `${rung.waitMs / 1000}s` : `${rung.waitMs}ms`}`;
  return rung.kind;
}

/** `85%`. */
export function shareText(share: number): string {
  return `${share / 100}%`;
}

/** How much of a limit is spent or held, in hundredths of a per cent. Of a limit of nothing, all is. */
export function shareOf({ spent, held }: { readonly spent: number; readonly held: number }, limit: number): number {
  return limit === 0 ? FULL : ((spent + held) / limit) * FULL;
}

/**
 * The step of a ladder for a share that is used. `before` is the step that held so far: steps are entered at their share, and left only some way
 * below it. -1: none.
 */
export function stepAt(ladder: Ladder, share: number, before = -1): number {
  let step = -1;
  for (const [i, { from }] of ladder.entries()) if (share >= (i <= before ? from - LEEWAY : from)) step = i;
  return step;
}

/** The rungs that hold at a step: those of all steps up to it, of each kind the one of the highest step. */
export function rungsAt(ladder: Ladder, step: number): readonly Rung[] {
  const rungs = new Map<Rung["kind"], Rung>();
  for (const one of ladder.slice(0, step + 1)) for (const rung of one.rungs) rungs.set(rung.kind, rung);
  return [...rungs.values()];
}
