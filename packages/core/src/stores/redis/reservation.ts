import { heldDetail, type ReserveCommand, type ReserveResult, refusal, type Standing } from "../../domain/engine.ts";
import { UNITS } from "../../domain/limit.ts";
import type { Answer } from "./connection.ts";
import { counterText, readDetail } from "./text.ts";

/** A command to reserve as its script takes it. */
export function reserveArgs({ id, limits, asks, output, share, leaseMs, detail }: ReserveCommand, attempt: string): readonly string[] {
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
    String(UNITS.length),
  ];
  for (const unit of UNITS) {
    const { base, perOutputToken, scale } = asks[unit];
    args.push(unit, String(base), String(perOutputToken), String(scale));
  }
  args.push(String(limits.length));
  for (const { counter, amount, enforced } of limits) {
    const { startsAt, resetsAt, budget } = counter;
    args.push(
      ...counterText(counter),
      String(amount),
      enforced ? "1" : "",
      String(startsAt),
      String(resetsAt ?? ""),
      JSON.stringify(budget),
    );
  }
  for (const budget of wouldRefuse) args.push(JSON.stringify(budget));
  return args;
}

export function reserveResult(command: ReserveCommand, { outcome, rest, now }: Answer): ReserveResult {
  const count = command.limits.length;
  if (outcome === "ended") return { outcome };
  if (outcome === "moved") return { outcome, now };
  if (outcome === "refused") {
    const [failing, ...standings] = rest;
    return refusal(command, readStandings(standings, count), Number(failing));
  }
  const outputTokens = Number(rest[0]);
  const expiresAt = Number(rest[1]);
  if (outcome === "open") {
    const standings = readStandings(rest.slice(3), count);
    return { outcome: "reserved", outputTokens, expiresAt, standings, wouldRefuse: [], detail: readDetail(rest[2] ?? "") };
  }
  const wouldRefuse = rest.slice(2 + 2 * count).map(Number);
  const standings = readStandings(rest.slice(2), count);
  return { outcome: "reserved", outputTokens, expiresAt, standings, wouldRefuse, detail: heldDetail(command, outputTokens, wouldRefuse) };
}

/** `spent, held` of each limit. */
function readStandings(numbers: readonly string[], count: number): readonly Standing[] {
  return Array.from({ length: count }, (_, i) => ({ spent: Number(numbers[2 * i]), held: Number(numbers[2 * i + 1]) }));
}
