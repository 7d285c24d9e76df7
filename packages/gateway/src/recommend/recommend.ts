import { type Budget, type Limit, type LimitException, limitId, subjectLabel } from "@purser/core";
import type { Config } from "../config/config.ts";
import type { RecordedTime } from "./days.ts";
import { History, type Recorded } from "./history.ts";
import { isRefusedBy, type WouldRefuse } from "./limit-use.ts";
import { Prediction } from "./prediction.ts";
import { type MoneyOrTokens, type Proposal, proposeBudgets, type Unsaid } from "./proposals.ts";
import { type LimitReview, reviewBudgets } from "./review.ts";
import { type Sureness, surenessOf } from "./sureness.ts";

/** What recorded calls say of the budgets that are there, and of those that are not. */
export interface Recommendation {
  readonly time: RecordedTime;
  readonly timeZone: string;
  readonly calls: number;
  /** Calls that were refused, and of which nobody knows what they would have used. */
  readonly refused: number;
  readonly wholeDays: number;
  readonly sureness: Sureness;
  readonly headroom: number;
  readonly reviews: readonly ReviewedLimit[];
  readonly proposals: readonly PredictedProposal[];
  readonly unsaid: readonly Unsaid[];
  /** How many of the recorded calls all that is proposed would have refused together, with the budgets that are there. */
  readonly refusedTogether: number;
}

export interface ReviewedLimit extends LimitReview {
  /** How many recorded calls the limit would refuse if it were as it fits. */
  readonly refusedThen: number;
}

export interface PredictedProposal extends Proposal {
  /** How many recorded calls the budget would have refused by itself. */
  readonly refusedCalls: number;
}

export interface RecommendTerms {
  readonly config: Config;
  readonly recorded: Recorded;
  /** What is added to what was used: 0.25. */
  readonly headroom: number;
  /** Money where every call has a price, and else tokens, where it is left out. */
  readonly unit: MoneyOrTokens | undefined;
  readonly now: number;
}

/** Reviews the budgets of a configuration, and proposes those that it does not have. What they would have refused is replayed, not estimated. */
export async function recommend({ config, recorded, headroom, unit, now }: RecommendTerms): Promise<Recommendation> {
  const history = new History(config, recorded, now);
  const prediction = new Prediction(config, recorded.calls, history.calls);
  const { budgets: configured, timezone: timeZone } = config;
  const reviews = reviewBudgets(history, { budgets: configured, headroom, wouldRefuse: await prediction.alone(configured) });
  const { proposals, unsaid } = proposeBudgets(history, { headroom, unit, timeZone, configured });
  const fitting = new Map(configured.map((budget) => [budget, fittingBudget(budget, reviews)]));
  const then = [...fitting.values(), ...proposals.map(({ budget }) => budget)];
  const refusals = await prediction.alone(then);
  const wholeDays = history.days(timeZone).length;
  return {
    time: history.time,
    timeZone,
    calls: recorded.calls.length,
    refused: recorded.refusals.reduce((sum, { times }) => sum + times, 0),
    wholeDays,
    sureness: surenessOf(wholeDays),
    headroom,
    reviews: reviews.map((review) => ({ ...review, refusedThen: refusedBy(review, refusals.get(fitting.get(review.budget) as Budget)) })),
    proposals: proposals.map((proposal) => ({ ...proposal, refusedCalls: refusals.get(proposal.budget)?.length ?? 0 })),
    unsaid,
    refusedTogether: await prediction.together(then, refusals),
  };
}

function refusedBy({ budget, limit }: LimitReview, refusals: readonly WouldRefuse[] = []): number {
  return limit ? refusals.filter(({ by }) => by && isRefusedBy(by, budget, limit)).length : 0;
}

/** With what fits, where that is something else than what it has. */
function fittingBudget(budget: Budget, reviews: readonly LimitReview[]): Budget {
  const own = reviews.filter((one) => one.budget === budget);
  const limits = budget.limits.map((limit) => own.find((one) => one.limit === limit)?.fit?.limit ?? limit);
  const exceptions = new Map<string, Map<string, Limit>>();
  for (const { fit } of own) {
    if (!fit) continue;
    for (const { label, need } of fit.exceptions) {
      const amounts = exceptions.get(label) ?? new Map<string, Limit>();
      exceptions.set(label, amounts.set(limitId(fit.limit), { ...fit.limit, amount: need.amount }));
    }
  }
  return {
    ...budget,
    limits,
    exceptions: [...budget.exceptions, ...[...exceptions].map(([label, amounts]) => exceptionFor(budget, label, amounts))],
  };
}

function exceptionFor(budget: Budget, label: string, limits: ReadonlyMap<string, Limit>): LimitException {
  return { selector: {}, limits, until: Number.POSITIVE_INFINITY, isFor: (subject) => subjectLabel(budget, subject) === label };
}
