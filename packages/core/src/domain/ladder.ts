import { PurserError } from "../errors.ts";
import {
  ENFORCED,
  FULL,
  type LadderStep,
  type MeasuredLimit,
  parseStep,
  readShare,
  type StepBounds,
  stepId,
  stepText,
} from "./ladder-step.ts";
import type { Limit } from "./limit.ts";

/** What happens to a call while a budget is used as far as its step says. */
export type Rung =
  /** Sent to another model of the same provider or another one that speaks the same format. */
  | { readonly kind: "use"; readonly model: string }
  /** One answer has at most this many tokens. */
  | { readonly kind: "shorten"; readonly outputTokens: number }
  /** The oldest turns are left out until the input has at most this many tokens. */
  | { readonly kind: "trim"; readonly inputTokens: number }
  /** The oldest turns are replaced by a summary that this model writes, until the input has at most this many tokens. */
  | { readonly kind: "summarise"; readonly inputTokens: number; readonly model: string }
  /** The call is the last one of its task, and is told so; what is left above the step is kept for it. */
  | { readonly kind: "finish" }
  /** The call waits before it is sent. */
  | { readonly kind: "slow"; readonly waitMs: number }
  /** A call whose client can wait is kept until the budget resets, if that is no longer away, and made then; its answer may be pushed to a channel. */
  | { readonly kind: "queue"; readonly waitMs: number; readonly channel: string | undefined }
  /** The caller gets this text in the place of an answer, and no provider is asked. */
  | { readonly kind: "answer"; readonly text: string }
  /** A question of a list in the configuration gets the answer that stands there; one that is at least so near to it too, where it says so. */
  | { readonly kind: "lookup"; readonly list: string; readonly nearness: Nearness }
  /** The same call is answered as before, by what was kept for at most so long; one that is at least so near to it too, where it says so. */
  | { readonly kind: "cache"; readonly ageMs: number; readonly nearness: Nearness }
  /**
   * A person goes on with the conversation, and the caller gets a text that says so; whoever is told of it is named by a channel, or all are. What
   * was said in it is kept for so long where the rung says that; else nothing is.
   */
  | { readonly kind: "handover"; readonly channel: string | undefined; readonly keepMs: number | undefined; readonly text: string }
  /** The call is refused. */
  | { readonly kind: "block" }
  /** Whoever owns the budget is asked for this share of the limit more, where a call is refused; the call waits so long for an answer. */
  | { readonly kind: "ask"; readonly share: number; readonly waitMs: number; readonly channel: string | undefined }
  /** People are told, once in each window; of a channel by its name, or of all. Changes nothing about a call. */
  | { readonly kind: "tell"; readonly channel: string | undefined };

/** From 0 to 1: how near two questions have to be, so that one gets the answer of the other. None where they have to be the same. */
export type Nearness = number | undefined;

/** Steps by ascending share. */
export type Ladder = readonly LadderStep[];

/** A ladder as people write it: `{ "85%": "use gpt-4o-mini", "90% of $ / month": ["shorten 300", "trim 4000"], "$20 left": "ask" }`. */
export type LadderInput = Readonly<Record<string, string | readonly string[]>>;

/** A step that was entered is left when the use is this much below it, so that calls which end do not make it flap. */
const LEEWAY = 200;
const SLOW_MS = 2_000;
const SLOW_MOST_MS = 60_000;
/** A tenth of the limit. */
const ASK_SHARE = 1_000;
const ASK_MOST_MS = 600_000;
const CACHE_MS = 3_600_000;
/** What differs by more is hardly the same question: nothing is near that shares less than half. */
const NEARNESS_LEAST = 0.5;
const CACHE_MOST_MS = 24 * CACHE_MS;
/** Until the next month begins. */
const QUEUE_MS = 31 * 86_400_000;
const QUEUE_MOST_MS = 366 * 86_400_000;
/** Longer is an archive, and not what a person needs to go on. */
const KEEP_MOST_MS = 366 * 86_400_000;
const HANDOVER_TEXT = "A person will go on with this conversation, and answer here. Please come back in a while.";
const GRAMMAR =
  'Write steps as `85%: use gpt-4o-mini`, `85% of $ / month: use gpt-4o-mini`, `$400: tell` or `$20 left: tell`. Rungs are `use MODEL`, `shorten TOKENS`, `trim TOKENS`, `summarise TOKENS with MODEL`, `finish`, `slow` or `slow 5s`, `lookup LIST` or `lookup LIST similar 0.9`, `cache`, `cache 10m` or `cache similar 0.9 10m`, `queue` or `queue 12h`, `answer "TEXT"`, `hand over` or `hand over CHANNEL keep 30d "TEXT"`, `ask` or `ask 2m +20%`, `tell` or `tell CHANNEL`, and `block`.';

