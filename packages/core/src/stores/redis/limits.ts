import type { Ask, Asks, BoundLimit, Rollover } from "../../domain/command.ts";
import type { Lease } from "../../domain/lease.ts";
import { type CounterRef, seriesOf } from "../../domain/ledger.ts";
import type { Rule } from "../../domain/slices.ts";
import { addCounter, createState, type State } from "../../domain/state.ts";
import { askOn } from "../../domain/weights.ts";
import { counterText, keyText, readCounter, readGrants, readSlices } from "./text.ts";

/** Limits as the scripts take them, with what a call asks of each. */
export function limitsText(limits: readonly BoundLimit[], asks?: Asks): string {
  const texts = limits.map(({ counter, amount, enforced, observedUntil = 0, rule, rollover }) => {
    const { base, perOutputToken, scale } = asks ? askOn(asks, counter) : NOTHING;
    const terms = `${boundText(counter)},${amount},${enforced ? observedUntil : -1},${base},${perOutputToken},${scale}`;
    return rule || rollover ? `[${terms},${ruleText(rule)}${rolloverText(rollover)}]` : `[${terms}]`;
  });
  return `[${texts.join(",")}]`;
}

const NOTHING: Ask = { base: 0, perOutputToken: 0, scale: 1 };

/** Counters are bound once a window and used by every call in it. */
const boundTexts = new WeakMap<CounterRef, string>();

function boundText(counter: CounterRef): string {
  const known = boundTexts.get(counter);
  if (known !== undefined) return known;
  const { key, unit, startsAt, resetsAt = -1, series } = counter;
  const lengths = [keyText(key), keyText(seriesOf(counter))].map((text) => Buffer.byteLength(text));
  const parts = [counterText(counter), ...lengths, unit, series === undefined ? 0 : 1, startsAt, resetsAt];
  const text = parts.map((part) => JSON.stringify(part)).join(",");
  boundTexts.set(counter, text);
  return text;
}

function ruleText(rule: Rule | undefined): string {
  if (!rule) return '"",0,0,0';
  return rule.kind === "rolling"
    ? `"rolling",${rule.lengthMs},${rule.sliceMs},0`
    : `"bucket",${rule.drains},${rule.periodMs},${rule.sliceMs}`;
}

function rolloverText(rollover: Rollover | undefined): string {
  return rollover ? `,${rollover.amount},${rollover.most},${JSON.stringify(keyText(rollover.key))}` : "";
}

/** The fields of a picture that a script gives for each limit. */
const FIELDS = 4;

/** What a script says about limits, as the engine knows it: so that what needs no script is decided by the engine itself. */
export function pictured(limits: readonly BoundLimit[], picture: readonly string[]): State {
  const state = createState();
  const isRead = new Set<string>();
  const once = (key: string, read: () => void) => {
    if (isRead.has(key)) return;
    isRead.add(key);
    read();
  };
  for (const [i, { counter, rollover }] of limits.entries()) {
    const [value = "", before = "", grants = "", allotted = ""] = picture.slice(FIELDS * i);
    const series = counter.series ?? seriesOf(counter);
    if (value !== "" && counter.series !== undefined)
      once(series, () => {
        for (const slice of readSlices(keyText(series), value)) addCounter(state, slice);
      });
    else if (value !== "") once(counter.key, () => addCounter(state, readCounter(keyText(counter.key), value)));
    if (rollover && before !== "") once(rollover.key, () => addCounter(state, readCounter(keyText(rollover.key), before)));
    if (grants !== "") state.grants.set(series, readGrants(grants));
    if (allotted !== "") once(`lease of ${counter.key}`, () => state.leases.set(leaseOn(counter, Number(allotted))));
  }
  return state;
}

/** All leases of one counter, as one: how much is allotted is all that is known of them. */
function leaseOn(counter: CounterRef, amount: number): Lease {
  return { id: counter.key, expiresAt: Number.POSITIVE_INFINITY, reported: 0, end: undefined, allotments: [{ counter, amount }] };
}
