import type { OutlookJson } from "../../../gateway/src/admin/budget-tree.ts";
import { amount, dayName, exactAmount, percent, relative } from "../format.ts";

type Levels = Pick<OutlookJson, "limit" | "spent" | "held" | "left" | "unit" | "weights">;

/** How full a balance is, and whether that is a matter of concern. */
export function stateOf({ limit, spent, held, left }: Levels): { readonly share: number; readonly kind: "good" | "warn" | "over" } {
  const share = limit === 0 ? 1 : (spent + held) / limit;
  return { share, kind: left === 0 ? "over" : share >= 0.8 ? "warn" : "good" };
}

/** Spent is solid, held is hatched, the rest is free; a tick stands where the time is. */
export function Bar({
  balance,
  elapsed,
  thresholds = [],
}: {
  balance: Levels;
  elapsed?: number | undefined;
  thresholds?: readonly number[];
}) {
  const { share, kind } = stateOf(balance);
  const { limit, spent, held, unit, weights } = balance;
  const part = (value: number) => (limit === 0 ? 100 : Math.min(100, (value / limit) * 100));
  const colour = { good: "text-accent", warn: "text-warn", over: "text-over" }[kind];
  return (
    // biome-ignore lint/a11y/useSemanticElements: the browser's own meter cannot show what is held apart from what is spent.
    <div
      role="meter"
      aria-label={`${percent(share)} used: ${exactAmount(spent, unit)} spent${held > 0 ? `, ${exactAmount(held, unit)} held` : ""} of ${exactAmount(limit, unit, weights)}`}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.min(100, Math.round(share * 100))}
      className={`relative h-2 rounded-full bg-sunk ${colour}`}
    >
      <div className="absolute inset-0 overflow-hidden rounded-full">
        <div className="absolute inset-y-0 left-0 bg-current" style={{ width: `${part(spent)}%` }} />
        {held > 0 && <div className="hatched absolute inset-y-0" style={{ left: `${part(spent)}%`, width: `${part(held)}%` }} />}
        {thresholds.map((at) => (
          <div key={at} className="absolute inset-y-0 w-px bg-card" style={{ left: `${at * 100}%` }} />
        ))}
      </div>
      {elapsed !== undefined && (
        <div
          className="absolute -inset-y-1 w-0.5 rounded bg-ink"
          style={{ left: `calc(${Math.min(100, elapsed * 100)}% - 1px)` }}
          title="How much of the time is over"
        />
      )}
    </div>
  );
}

/** How much of the window of a balance is over. */
export function elapsedOf({ starts_at, resets_at }: OutlookJson, now = Date.now()): number | undefined {
  if (starts_at === null || resets_at === null) return undefined;
  const [start, end] = [Date.parse(starts_at), Date.parse(resets_at)];
  return (now - start) / (end - start);
}

/** Of what has less left than one part in so many, the gateway does not say when it will be gone. */
const HARDLY_ANY = 100;

/** Whether so little is left that calls hardly fit any more. */
export function isUsedUp({ left, limit }: Levels): boolean {
  return left === 0 || left * HARDLY_ANY < limit;
}

export const TOO_EARLY = "It is too early to say where this leads: a pace is known after a day of use, or two fifths of a shorter window";

/** Where a balance leads, in words. */
export function Forecast({ balance, timeZone }: { balance: OutlookJson; timeZone: string }) {
  const { gone_at, left, resets_at, expected, limit, unit, weights, starts_at } = balance;
  if (unit === "concurrent") return null;
  const resets = resets_at === null ? "; it does not reset" : `; resets ${relative(resets_at)}`;
  if (left === 0) return <span className="font-medium text-over">Used up{resets}</span>;
  if (isUsedUp(balance)) return <span className="font-medium text-over">All but used up{resets}</span>;
  if (gone_at !== null)
    return (
      <span className="font-medium text-over" title={relative(gone_at)}>
        Gone {dayName(gone_at, timeZone)}
      </span>
    );
  if (expected !== null && expected > 0 && limit > 0)
    return (
      <span className="text-soft" title={`At the pace so far: ${exactAmount(expected, unit)} of ${exactAmount(limit, unit, weights)}`}>
        Heads for {percent(expected / limit)}
      </span>
    );
  return (
    <span className="text-soft" {...(expected === null && starts_at !== null && { title: TOO_EARLY })}>
      {amount(left, unit, weights)} left
    </span>
  );
}
