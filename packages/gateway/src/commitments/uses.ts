import { type ReportQuery, type ReportRow, windowSpan } from "@purser/core";
import type { Figures } from "../admin/figures.ts";
import { KNOWN_MS } from "../admin/outlook.ts";
import { type Advice, adviseOn } from "./advice.ts";
import { type Commitment, HOUR_MS, type Span, spanAt } from "./commitment.ts";
import { type Coverage, type CoverageTerms, coverageOf, spanOfLots } from "./coverage.ts";
import { type CommitmentStanding, standingOf } from "./standing.ts";

export interface UsesSource {
  readonly figures: Pick<Figures, "report">;
  /** The zone by whose hours the figures are added up. */
  readonly timeZone: string;
}

/** So many hours are asked for at once: whoever adds them up lets calls pass in between. */
const AT_ONCE_MS = 31 * 24 * HOUR_MS;

/** What calls used in each hour of a span, the oldest first. */
async function readHours(
  { figures, timeZone }: UsesSource,
  { startsAt, endsAt }: Span,
  asked: Pick<ReportQuery, "by" | "filter"> = {},
): Promise<readonly ReportRow[]> {
  const rows: ReportRow[] = [];
  const end = hourOf(endsAt - 1, timeZone).endsAt;
  for (let since = hourOf(startsAt, timeZone).startsAt; since < end; ) {
    const until = Math.min(hourOf(since + AT_ONCE_MS, timeZone).startsAt, end);
    rows.push(...(await figures.report({ since, until, step: "hour", timeZone, ...asked })));
    since = until;
  }
  return rows;
}

function hourOf(at: number, timeZone: string): Span {
  const { startsAt, resetsAt = at } = windowSpan({ kind: "calendar", period: "hour", timeZone }, at);
  return { startsAt, endsAt: resetsAt };
}

/** How commitments stand, each in its window. */
export async function readCommitments(
  commitments: readonly Commitment[],
  { now, ...source }: UsesSource & { readonly now: number },
): Promise<readonly CommitmentStanding[]> {
  if (commitments.length === 0) return [];
  const lately = { startsAt: now - KNOWN_MS, endsAt: now + 1 };
  const firstCallAt = (await readHours(source, lately))[0]?.from;
  const standings: CommitmentStanding[] = [];
  for (const commitment of commitments) {
    const { startsAt, endsAt } = spanAt(commitment, now);
    const isBegun = startsAt <= now;
    const span = { startsAt: Math.min(startsAt, lately.startsAt), endsAt: Math.min(Math.max(endsAt, startsAt + 1), lately.endsAt) };
    const hours = isBegun ? await readHours(source, span, { filter: { provider: commitment.providers, model: commitment.models } }) : [];
    standings.push(standingOf(commitment, { hours, firstCallAt, now }));
  }
  return standings;
}

/** What commitments pay for in a time, in the order in which they are configured. Those that are not in force in it are left out. */
export async function readCoverages(
  commitments: readonly Commitment[],
  source: UsesSource,
  terms: Omit<CoverageTerms, "hours">,
): Promise<readonly Coverage[]> {
  const coverages: Coverage[] = [];
  for (const commitment of commitments) {
    const span = spanOfLots(commitment, terms);
    if (!span) continue;
    const hours = await readHours(source, span, { filter: { provider: commitment.providers, model: commitment.models } });
    coverages.push(coverageOf(commitment, { ...terms, hours }));
  }
  return coverages;
}

export interface AdviceQuery {
  readonly since: number;
  readonly until: number;
  readonly provider?: readonly string[];
  readonly model?: readonly string[];
  /** In hundredths of a per cent. */
  readonly discount: number | undefined;
  readonly offers: Parameters<typeof adviseOn>[0]["offers"];
}

/** What might be committed to at each provider where something was spent, those first where most was. */
export async function readAdvice(
  source: UsesSource,
  { since, until, provider, model, discount, offers }: AdviceQuery,
): Promise<readonly Advice[]> {
  const filter = { ...(provider && { provider }), ...(model && { model }) };
  const span = { startsAt: since, endsAt: until };
  const rows = await readHours(source, span, { by: ["provider", "model"], filter });
  const byProvider = new Map<string, ReportRow[]>();
  for (const row of rows) {
    const [name = ""] = row.values;
    const known = byProvider.get(name);
    if (known) known.push(row);
    else byProvider.set(name, [row]);
  }
  const last = hourOf(until, source.timeZone);
  return [...byProvider]
    .flatMap(([name, ofProvider]) => {
      const hours = ofProvider.map((row) => ({ ...row, model: row.values[1] ?? "" }));
      const startsAt = hours[0]?.from ?? since;
      // An hour that is not over says too little, unless there is no other.
      const recorded = { startsAt, endsAt: last.startsAt > startsAt ? last.startsAt : last.endsAt };
      const advice = adviseOn({ provider: name, hours, recorded, discount, offers });
      return advice.ledgerCost > 0 || hours.some(({ calls }) => calls > 0) ? [advice] : [];
    })
    .sort((a, b) => b.ledgerCost - a.ledgerCost);
}
