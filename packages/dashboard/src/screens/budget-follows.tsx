import { useQuery } from "@tanstack/react-query";
import type { AdjustmentJson } from "../../../gateway/src/admin/adjustment-json.ts";
import type { OutlookJson } from "../../../gateway/src/admin/budget-tree.ts";
import { api } from "../api.ts";
import { Badge } from "../components/panel.tsx";
import { amount, dayName, instant } from "../format.ts";

type OfLimit = Pick<OutlookJson, "budget" | "unit" | "window">;

/** The rule by which the limit of a balance follows what is used of it; nothing where it stays as it is written. */
function useAdjustment(balance: OfLimit): AdjustmentJson | undefined {
  const adjustments = useQuery({ queryKey: ["adjustments"], queryFn: api.adjustments, staleTime: 30_000 });
  return adjustments.data?.find(
    ({ budget, unit, window }) => budget === balance.budget && unit === balance.unit && window === balance.window,
  );
}

/** Says of a limit that it follows what is used, in a list. */
export function FollowsBadge({ balance }: { balance: OfLimit }) {
  const rule = useAdjustment(balance);
  if (!rule) return null;
  const { unit, least, most, amount: now, configured } = rule;
  const changed = now === configured ? "" : `, ${amount(configured, unit)} in the file`;
  return (
    <span title={`From ${amount(least, unit)} to ${amount(most, unit)}, as each ${rule.every} ends${changed}`}>
      <Badge>{rule.mode === "propose" ? "proposes to follow use" : "follows use"}</Badge>
    </span>
  );
}

/** What was decided about a limit that follows what is used, and what will be. */
export function Follows({ balance, timeZone }: { balance: OfLimit; timeZone: string }) {
  const rule = useAdjustment(balance);
  if (!rule) return null;
  const { unit, mode, every, configured, least, most, decided, next, next_at } = rule;
  const of = (value: number) => amount(value, unit);
  return (
    <div className="mt-2 rounded-lg bg-sunk px-3 py-2.5 text-sm">
      <p className="font-medium">
        {mode === "propose" ? "It is proposed that this limit follows" : "This limit follows"} what is used
        <span className="font-normal text-soft">
          , from {of(least)} to {of(most)}, as each {every} ends
        </span>
      </p>
      <dl className="mt-1.5 grid gap-x-4 gap-y-1 sm:grid-cols-[9rem_1fr]">
        <dt className="text-soft">Now</dt>
        <dd>
          {decided === null ? (
            `${of(configured)}, as it is written`
          ) : (
            <>
              <span className="figure font-medium">{of(decided.amount)}</span>
              {decided.amount !== decided.before && ` in the place of ${of(decided.before)}`}, until {dayName(decided.until, timeZone)}
              {decided.amount !== configured && `, ${of(configured)} in the file`}
              <span className="block text-soft">{decided.why}</span>
            </>
          )}
        </dd>
        <dt className="text-soft">
          <time dateTime={next_at} title={instant(next_at, timeZone)}>
            {dayName(next_at, timeZone)}
          </time>
        </dt>
        <dd>
          {next === null ? (
            "What was used is still being added up."
          ) : (
            <>
              <span className="figure font-medium">{of(next.amount)}</span>
              {mode === "propose" ? " will be proposed" : ""}, as it looks now
              <span className="block text-soft">{next.why}</span>
            </>
          )}
        </dd>
      </dl>
    </div>
  );
}
