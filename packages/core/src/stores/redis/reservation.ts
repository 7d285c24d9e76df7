import type { Ask, ReserveCommand, ReserveResult, Standing } from "../../domain/command.ts";
import { apply } from "../../domain/engine.ts";
import { heldDetail } from "../../domain/reserve.ts";
import { standings } from "../../domain/standing.ts";
import { PurserError } from "../../errors.ts";
import type { Answer } from "./connection.ts";
import { limitsText, pictured } from "./limits.ts";
import { readDetail } from "./text.ts";

/** A command to reserve as its script takes it. */
export function reserveArgs(
  { id, limits, asks, output, share, patient, leaseMs, detail }: ReserveCommand,
  { attempt, prefix }: { readonly attempt: string; readonly prefix: string },
): readonly string[] {
  const { wouldRefuse = [] } = detail;
  const isPriced = detail.price !== undefined || detail.allowance !== undefined;
  // The script fills these in: they depend on what fits.
  const known = { ...detail, outputTokens: undefined, cost: undefined, wouldRefuse: undefined };
  const args = [
    id,
    attempt,
    String(leaseMs),
    String(output.least),
    String(output.most),
    share === undefined ? "" : String(share),
    isPriced ? "1" : "",
    String(detail.inputTokens),
    JSON.stringify(known),
    ...askArgs(asks.output_tokens),
    ...askArgs(asks.nanodollars),
    limitsText(limits, asks),
    prefix,
    patient ? "1" : "",
  ];
  for (const budget of wouldRefuse) args.push(JSON.stringify(budget));
  return args;
}

function askArgs({ base, perOutputToken, scale }: Ask): readonly string[] {
  return [String(base), String(perOutputToken), String(scale)];
}

export function reserveResult(command: ReserveCommand, { outcome, rest, now }: Answer): ReserveResult {
  const { limits } = command;
  if (outcome === "ended") return { outcome };
  if (outcome === "moved") return { outcome, now };
  if (outcome === "refused") return refused(command, rest, now);
  const outputTokens = Number(rest[0]);
  const expiresAt = Number(rest[1]);
  if (outcome === "open") {
    const [, , detail = "", ...picture] = rest;
    const stand = standings(pictured(limits, picture), limits, now);
    return { outcome: "reserved", outputTokens, expiresAt, standings: stand, wouldRefuse: [], detail: readDetail(detail) };
  }
  const end = 2 + 4 * limits.length;
  const wouldRefuse = rest.slice(end).map(Number);
  const stand = readStandings(rest.slice(2, end));
  return {
    outcome: "reserved",
    outputTokens,
    expiresAt,
    standings: stand,
    wouldRefuse,
    detail: heldDetail(command, outputTokens, wouldRefuse),
  };
}

/** Why, and until when, the engine says: it sees what the script saw. */
function refused(command: ReserveCommand, picture: readonly string[], now: number): ReserveResult {
  const { result } = apply(pictured(command.limits, picture), command, now);
  if (result.outcome === "refused") return result;
  throw new PurserError("internal", `The script refused call ${command.id}, and the engine would not.`);
}

/** `amount, spent, held, allotted` of each limit. */
function readStandings(numbers: readonly string[]): readonly Standing[] {
  const found: Standing[] = [];
  for (let i = 0; i < numbers.length; i += 4) found.push(standingOf(numbers.slice(i, i + 4)));
  return found;
}

/** `amount, spent, held, allotted`. */
export function standingOf(texts: readonly string[]): Standing {
  const [amount = 0, spent = 0, held = 0, allotted = 0] = texts.map(Number);
  return allotted > 0 ? { amount, spent, held, allotted } : { amount, spent, held };
}
