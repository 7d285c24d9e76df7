import { explainCard } from "@purser/core/prices";
import { type Appraisal, type Figures, findingOf } from "./appraisal.ts";
import { exactly, MONTH_DAYS } from "./demand.ts";
import type { Finding } from "./finding.ts";
import type { Prompt } from "./read-prompts.ts";

/** A prompt in two versions: the one before is missing where it was added, the one after where it was removed. */
export interface Change {
  readonly name: string;
  readonly before: Appraisal | undefined;
  readonly after: Appraisal | undefined;
  /** What is another than before, besides texts. */
  readonly said: readonly string[];
}

/** Puts the versions of each prompt beside each other. */
export function changesBetween(before: readonly Appraisal[], after: readonly Appraisal[]): readonly Change[] {
  const former = new Map(before.map((one) => [one.prompt.name, one]));
  const latter = new Set(after.map(({ prompt }) => prompt.name));
  return [
    ...after.map((one) => changeOf(one.prompt.name, former.get(one.prompt.name), one)),
    ...before.filter(({ prompt }) => !latter.has(prompt.name)).map((one) => changeOf(one.prompt.name, one, undefined)),
  ];
}

function changeOf(name: string, before: Appraisal | undefined, after: Appraisal | undefined): Change {
  if (!before || !after) return { name, before, after, said: [before ? "removed" : "added"] };
  const [former, latter] = [before.figures, after.figures];
  const said = [
    otherwise("calls a day", before.prompt.callsADay, after.prompt.callsADay),
    ...(former && latter
      ? [
          otherwise("model", `${former.provider}/${former.model}`, `${latter.provider}/${latter.model}`),
          otherwise("answer", former.outputTokens, latter.outputTokens),
          otherwise("from the cache", former.cachedTokens, latter.cachedTokens),
          otherwise("output cap", former.outputTokensMost, latter.outputTokensMost),
          ...pricesOtherwise(former, latter),
        ]
      : []),
  ];
  return { name, before, after, said: said.filter((one) => one !== "") };
}

function otherwise(what: string, before: string | number | undefined, after: string | number | undefined): string {
  if (before === after) return "";
  const text = (value: string | number | undefined) => (value === undefined ? "none" : value.toLocaleString("en-US"));
  return `${what} ${text(before)} → ${text(after)}`;
}

/** Of the same model at the same provider. */
function pricesOtherwise({ card, ...former }: Figures, latter: Figures): readonly string[] {
  if (!card || !latter.card || former.provider !== latter.provider || former.model !== latter.model) return [];
  const rows = (one: typeof card) =>
    new Map(
      explainCard(one).map(({ what, price, aboveInputTokens = 0 }) => [
        aboveInputTokens > 0 ? `${what} above ${aboveInputTokens}` : what,
        price,
      ]),
    );
  const [before, after] = [rows(card), rows(latter.card)];
  return [...new Set([...before.keys(), ...after.keys()])].map((what) => otherwise(`price of ${what}`, before.get(what), after.get(what)));
}

/** Whether anything is another than before. */
export function isChanged({ before, after, said }: Change): boolean {
  const sizes = ({ figures }: Appraisal) => JSON.stringify([figures?.inputTokens, figures?.outputTokens, figures?.cost, figures?.costMost]);
  return said.length > 0 || !before || !after || sizes(before) !== sizes(after);
}

/** Prompts that grew by more than they may. */
export function grown(changes: readonly Change[]): readonly Finding[] {
  return changes.flatMap(({ before, after }) => {
    const [former, latter] = [before?.figures?.inputTokens, after?.figures?.inputTokens];
    const { growsMost } = after?.prompt ?? {};
    if (!after || !former || !latter || growsMost === undefined || latter * FULL <= former * (FULL + growsMost)) return [];
    const message = `The input grew from ${count(former)} to ${count(latter)} tokens (${percent(latter - former, former)}), and grows_most allows +${growsMost / 100} %.`;
    return [findingOf(after.prompt, "grown", message)];
  });
}

const FULL = 10_000;

export interface Sums {
  readonly day: number;
  readonly month: number;
}

/** What the expected calls of all prompts cost. Those of which nobody says how many, or what they cost, are left out. */
export function sumsOf(appraisals: readonly (Appraisal | undefined)[]): Sums {
  const days = appraisals.flatMap((one) => (one && dayCost(one)) ?? []);
  const day = exactly(
    days.reduce((sum, cost) => sum + cost, 0),
    "all prompts",
  );
  return { day, month: exactly(day * MONTH_DAYS, "all prompts") };
}

/** What a day's calls cost; none where nobody says how many there are, or what they cost. */
export function dayCost({ prompt, figures }: { readonly prompt: Prompt; readonly figures: Figures | undefined }): number | undefined {
  if (prompt.callsADay === undefined || figures?.cost === undefined) return undefined;
  return exactly(prompt.callsADay * figures.cost, prompt.name);
}

/** `+8.1 %` */
export function percent(difference: number, of: number): string {
  if (of === 0) return difference === 0 ? "±0 %" : "new";
  const tenths = Math.round((Math.abs(difference) / of) * 1000) / 10;
  return difference === 0 ? "±0 %" : `${difference > 0 ? "+" : "−"}${tenths} %`;
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}
