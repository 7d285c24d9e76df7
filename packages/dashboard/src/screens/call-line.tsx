import { Link } from "@tanstack/react-router";
import type { CallSummary } from "../../../gateway/src/admin/call-report.ts";
import { Badge } from "../components/panel.tsx";
import { clock, exactMoney, instant, money, short } from "../format.ts";

const OUTCOMES = {
  settled: "plain",
  "in flight": "good",
  released: "plain",
  expired: "warn",
  denied: "over",
  "ready text": "warn",
  "known answer": "good",
} as const;

export function OutcomeBadge({ call }: { call: Pick<CallSummary, "outcome" | "certainty"> }) {
  const { outcome, certainty } = call;
  const text =
    outcome === "denied" ? "refused" : outcome === "settled" && certainty !== null && certainty !== "confirmed" ? certainty : outcome;
  return <Badge kind={OUTCOMES[outcome]}>{text}</Badge>;
}

/** Tokens of a call, as far as they are known. */
function tokensText({ usage }: Pick<CallSummary, "usage">): string {
  const of = (kind: string) => (typeof usage?.[kind] === "number" ? short(usage[kind]) : "–");
  return `${of("input_tokens")} → ${of("output_tokens")}`;
}

/** Whether no provider was asked. */
export function isUnasked(outcome: CallSummary["outcome"]): boolean {
  return outcome === "denied" || outcome === "ready text" || outcome === "known answer";
}

/** One call in a row: when, what, who, how much. */
export function CallLine({ call, isNew = false }: { call: CallSummary; isNew?: boolean }) {
  const { id, at, model, subject, cost_nanodollars: cost, outcome } = call;
  const who = [subject.user, subject.feature ?? subject.team].filter((one) => one !== undefined).join(" · ");
  return (
    <li className={isNew ? "arrives" : ""}>
      <Link
        to="/calls/$id"
        params={{ id }}
        className="grid grid-cols-[1fr_auto] items-baseline gap-x-4 gap-y-0.5 rounded px-1 py-2 text-sm hover:bg-sunk sm:grid-cols-[7rem_minmax(0,1.3fr)_minmax(0,1fr)_8rem_6rem]"
      >
        <time dateTime={at} title={instant(at)} className="figure hidden text-soft sm:block">
          {clock(at)}
        </time>
        <span className="truncate font-medium">{model ?? "–"}</span>
        <span className="order-3 truncate text-soft sm:order-none">{who === "" ? "–" : who}</span>
        <span className="figure order-4 hidden text-right text-soft sm:order-none sm:block">
          {isUnasked(outcome) ? "" : tokensText(call)}
        </span>
        <span className="figure text-right" title={cost === null ? undefined : exactMoney(cost)}>
          {outcome === "settled" && cost !== null ? money(cost) : <OutcomeBadge call={call} />}
        </span>
      </Link>
    </li>
  );
}
