import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { AllowanceJson } from "../../../gateway/src/admin/balances.ts";
import { api } from "../api.ts";
import { Bar } from "../components/bar.tsx";
import { Card } from "../components/panel.tsx";
import { amount, bareAmount, exactAmount, instant, relative } from "../format.ts";

/** How much is used of what providers give away, and until when that is good; nothing where they give nothing. */
export function Allowances({ isLinked = true }: { isLinked?: boolean }) {
  const allowances = useQuery({ queryKey: ["allowances"], queryFn: api.allowances, refetchInterval: 60_000 });
  if (!allowances.data || allowances.data.length === 0) return null;
  return (
    <Card
      title="Given away by providers"
      aside={
        isLinked && (
          <Link to="/prices" className="link">
            What calls cost
          </Link>
        )
      }
    >
      <ul className="grid gap-3.5">
        {allowances.data.map((one) => (
          <li key={one.allowance}>
            <OneAllowance allowance={one} />
          </li>
        ))}
      </ul>
      <p className="mt-3 text-xs text-soft">Calls that fit whole cost nothing. What does not fit is paid.</p>
    </Card>
  );
}

function OneAllowance({ allowance }: { allowance: AllowanceJson }) {
  const { allowance: name, unit, window, limit, spent, held, left, resets_at } = allowance;
  const used = `${bareAmount(spent, unit)} of ${amount(limit, unit)}${window === "lifetime" ? "" : ` a ${window}`}`;
  return (
    <>
      <div className="mb-1.5 flex flex-wrap items-baseline justify-between gap-x-3">
        <span className="font-medium">{name}</span>
        <span className="text-sm text-soft" title={resets_at === null ? undefined : instant(resets_at)}>
          {left === 0 ? "Used up" : `${amount(left, unit)} left`}
          {resets_at === null ? "" : ` · begins anew ${relative(resets_at)}`}
        </span>
      </div>
      <Bar balance={allowance} />
      <p className="figure mt-1 text-xs text-soft" title={`${exactAmount(spent, unit)} used of ${exactAmount(limit, unit)}`}>
        {used}
        {held > 0 && ` · ${bareAmount(held, unit)} held`}
      </p>
    </>
  );
}
