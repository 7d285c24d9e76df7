import { compilePattern, endOfDay, parseWindowStart, weightsFor, windowSpan } from "@purser/core";
import { type Commitment, type CommittedPeriod, committedWindow, PERIOD_MS } from "../commitments/commitment.ts";
import { parseCommitted } from "../commitments/terms.ts";
import type { Provider } from "../providers/provider.ts";
import type { CommitmentFields } from "./description.ts";
import type { Located } from "./field.ts";
import { suggestion } from "./nearest-name.ts";
import type { Place } from "./source.ts";

/** What was promised to providers; notes what does not fit together. */
export function configuredCommitments(
  entries: readonly Located<CommitmentFields>[],
  { providers, now }: { readonly providers: readonly Provider[]; readonly now: number },
): readonly Commitment[] {
  const names = new Set<string>();
  return entries.flatMap(({ value, place }) => {
    const { name, provider } = value;
    const commitment = commitmentOf(value, place);
    if (name === undefined || !commitment) return [];
    if (names.has(name)) place.field("name").problem(`"${name}" names two commitments. Each needs a name of its own.`);
    names.add(name);
    for (const wanted of provider ?? []) checkProvider(wanted, providers, place.field("provider"));
    warnOfTimes(commitment, value, place, now);
    return [commitment];
  });
}

/** Throws nothing away silently: a provider that is not there can have no calls. */
export function checkProvider(wanted: string, providers: readonly Provider[], place: Place): void {
  const names = providers.map(({ name }) => name);
  if (!names.some(compilePattern(wanted))) place.problem(`no provider "${wanted}" is configured.${suggestion(wanted, names)}`);
}

function commitmentOf(value: CommitmentFields, place: Place): Commitment | undefined {
  const { name, provider, models = ["*"], commit, units = 1, discount, price, timezone: timeZone = "UTC" } = value;
  if (name === undefined || provider === undefined || commit === undefined) return undefined;
  const { unit, amount, period } = parseCommitted(commit);
  const isMoney = unit === "nanodollars";
  if (isMoney && price)
    return place.field("price").problem("stands beside money, which is its own price. Leave it out, or write the capacity in commit.");
  if (!isMoney && discount !== undefined)
    return place.field("discount").problem("stands beside capacity, which has a price. Write price: $2 / hour instead.");
  if (!isMoney && !price && !place.entries()?.some(({ key }) => key === "price"))
    return place.problem("price is missing: what the capacity costs, such as price: $2 / hour.");
  const weights = value.weights && weightsFor(unit, value.weights as Parameters<typeof weightsFor>[1]);
  if (value.weights && (isMoney || unit === "requests"))
    return place.field("weights").problem("weigh tokens, and none are committed to. Leave them out.");
  const { from, until } = value;
  const begins = from === undefined ? Number.NEGATIVE_INFINITY : startOfDay(from, timeZone);
  const ends = until === undefined ? Number.POSITIVE_INFINITY : (endOfDay(until, timeZone) ?? Number.POSITIVE_INFINITY);
  if (ends <= begins) return place.field("until").problem(`${until} is before ${from}. Write the last day of the commitment.`);
  const commitment: Commitment = {
    name,
    providers: provider,
    models,
    unit,
    amount: amount * units,
    period,
    discount: discount ?? 0,
    ...(price && { price: { ...price, amount: price.amount * units } }),
    ...(weights && { weights }),
    timeZone,
    ...(from !== undefined && { starts: parseWindowStart(from) }),
    from: begins,
    until: ends,
  };
  return isCountable(commitment)
    ? commitment
    : place.field("commit").problem("comes to more in its window than can be counted exactly. Split it.");
}

/** Whether all that is bought in a window, and its price, are whole numbers that add up exactly; with room for the longest of months. */
function isCountable(commitment: Commitment): boolean {
  const { amount, period, price } = commitment;
  const window = committedWindow(commitment);
  const windowMs = window.kind === "calendar" && window.period !== "week" ? PERIOD_MS[window.period] : 0;
  const most = (one: number, of: CommittedPeriod) => one * Math.ceil((1.1 * windowMs) / PERIOD_MS[of]);
  return Number.isSafeInteger(most(amount, period)) && Number.isSafeInteger(most(price?.amount ?? 0, price?.period ?? period));
}

function startOfDay(day: string, timeZone: string): number {
  const end = endOfDay(day, timeZone) ?? 0;
  return windowSpan({ kind: "calendar", period: "day", timeZone }, end - 1).startsAt;
}

/** What is over does nothing any more; and an end within a window is hardly meant. */
function warnOfTimes(commitment: Commitment, { until: written }: CommitmentFields, place: Place, now: number): void {
  const { until, price, period } = commitment;
  if (written === undefined) return;
  const at = place.field("until");
  const isWhole = windowSpan(committedWindow(commitment), until).startsAt === until;
  if (until <= now) at.warning(`the commitment ended with ${written}. Take it out when nobody asks for it any more.`);
  else if (!isWhole && price?.period !== "hour" && period !== "hour")
    at.warning(
      `${written} is not the last day of a ${windowWord(commitment)} of the commitment. Its last one ends then, and counts as a whole one.`,
    );
}

function windowWord(commitment: Commitment): string {
  const window = committedWindow(commitment);
  return window.kind === "calendar" ? window.period : "window";
}
