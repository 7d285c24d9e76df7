import { type Nanodollars, REPORT_AMOUNTS, type ReportAmounts, type ReportRow, windowSpan } from "@purser/core";
import { isPaceKnown, RATE_MS } from "../admin/outlook.ts";
import { boughtInSlice, type Commitment, costIn, countedOf, HOUR_MS, partOf, type Span, slicesOf, spanAt } from "./commitment.ts";

/** How much of a commitment is used in its window. `used`, `unused` and `left` are together what is committed to. */
export interface CommitmentStanding {
  readonly commitment: Commitment;
  readonly state: "not begun" | "running" | "over";
  /** The window that runs, or the first or last one. */
  readonly window: Span;
  /** What is bought in the whole window. */
  readonly committed: number;
  readonly used: number;
  /** What was not used in time, and cannot be any more. */
  readonly unused: number;
  readonly left: number;
  /** What was used beyond what is bought. */
  readonly over: number;
  /** What all of these calls cost by the ledger. */
  readonly ledgerCost: Nanodollars;
  /** The part of it that the commitment pays for. */
  readonly coveredCost: Nanodollars;
  /** What the commitment costs in its window, used or not. */
  readonly cost: Nanodollars;
  /** The part of it that was paid for `unused`. */
  readonly unusedCost: Nanodollars;
  /** Where the window leads, if it goes on as lately; nothing where it is too early to say. */
  readonly expected: Expected | undefined;
}

export interface Expected {
  readonly used: number;
  readonly unused: number;
  readonly unusedCost: Nanodollars;
}

export interface StandingTerms {
  /** What calls that count used, by the hour, the oldest first: of the window, and of five weeks for the pace. */
  readonly hours: readonly ReportRow[];
  /** The first hour with any call within these five weeks; nothing where there was none. */
  readonly firstCallAt: number | undefined;
  readonly now: number;
}

export function standingOf(commitment: Commitment, { hours, firstCallAt, now }: StandingTerms): CommitmentStanding {
  const window = spanAt(commitment, now);
  const state = now < commitment.from ? "not begun" : now >= commitment.until ? "over" : "running";
  const slices = slicesOf(commitment, window);
  const bought = boughtInSlice(commitment);
  const committed = slices.length * bought;
  const cost = costIn(commitment, window);
  const uses = usesIn(hours, slices).map((use) => usedOf(commitment, use, bought));
  const sumOf = (field: keyof SliceUse) => uses.reduce((sum, use) => sum + use[field], 0);
  const used = sumOf("used");
  const unused = slices.reduce((sum, { endsAt }, i) => (endsAt <= now ? sum + bought - (uses[i] as SliceUse).used : sum), 0);
  const costOf = (amount: number) => (commitment.price ? partOf(cost, amount, committed) : amount);
  const expectedUsed = state === "running" ? expectedOf(commitment, { hours, firstCallAt, now }, { window, slices, uses }) : undefined;
  return {
    commitment,
    state,
    window,
    committed,
    used,
    unused,
    left: committed - used - unused,
    over: sumOf("over"),
    ledgerCost: sumOf("ledgerCost"),
    coveredCost: sumOf("coveredCost"),
    cost,
    unusedCost: costOf(unused),
    expected: expectedUsed === undefined ? undefined : atPace(expectedUsed, committed, costOf),
  };
}

function atPace(used: number, committed: number, costOf: (amount: number) => Nanodollars): Expected {
  const unused = Math.max(0, committed - used);
  return { used, unused, unusedCost: costOf(unused) };
}

/** What was used of one slice. */
interface SliceUse {
  readonly used: number;
  readonly over: number;
  readonly ledgerCost: Nanodollars;
  readonly coveredCost: Nanodollars;
}

function usedOf(commitment: Commitment, use: ReportAmounts, bought: number): SliceUse {
  // A correction counts where it was booked, and may take back more than was used there.
  const counted = Math.max(0, countedOf(commitment, use));
  const used = Math.min(bought, counted);
  return { used, over: counted - used, ledgerCost: use.cost, coveredCost: partOf(use.cost, used, counted) };
}

const NOTHING = Object.fromEntries(REPORT_AMOUNTS.map((name) => [name, 0])) as Record<keyof ReportAmounts, number>;

/** What was used in each of some spans that follow each other. */
export function usesIn(hours: readonly ReportRow[], slices: readonly Span[]): readonly ReportAmounts[] {
  const sums = slices.map(() => ({ ...NOTHING }));
  let i = 0;
  for (const row of hours) {
    while (i < slices.length && row.from >= (slices[i] as Span).endsAt) i++;
    const [slice, sum] = [slices[i], sums[i]];
    if (!slice || !sum) break;
    if (row.from >= slice.startsAt) for (const name of REPORT_AMOUNTS) sum[name] += row[name];
  }
  return sums;
}

interface Running {
  readonly window: Span;
  readonly slices: readonly Span[];
  readonly uses: readonly SliceUse[];
}

/** What will be used of the window in the end, if it goes on as in the last seven days, or since it was first used. */
function expectedOf(
  commitment: Commitment,
  { hours, firstCallAt, now }: StandingTerms,
  { window, slices, uses }: Running,
): number | undefined {
  const begun = hours[0]?.from ?? firstCallAt;
  if (begun === undefined) return undefined;
  const since = Math.max(now - RATE_MS, begun);
  if (!isPaceKnown(now - since, window.endsAt - window.startsAt)) return undefined;
  const bought = boughtInSlice(commitment);
  const isShort = commitment.period === "minute" || commitment.period === "hour" || commitment.period === "day";
  const lately = { startsAt: since, endsAt: now };
  const ahead = isShort ? usualOf(commitment, hours, wholeSlices(commitment, lately, window)) : rateOf(commitment, hours, lately);
  if (ahead === undefined) return undefined;
  const expected = slices.reduce((sum, { startsAt, endsAt }, i) => {
    const { used, over } = uses[i] as SliceUse;
    if (endsAt <= now) return sum + used;
    // Of a short slice the usual part is used; a long one goes on by the hour from where it is.
    const further = isShort ? Math.max(used, ahead) : used + over + ahead * (endsAt - Math.max(startsAt, now));
    return sum + Math.min(bought, further);
  }, 0);
  return Math.round(expected);
}

/** What is used of a short slice on average: of each for itself, because what one has too much another does not get. */
function usualOf(commitment: Commitment, hours: readonly ReportRow[], slices: readonly Span[]): number | undefined {
  if (slices.length === 0) return undefined;
  const bought = boughtInSlice(commitment);
  return usesIn(hours, slices).reduce((sum, use) => sum + usedOf(commitment, use, bought).used, 0) / slices.length;
}

/** The slices of a span that are over, and begin in it. */
function wholeSlices(commitment: Commitment, { startsAt, endsAt }: Span, window: Span): readonly Span[] {
  const day = windowSpan({ kind: "calendar", period: "day", timeZone: commitment.timeZone }, startsAt);
  const nextHour = window.startsAt + Math.ceil((startsAt - window.startsAt) / HOUR_MS) * HOUR_MS;
  const nextDay = day.startsAt === startsAt ? startsAt : (day.resetsAt ?? endsAt);
  return slicesOf(commitment, { startsAt: commitment.period === "day" ? nextDay : nextHour, endsAt }).slice(0, -1);
}

/** Per millisecond. */
function rateOf(commitment: Commitment, hours: readonly ReportRow[], span: Span): number {
  const [use] = usesIn(hours, [span]);
  return use ? Math.max(0, countedOf(commitment, use)) / Math.max(HOUR_MS, span.endsAt - span.startsAt) : 0;
}