/** Reads the ladder of a budget with these limits. Throws `ladder_invalid` with what to do. */
export function parseLadder(input: LadderInput, limits: readonly Limit[], bounds: StepBounds = ENFORCED): Ladder {
  const steps = Object.entries(input).map(([key, texts]): LadderStep => {
    const { from, ...start } = parseStep(key, limits, bounds, invalid);
    const rungs = parseRungs(typeof texts === "string" ? [texts] : texts, ` at ${key}`);
    if (rungs.some(({ kind }) => kind === "finish")) checkFinish(key, from, start.measures);
    return { from, rungs, ...start };
  });
  steps.sort((a, b) => a.from - b.from);
  for (const [i, step] of steps.entries()) {
    const isAlike = (other: LadderStep) => other.of === step.of && stepId(other) === stepId(step);
    if (steps.slice(0, i).some(isAlike)) throw invalid(`it has two steps at ${stepText(step)}.`);
  }
  return steps;
}

/** A task ends for good, so what resets cannot end it; and its last answer needs room. */
function checkFinish(key: string, share: number, limits: readonly MeasuredLimit[]): void {
  if (share === 0 || share >= FULL)
    throw invalid(`"finish" at ${key} keeps ${share === 0 ? "all" : "nothing"} for the last answer: 90% keeps a tenth.`);
  const other = limits.find(({ window }) => window !== "lifetime");
  if (other)
    throw invalid(
      `"finish" at ${key} ends a task for good, and a limit by the ${other.window} begins again. Give the budget only limits without a window, such as $2, or name a unit of which all are: \`90% of $: finish\`.`,
    );
}

/**
 * Reads the rungs of a step, or of what does the same for another reason. Of each kind one can hold for a call; only people can be told in
 * several ways. `where`: for messages. Throws `ladder_invalid` with what to do.
 */
export function parseRungs(texts: readonly string[], where = ""): readonly Rung[] {
  const rungs = texts.map((text) => parseRung(text, where));
  for (const [i, { kind }] of rungs.entries()) {
    if (kind !== "tell" && rungs.some((other, j) => j < i && other.kind === kind))
      throw invalid(`"${kind}" stands twice${where}, where one of them can hold. Keep one, or put the other at another share.`);
  }
  return rungs;
}

function parseRung(text: string, where: string): Rung {
  const [, word = "", rest = ""] = /^(\S+)\s*(.*)$/s.exec(text.trim()) ?? [];
  const read = RUNGS.get(word.toLowerCase());
  const rung = read?.(rest.trim());
  if (rung) return rung;
  throw invalid(`"${text}"${where} is not a rung.`);
}

const RUNGS: ReadonlyMap<string, (rest: string) => Rung | undefined> = new Map<string, (rest: string) => Rung | undefined>([
  ["use", (model) => (/^\S+$/.test(model) ? { kind: "use", model } : undefined)],
  ["shorten", (rest) => withTokens(rest, (outputTokens) => ({ kind: "shorten", outputTokens }))],
  ["trim", (rest) => withTokens(rest, (inputTokens) => ({ kind: "trim", inputTokens }))],
  ["summarise", parseSummarise],
  ["summarize", parseSummarise],
  ["finish", (rest) => (rest === "" ? { kind: "finish" } : undefined)],
  ["slow", parseSlow],
  ["lookup", parseLookup],
  ["cache", parseCache],
  ["queue", parseQueue],
  ["answer", (rest) => withText(rest)],
  ["hand", parseHandover],
  ["ask", parseAsk],
  ["tell", (rest) => (/^\S*$/.test(rest) ? { kind: "tell", channel: rest === "" ? undefined : rest } : undefined)],
  ["block", (rest) => (rest === "" ? { kind: "block" } : undefined)],
]);

