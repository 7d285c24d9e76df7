import { useQuery } from "@tanstack/react-query";
import type { BalanceJson } from "../../../gateway/src/admin/balances.ts";
import { api } from "../api.ts";
import { Bar, stateOf } from "../components/bar.tsx";
import { Answer, Badge, Card, Empty, Page } from "../components/panel.tsx";
import { exactAmount, instant, relative } from "../format.ts";

/** What whoever looks may still use. */
export function MyBudget() {
  const balances = useQuery({ queryKey: ["myBudget"], queryFn: api.myBudget, refetchInterval: 10_000 });
  return (
    <Page
      title="My budget"
      lead="What your calls are charged to, the tightest first. They all hold at once: the first one that is empty refuses."
    >
      <Answer of={balances} rows={5}>
        {(list) =>
          list.length === 0 ? (
            <Empty title="No budget limits your calls." />
          ) : (
            <div className="grid gap-4 lg:grid-cols-2">
              {list
                .toSorted((a, b) => stateOf(b).share - stateOf(a).share)
                .map((balance) => (
                  <Own key={`${balance.budget} ${balance.subject} ${balance.unit} ${balance.window}`} balance={balance} />
                ))}
            </div>
          )
        }
      </Answer>
    </Page>
  );
}

function Own({ balance }: { balance: BalanceJson }) {
  const { budget, subject, unit, weights, window, limit, spent, held, left, resets_at } = balance;
  const inFlight = held > 0 ? `, ${exactAmount(held, unit)} held by calls in flight` : "";
  const used = unit === "concurrent" ? `${held} in flight` : `${exactAmount(spent, unit)} spent${inFlight}`;
  return (
    <Card title={budget} aside={left === 0 ? <Badge kind="over">nothing left</Badge> : subject}>
      <p className="figure mb-2 text-2xl font-semibold tracking-tight">
        {exactAmount(left, unit, weights)} <span className="text-base font-normal text-soft">left</span>
      </p>
      <Bar balance={balance} />
      <p className="figure mt-2 text-sm text-soft">
        {used} of {exactAmount(limit, unit, weights)}
        {window === "lifetime" ? "" : ` / ${window}`}
        {resets_at !== null && <span title={instant(resets_at)}> · resets {relative(resets_at)}</span>}
      </p>
    </Card>
  );
}
