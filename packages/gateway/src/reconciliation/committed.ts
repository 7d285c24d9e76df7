import { compilePattern, type Nanodollars } from "@purser/core";
import type { Commitment, Span } from "../commitments/commitment.ts";
import type { Coverage } from "../commitments/coverage.ts";
import type { SharedRow } from "../commitments/shares.ts";
import { type BilledLine, type Days, daysOf } from "./bill.ts";

/** What a commitment makes of a bill: less for calls than the ledger has, and charges that are for no call. */
export interface CommittedLines {
  readonly name: string;
  /** Names, in which `*` stands for anything. */
  readonly providers: readonly string[];
  /** Money for a discount, of which what is not used is billed at the end; or capacity, which is billed as it is bought. */
  readonly kind: "money" | "capacity";
  readonly less: readonly LessLine[];
  readonly charges: readonly ChargeLine[];
}

/** By how much what is billed for the calls of a model is below their prices in the ledger. */
export interface LessLine extends Days {
  readonly provider: string;
  readonly model: string;
  readonly cost: Nanodollars;
}

/** On the day on which it is bought, or on which it lapses. */
export interface ChargeLine extends Days {
  readonly cost: Nanodollars;
}

/** The same of rows by day, provider and model. */
export function committedLines(coverages: readonly Coverage[], rows: readonly SharedRow[]): readonly CommittedLines[] {
  return coverages.map(({ commitment, charges }) => {
    const kind = commitment.price ? "capacity" : "money";
    const own = charges.filter((charge) => charge.kind === (kind === "money" ? "unused" : "bought") && charge.cost > 0);
    const dayOf = ({ startsAt, endsAt }: Span) => (kind === "money" ? daysOf(endsAt - 1, endsAt) : daysOf(startsAt, startsAt + 1));
    return {
      name: commitment.name,
      providers: commitment.providers,
      kind,
      less: rows.flatMap((row) => lessLine(commitment, row)),
      charges: own.map((charge) => ({ ...dayOf(charge), cost: charge.cost })),
    };
  });
}

function lessLine(commitment: Commitment, { covered, rest, less }: SharedRow): readonly LessLine[] {
  const ofCovered = covered
    .filter((part) => part.commitment === commitment)
    .reduce((sum, { row, cost }) => sum + row.cost - (commitment.price ? 0 : cost), 0);
  const beyond = less.filter((one) => one.commitment === commitment).reduce((sum, { amount }) => sum + amount, 0);
  const cost = ofCovered + beyond;
  const [provider, model] = rest.values;
  return cost === 0 ? [] : [{ from: rest.from, to: rest.to, provider: provider ?? "", model: model ?? "", cost }];
}

/** Whether a commitment is to what is one provider in a bill. */
export function isCommittedTo({ providers }: CommittedLines, names: readonly string[]): boolean {
  const patterns = providers.map(compilePattern);
  return names.some((name) => patterns.some((matches) => matches(name)));
}

/** What a commitment costs in the days of a bill that are complete, beside what of it stands there. */
export interface CommittedCharge {
  readonly name: string;
  readonly kind: CommittedLines["kind"];
  readonly expected: Nanodollars;
  /** None where no line of the bill is it. */
  readonly billed: Nanodollars | undefined;
  /** What the bill calls it; none where it names no models, and it is among what was billed. */
  readonly item: string | undefined;
}

export interface ChargeTerms {
  /** What was billed in the days that are complete. */
  readonly billed: readonly BilledLine[];
  /** What was billed in them for calls, as far as the ledger and discounts say. */
  readonly expected: Nanodollars;
  readonly isCounted: (days: Days) => boolean;
}

/** A line is taken for a charge where it differs by no more than this share. */
const SHARE = 0.03;
const CENT: Nanodollars = 10_000_000;

/**
 * Finds on a bill what commitments cost, whoever uses them: the line for no model that is of their amount. Where a bill names no models at all, it is
 * among the rest if that comes nearer to what was billed.
 */
export function committedCharges(
  committed: readonly CommittedLines[],
  { billed, expected, isCounted }: ChargeTerms,
): readonly CommittedCharge[] {
  const items = new Map<string, Nanodollars>();
  for (const line of billed) if (line.cost !== undefined && line.model === undefined) addTo(items, itemOf(line), line.cost);
  const namesModels = billed.some(({ model }) => model !== undefined);
  const total = [...items.values()].reduce((sum, cost) => sum + cost, 0);
  let known = expected;
  return committed.flatMap(({ name, kind, charges }): CommittedCharge[] => {
    const cost = charges.filter(isCounted).reduce((sum, one) => sum + one.cost, 0);
    if (cost < CENT) return [];
    const charge = { name, kind, expected: cost };
    const [nearest] = [...items].sort(([, a], [, b]) => Math.abs(a - cost) - Math.abs(b - cost));
    if (nearest && Math.abs(nearest[1] - cost) <= SHARE * cost && isOneOfMore(nearest[1], { namesModels, total, known })) {
      items.delete(nearest[0]);
      return [{ ...charge, billed: nearest[1], item: nearest[0] }];
    }
    const isAmong = !namesModels && Math.abs(total - known - cost) < Math.abs(total - known);
    if (isAmong) known += cost;
    return [{ ...charge, billed: isAmong ? cost : undefined, item: undefined }];
  });
}

/** All that a bill says is no charge of its own where calls were billed too. */
function isOneOfMore(
  cost: Nanodollars,
  { namesModels, total, known }: { namesModels: boolean; total: Nanodollars; known: Nanodollars },
): boolean {
  return namesModels || cost < total || known < CENT;
}

function addTo(sums: Map<string, Nanodollars>, name: string, cost: Nanodollars): void {
  sums.set(name, (sums.get(name) ?? 0) + cost);
}

/** What a line is for that is for no model. */
export function itemOf({ item = "not told by model" }: Pick<BilledLine, "item">): string {
  return item;
}