function withTokens(rest: string, make: (tokens: number) => Rung): Rung | undefined {
  const [, digits, thousands] = /^(\d+)(k?)(?: tokens)?$/i.exec(rest) ?? [];
  const tokens = Number(digits) * (thousands ? 1000 : 1);
  return tokens >= 1 && Number.isSafeInteger(tokens) ? make(tokens) : undefined;
}

/** The model is named, because one that is no cheaper than that of the call would make every summary dearer than what it saves. */
function parseSummarise(rest: string): Rung | undefined {
  const [, tokens = "", model] = /^(\S+(?: tokens)?) with (\S+)$/.exec(rest) ?? [];
  return model === undefined ? undefined : withTokens(tokens, (inputTokens) => ({ kind: "summarise", inputTokens, model }));
}

function parseSlow(rest: string): Rung | undefined {
  if (rest === "") return { kind: "slow", waitMs: SLOW_MS };
  const [, digits, unit] = /^(\d+)\s*(ms|s)$/.exec(rest) ?? [];
  const waitMs = Number(digits) * (unit === "s" ? 1000 : 1);
  return waitMs >= 1 && waitMs <= SLOW_MOST_MS ? { kind: "slow", waitMs } : undefined;
}

/** In any order: how long the call waits, how much more is asked for, and of which channel. */
function parseAsk(rest: string): Rung | undefined {
  let [share, waitMs, channel] = [ASK_SHARE, 0, undefined as string | undefined];
  for (const word of rest.split(/\s+/).filter((one) => one !== "")) {
    const [, percent] = /^\+(\d{1,3})%$/.exec(word) ?? [];
    const [, digits, unit = ""] = /^(\d{1,3})([sm])$/.exec(word) ?? [];
    if (percent !== undefined && Number(percent) > 0) share = Number(percent) * 100;
    else if (digits !== undefined) waitMs = Number(digits) * (UNITS[unit] ?? 0);
    else if (/^[a-z][\w.-]*$/.test(word) && channel === undefined) channel = word;
    else return undefined;
  }
  return waitMs <= ASK_MOST_MS ? { kind: "ask", share, waitMs, channel } : undefined;
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** In any order: how long a call may wait, and the channel that gets its answer. */
function parseQueue(rest: string): Rung | undefined {
  let [waitMs, channel] = [QUEUE_MS, undefined as string | undefined];
  for (const word of rest.split(/\s+/).filter((one) => one !== "")) {
    const [, digits, unit = ""] = /^(\d{1,4})([mhd])$/.exec(word) ?? [];
    if (digits !== undefined) waitMs = Number(digits) * (UNITS[unit] ?? 0);
    else if (/^[a-z][\w.-]*$/.test(word) && channel === undefined) channel = word;
    else return undefined;
  }
  return waitMs >= 1 && waitMs <= QUEUE_MOST_MS ? { kind: "queue", waitMs, channel } : undefined;
}

/** After `over`, in any order before the text: the channel that is told, and how long what was said is kept. */
function parseHandover(rest: string): Rung | undefined {
  const [, words, text = HANDOVER_TEXT] = /^over\b([^"]*)(?:"(.*)")?$/s.exec(rest) ?? [];
  if (words === undefined || text.trim() === "") return undefined;
  let [keepMs, channel] = [undefined as number | undefined, undefined as string | undefined];
  for (const [word] of words.matchAll(/keep\s+\S+|\S+/g)) {
    const [, digits, unit = ""] = /^keep\s+(\d{1,4})([mhd])$/.exec(word) ?? [];
    if (digits !== undefined && keepMs === undefined) keepMs = Number(digits) * (UNITS[unit] ?? 0);
    else if (/^[a-z][\w.-]*$/.test(word) && word !== "keep" && channel === undefined) channel = word;
    else return undefined;
  }
  return keepMs === undefined || (keepMs >= 1 && keepMs <= KEEP_MOST_MS) ? { kind: "handover", channel, keepMs, text } : undefined;
}

function parseLookup(rest: string): Rung | undefined {
  const [, list, similar] = /^([\w.-]+)(?: similar (\S+))?$/.exec(rest) ?? [];
  if (list === undefined) return undefined;
  if (similar === undefined) return { kind: "lookup", list, nearness: undefined };
  const nearness = parseNearness(similar);
  return nearness === undefined ? undefined : { kind: "lookup", list, nearness };
}

function parseCache(rest: string): Rung | undefined {
  const [, similar, age = ""] = /^(?:similar (\S+)(?: |$))?(.*)$/.exec(rest) ?? [];
  const nearness = similar === undefined ? undefined : parseNearness(similar);
  if (similar !== undefined && nearness === undefined) return undefined;
  if (age === "") return { kind: "cache", ageMs: CACHE_MS, nearness };
  const [, digits, unit = ""] = /^(\d{1,6})\s*([smh])$/.exec(age) ?? [];
  const ageMs = Number(digits) * (UNITS[unit] ?? 0);
  return ageMs >= 1 && ageMs <= CACHE_MOST_MS ? { kind: "cache", ageMs, nearness } : undefined;
}

/** `0.9`, `90%`. */
function parseNearness(text: string): number | undefined {
  const share = /^[01](?:\.\d{1,2})?$/.test(text) ? Number(text) : (readShare(text) ?? 0) / FULL;
  return share >= NEARNESS_LEAST && share <= 1 ? share : undefined;
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
  if (rung.kind === "summarise") return `summarise ${rung.inputTokens} with ${rung.model}`;
  if (rung.kind === "slow") return `slow ${rung.waitMs % 1000 === 0 ? `${rung.waitMs / 1000}s` : `${rung.waitMs}ms`}`;
  if (rung.kind === "lookup") return `lookup ${rung.list}${similarText(rung)}`;
  if (rung.kind === "cache")
    return `cache${similarText(rung)} ${rung.ageMs % 60_000 === 0 ? `${rung.ageMs / 60_000}m` : `${rung.ageMs / 1000}s`}`;
  if (rung.kind === "queue")
    return ["queue", rung.channel, ...(rung.waitMs === QUEUE_MS ? [] : [`${rung.waitMs / 60_000}m`])].filter(Boolean).join(" ");
  if (rung.kind === "ask")
    return ["ask", rung.channel, ...(rung.waitMs > 0 ? [`${rung.waitMs / 1000}s`] : []), `+${rung.share / 100}%`].filter(Boolean).join(" ");
  if (rung.kind === "handover")
    return ["hand over", rung.channel, ...(rung.keepMs === undefined ? [] : [`keep ${keepText(rung.keepMs)}`])].filter(Boolean).join(" ");
  if (rung.kind === "tell" && rung.channel !== undefined) return `tell ${rung.channel}`;
  return rung.kind;
}

function keepText(keepMs: number): string {
  const unit = (["d", "h"] as const).find((one) => keepMs % (UNITS[one] as number) === 0) ?? "m";
  return `${keepMs / (UNITS[unit] as number)}${unit}`;
}

function similarText({ nearness }: { readonly nearness: Nearness }): string {
  return nearness === undefined ? "" : ` similar ${nearness}`;
}

/**
 * The steps of a ladder that are reached, by their places. `beyond`: how far the use is beyond the beginning of a step, in hundredths of a per cent.
 * `before`: those that were reached so far: steps are left only some way below where they begin.
 */
export function reachedSteps(ladder: Ladder, beyond: (step: LadderStep) => number, before: readonly number[] = []): readonly number[] {
  const reached: number[] = [];
  for (const [i, step] of ladder.entries()) if (beyond(step) >= (before.includes(i) ? -LEEWAY : 0)) reached.push(i);
  return reached;
}

/** Rungs that concern people. What a call that is admitted does, they do not change. */
const ONLY_PEOPLE: ReadonlySet<Rung["kind"]> = new Set(["tell", "ask"]);

/** A rung that holds, and the step that it is of. */
export interface HeldRung {
  readonly rung: Rung;
  readonly step: LadderStep;
}

/** The rungs that hold for calls where these steps are reached, by ascending share: of each kind the one of the highest step. */
export function rungsAt(ladder: Ladder, reached: readonly number[]): readonly HeldRung[] {
  const held = new Map<Rung["kind"], HeldRung>();
  for (const i of reached) {
    const step = ladder[i] as LadderStep;
    for (const rung of step.rungs) if (!ONLY_PEOPLE.has(rung.kind)) held.set(rung.kind, { rung, step });
  }
  return [...held.values()];
}

/** Whether any step of a ladder does something to calls. */
export function changesCalls(ladder: Ladder): boolean {
  return ladder.some(({ rungs }) => rungs.some(({ kind }) => !ONLY_PEOPLE.has(kind)));
}
