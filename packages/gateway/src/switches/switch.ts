import { compileSelector, formatInstant, type Selector, type Subject } from "@purser/core";
import { selectionPhrase } from "../config/sentence.ts";

/** Something that was taken out of service, and by whom, why and until when. */
export interface Switch {
  /** `sw_7f3a…` */
  readonly id: string;
  /** Which calls it stops, in the words of a budget's `for:`. All calls where it is empty. */
  readonly for: Selector;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly by: string;
  readonly why: string;
  /** When calls pass again by themselves; never where it is left out. */
  readonly until: number | undefined;
  /** Who let calls pass again, and why; nothing while nobody did. */
  readonly ended?: { readonly at: number; readonly by: string; readonly why: string } | undefined;
}

/** What happened to a switch, as it is written down. All that is known of switches is the sum of these. */
export type SwitchEvent =
  | ({ readonly event: "off" } & Omit<Switch, "ended">)
  | { readonly event: "on"; readonly id: string; readonly at: number; readonly by: string; readonly why: string };

/** The switches that events add up to, oldest first. */
export function switchesOf(events: readonly SwitchEvent[]): readonly Switch[] {
  const switches = new Map<string, Switch>();
  for (const one of events) {
    if (one.event === "off") {
      const { event: _, ...thrown } = one;
      switches.set(one.id, thrown);
      continue;
    }
    const { id, at, by, why } = one;
    const thrown = switches.get(id);
    if (thrown && !thrown.ended) switches.set(id, { ...thrown, ended: { at, by, why } });
  }
  return [...switches.values()];
}

export function isInForce({ until, ended }: Switch, now: number): boolean {
  return ended === undefined && (until === undefined || now < until);
}

/** A switch compiled once, asked for every call. */
export function compileSwitch(thrown: Switch): (subject: Subject) => boolean {
  return compileSelector(thrown.for);
}

/** Why a call is refused, when that ends, and what to do. */
export function describeSwitch(thrown: Switch): string {
  const { at, by, why, until } = thrown;
  const what = selectionPhrase(thrown.for);
  const since = `${what.charAt(0).toUpperCase()}${what.slice(1)} are switched off since ${formatInstant(at, "UTC")}: ${why.replace(/\.$/, "")}.`;
  const ends =
    until === undefined ? `Ask ${by} when they are switched on again.` : `They are switched on again ${formatInstant(until, "UTC")}.`;
  return `${since} ${ends} Trying again before that is of no use.`;
}
