import { hash } from "node:crypto";
import { type Budget, formatInstant, giverOf } from "@purser/core";
import type { Notice } from "../alerts/notice.ts";
import type { Trigger, Trip } from "./guard.ts";
import type { ToolLoop } from "./tool-loop.ts";

/** What happened, until when what holds, and what to do, in sentences for people and agents. */
export function describeTrip(budget: Budget, label: string, trip: Trip): string {
  const name = label === "" ? `Budget "${budget.name}"` : `Budget "${budget.name}" (${label})`;
  const until = formatInstant(trip.until, budget.timezone);
  const whom = giverOf(budget);
  return `${whatHappened(trip)} ${name} guards against that until ${until}. ${NEXT[trip.trigger]}, or ask ${whom}.`;
}

function whatHappened({ trigger, measured, loop }: Trip): string {
  if (loop) return `${loopPhrase(loop)}, which looks like a loop.`;
  if (trigger === "surge") return `More than ${measured} times as much was spent within a minute as in the dearest minute before.`;
  if (trigger === "growth") return `${measured} calls in a row each carried more than the one before, which looks like a loop.`;
  return `This call came ${measured} times within ten minutes, which looks like a loop.`;
}

const NEXT: Readonly<Record<Trigger, string>> = {
  repeats: "Do not send it again: ask for something else",
  same_tool: "Do not call it that way again: go on with what is known, or do something else",
  growth: "Stop, and look at what is being done",
  surge: "Stop, and look at what is being done",
};

function loopPhrase({ sign, tools, rounds, times }: ToolLoop): string {
  const names = tools.map(shownTool);
  const which = `${names.length < 2 ? "" : `${names.slice(0, -1).join(", ")} and `}${names.at(-1) ?? "a tool"}`;
  const called = `The tool${names.length > 1 ? "s" : ""} ${which} ${names.length > 1 ? "were" : "was"} called ${times} times`;
  if (sign === "error") return `The last ${times} calls of tools ended with the same error, the latest of ${which}`;
  if (sign === "between") return `${called} with the same arguments and the same result, and others between`;
  if (rounds > 1) return `The same ${rounds} calls of ${which} came round ${times} times${sign === "same" ? " with the same results" : ""}`;
  return `${called} in a row with the same arguments${sign === "same" ? " and the same result" : ""}`;
}

/** Names of tools are told, and nothing that only stands where one should be. */
function shownTool(name: string): string {
  return /^[\w.:/-]{1,64}$/.test(name) ? `"${name}"` : "a tool";
}

const WHAT: Readonly<Record<Trigger, string>> = {
  repeats: "the same call again and again",
  same_tool: "the same call of a tool again and again",
  growth: "calls that grow and grow",
  surge: "a minute far dearer than usual",
};

/** Stands for one trip, and for no other. */
export function tripDigest(budget: Budget, label: string, trip: Trip): string {
  return hash("sha256", aboutTrip(budget, label, trip), "hex").slice(0, 24);
}

function aboutTrip(budget: Budget, label: string, { trigger, at, fingerprint }: Trip): string {
  return JSON.stringify(["guard", budget.name, label, trigger, at, ...(fingerprint === undefined ? [] : [fingerprint])]);
}

export function tripNotice(budget: Budget, label: string, trip: Trip, message: string): Notice {
  const { trigger, at, until, measured } = trip;
  const name = label === "" ? budget.name : `${budget.name} (${label})`;
  return {
    id: `alert_${tripDigest(budget, label, trip)}`,
    kind: "guard.tripped",
    about: aboutTrip(budget, label, trip),
    at,
    severity: "warning",
    title: `Budget "${budget.name}"${label === "" ? "" : ` (${label})`}: ${WHAT[trigger]}`,
    text: message,
    facts: [
      ["Budget", name],
      ["Until", formatInstant(until, budget.timezone)],
      ...(budget.owner === undefined ? [] : ([["Owner", budget.owner]] as const)),
    ],
    data: { budget: budget.name, subject: label, guard: trigger, measured, until: new Date(until).toISOString() },
    owner: budget.owner,
  };
}
