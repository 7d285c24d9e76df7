import { checkAmounts, NOTHING_USED } from "../../domain/ending.ts";
import type { LeaseCommand, LeaseResult, LeaseStep, Portion, Rejected } from "../../domain/lease.ts";
import { checkLease, distinctWants } from "../../domain/lend.ts";
import { UNITS } from "../../domain/limit.ts";
import type { Answer } from "./connection.ts";
import { uncountable } from "./connection.ts";
import { limitsText } from "./limits.ts";
import { standingOf } from "./reservation.ts";
import { allotmentsText } from "./text.ts";

type Command = Omit<LeaseCommand, "kind">;

/** A command to lease as its script takes it. */
export function leaseArgs(command: Command, prefix: string): readonly string[] {
  const { id, report, leaseMs, ends, steps } = command;
  checkLease(command);
  const wants = distinctWants(command.wants);
  const amounts = wants.map(({ amount, least }) => `${amount} ${least};`).join("");
  const limits = limitsText(wants.map(({ limit }) => limit));
  return [prefix, id, String(report), String(leaseMs), ends ? "1" : "", limits, amounts, ...steps.flatMap(stepArgs)];
}

function stepArgs(step: LeaseStep): readonly string[] {
  const { kind, id } = step;
  if (kind === "extend") return [kind, id, String(step.leaseMs), "", "", "", ""];
  if (kind === "release") return [kind, id, JSON.stringify(step.why), JSON.stringify(NOTHING_USED.charge), "", "", ""];
  if (kind === "settle") {
    const amounts = UNITS.map((unit) => `${unit}=${step.amounts[unit]};`).join("");
    return [kind, id, JSON.stringify(step.charge), problemOf(step) ? "" : "1", amounts, "", ""];
  }
  const { inputTokens, outputTokens, cost } = step.detail;
  const estimate = { usage: { inputTokens, outputTokens }, cost, certainty: "unconfirmed" };
  const { outputCap, leaseMs, detail } = step;
  return [kind, id, allotmentsText(step.holds), String(outputCap), String(leaseMs), JSON.stringify(detail), JSON.stringify(estimate)];
}

const PORTION_FIELDS = 6;
const REJECTED_FIELDS = 5;

export function leaseResult({ steps }: Command, { outcome, rest }: Answer): LeaseResult {
  if (outcome === "ended" || outcome === "unknown") return { outcome };
  const [expiresAt, count, ...texts] = rest;
  const end = PORTION_FIELDS * Number(count);
  const portions: Portion[] = [];
  for (let i = 0; i < end; i += PORTION_FIELDS) {
    const [amount, fair, ...standing] = texts.slice(i, i + PORTION_FIELDS);
    portions.push({ amount: Number(amount), fair: Number(fair), standing: standingOf(standing) });
  }
  const rejected: Rejected[] = [];
  for (let i = end; i < texts.length; i += REJECTED_FIELDS) rejected.push(rejectedOf(steps, texts.slice(i, i + REJECTED_FIELDS)));
  return { outcome: outcome === "expired" ? "expired" : "leased", expiresAt: Number(expiresAt), portions, rejected };
}

function rejectedOf(steps: readonly LeaseStep[], [number, ...counter]: readonly string[]): Rejected {
  const step = steps[Number(number)] as LeaseStep;
  const problem = counter[0] === "" ? problemOf(step) : uncountable(counter);
  return { id: step.id, message: (problem as Error).message };
}

function problemOf(step: LeaseStep): unknown {
  try {
    if (step.kind === "settle") checkAmounts(step.amounts);
    return undefined;
  } catch (error) {
    return error;
  }
}
