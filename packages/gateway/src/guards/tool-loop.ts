import { digest } from "./condensed.ts";
import type { ToolRound } from "./tool-rounds.ts";

/** A loop of calls of tools, as a conversation shows it. */
export interface ToolLoop {
  /** Stands for the loop, whichever of its calls came last. */
  readonly fingerprint: string;
  readonly sign: ToolSign;
  /** Which tools are called, each once. */
  readonly tools: readonly string[];
  /** How many rounds it takes until it begins again. */
  readonly rounds: number;
  readonly times: number;
}

/**
 * By what it is known: the same results each time; the same error, whatever is called; other results, but nothing else between; or the same
 * results, but other calls between.
 */
export type ToolSign = "same" | "error" | "changing" | "between";

/** A loop goes through at most so many rounds before it begins again. */
const PERIOD_MOST = 4;
/** Where something changes, so many times as many are needed to be as sure. */
const LESS_SURE = 2;

/** So many rounds have to be known to find a loop. */
export function roundsFor(times: number): number {
  return PERIOD_MOST * LESS_SURE * times;
}

/** The loop that the latest rounds of a conversation are in; the latest round comes first. */
export function findToolLoop(rounds: readonly ToolRound[], times: number): ToolLoop | undefined {
  const recent = rounds.slice(0, roundsFor(times));
  const [latest] = recent;
  if (!latest) return undefined;
  return (
    goingRound(recent, "same", times, (one, other) => one.results === other.results) ??
    failing(recent, latest, times) ??
    goingRound(recent, "changing", LESS_SURE * times, (one, other) => one.calls === other.calls) ??
    comingBack(recent, latest, LESS_SURE * times)
  );
}

type Compare = (one: ToolRound, other: ToolRound) => boolean;

/** The same rounds in the same order, again and again. */
function goingRound(rounds: readonly ToolRound[], sign: ToolSign, least: number, isSame: Compare): ToolLoop | undefined {
  for (let period = 1; period <= PERIOD_MOST; period++) {
    let same = 0;
    while (same + period < rounds.length && isSame(rounds[same] as ToolRound, rounds[same + period] as ToolRound)) same++;
    const times = Math.floor(same / period) + 1;
    if (times >= least) return loopOf(sign, rounds.slice(0, period).reverse(), times);
  }
  return undefined;
}

/** The same error each time, whatever was called. */
function failing(rounds: readonly ToolRound[], latest: ToolRound, least: number): ToolLoop | undefined {
  const { errors } = latest;
  if (errors === undefined) return undefined;
  const other = rounds.findIndex((round) => round.errors !== errors);
  const times = other < 0 ? rounds.length : other;
  return times >= least ? { fingerprint: digest(`error ${errors}`), sign: "error", tools: latest.tools, rounds: 1, times } : undefined;
}

/** The same round, with the same results, between others. */
function comingBack(rounds: readonly ToolRound[], latest: ToolRound, least: number): ToolLoop | undefined {
  const times = rounds.filter(({ results }) => results === latest.results).length;
  return times >= least ? loopOf("between", [latest], times) : undefined;
}

function loopOf(sign: ToolSign, rounds: readonly ToolRound[], times: number): ToolLoop {
  const calls = rounds.map((round) => round.calls).sort();
  const tools = [...new Set(rounds.flatMap((round) => round.tools))];
  return { fingerprint: digest(calls.join("\n")), sign, tools, rounds: rounds.length, times };
}
