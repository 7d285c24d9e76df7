import { addCounter, type BoundLimit, createState, type Rollover, type State } from "../../domain/engine.ts";
import { seriesOf } from "../../domain/ledger.ts";
import type { Rule } from "../../domain/slices.ts";
import { counterText, keyText, readCounter, readGrants, readSlices } from "./text.ts";

/** Limits as the scripts take them: how many, and eight fields of each. */
export function limitArgs(limits: readonly BoundLimit[]): readonly string[] {
  const args = [String(limits.length)];
  for (const { counter, amount, enforced, rule, rollover } of limits) {
    args.push(
      ...counterText(counter),
      String(amount),
      enforced ? "1" : "",
      JSON.stringify(counter.budget),
      ruleText(rule),
      rolloverText(rollover),
    );
  }
  return args;
}

function ruleText(rule: Rule | undefined): string {
  if (!rule) return "";
  return rule.kind === "rolling" ? `rolling ${rule.lengthMs} ${rule.sliceMs}` : `bucket ${rule.drains} ${rule.periodMs} ${rule.sliceMs}`;
}

function rolloverText(rollover: Rollover | undefined): string {
  return rollover ? `${rollover.amount} ${rollover.most} ${keyText(rollover.key)}` : "";
}

/** The fields of a picture that a script gives for each limit. */
const FIELDS = 3;

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
    const [value = "", before = "", grants = ""] = picture.slice(FIELDS * i);
    const series = counter.series ?? seriesOf(counter);
    if (value !== "" && counter.series !== undefined)
      once(series, () => {
        for (const slice of readSlices(keyText(series), value)) addCounter(state, slice);
      });
    else if (value !== "") once(counter.key, () => addCounter(state, readCounter(keyText(counter.key), value)));
    if (rollover && before !== "") once(rollover.key, () => addCounter(state, readCounter(keyText(rollover.key), before)));
    if (grants !== "") state.grants.set(series, readGrants(grants));
  }
  return state;
}
