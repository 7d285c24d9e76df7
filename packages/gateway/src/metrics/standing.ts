import { statSync } from "node:fs";
import { join } from "node:path";
import { type Balance, type Budget, type Budgets, decimalDollars, type Lag, modeAt, type Store, type Unit } from "@purser/core";
import type { CapturedState } from "../alerts/captured.ts";
import type { CommitmentStanding } from "../commitments/standing.ts";
import type { HandoverBookPort, HandoverCounts } from "../handovers/handover-book.ts";
import type { QueuePort } from "../queue/queue.ts";
import type { AuditState } from "./audits.ts";
import type { Family, Labels, Sample } from "./exposition.ts";
import { gauge } from "./tables.ts";

/** Where the gauges of a gateway are read. */
export interface StandingParts {
  readonly budgets: Pick<Budgets, "balances" | "allowances">;
  readonly store: Pick<Store, "entries" | "failure">;
  /** The budgets as they are configured now. */
  readonly configured: () => readonly Budget[];
  readonly dataDir: string;
  readonly lag?: () => Promise<Lag>;
  /** How many notices wait to be delivered. */
  readonly noticesWaiting: () => Promise<number>;
  /** The calls that wait for their budgets. */
  readonly queue: Pick<QueuePort, "waiting">;
  /** Conversations that people go on with. */
  readonly handovers: Pick<HandoverBookPort, "counts">;
  /** How many switches are in force. */
  readonly switchedOff: () => number;
  /** What was last found of the bills of providers. */
  readonly bills: () => Promise<readonly CapturedState[]>;
  /** How commitments stood when they were last looked at. */
  readonly commitments: () => readonly CommitmentStanding[];
  readonly onError: (error: unknown) => void;
}

/** Reading all balances takes at most this part of the time, however many there are: what was read last is shown meanwhile. */
const TIME_SHARE = 1 / 100;
/** Rows of budgets, those of which most is used: a configuration may have thousands, and every row is several series. */
const BUDGET_ROWS_MOST = 500;

/** What is not counted but looked up when somebody asks: how budgets, store and book of record stand. */
export class Standing {
  readonly #parts: StandingParts;
  #budgets: readonly Family[] = [];
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(parts: StandingParts) {
    this.#parts = parts;
  }

  async families(): Promise<readonly Family[]> {
    const { store, noticesWaiting, queue, handovers, switchedOff, bills, commitments, lag } = this.#parts;
    const [budgets, last, behind, waiting, queued, handedOver, billed] = await Promise.all([
      this.#readBudgets().catch(this.#parts.onError),
      store.entries({ newest: true, most: 1 }).catch(() => undefined),
      lag?.().catch(() => undefined),
      noticesWaiting().catch(() => undefined),
      queue.waiting().catch(() => undefined),
      handovers.counts().catch(() => undefined),
      bills().catch(() => []),
    ]);
    const [entry] = last ?? [];
    return [
      ...(budgets ?? []),
      ...ownersOf(this.#parts.configured()),
      gauge("purser_store_up", "Whether calls can be admitted: 1, or 0 while the store cannot be reached or written.", [
        { value: store.failure?.() === undefined && last !== undefined ? 1 : 0 },
      ]),
      gauge(
        "purser_ledger_last_entry",
        "The number of the last entry of the ledger, which are numbered without gaps.",
        last ? [{ value: entry?.seq ?? 0 }] : [],
      ),
      gauge("purser_journal_bytes", "The size of the ledger's files on this machine.", this.#journalSamples()),
      gauge("purser_archive_up", "Whether the book of record can be written: 1 or 0.", behind ? [{ value: behind.failure ? 0 : 1 }] : []),
      gauge(
        "purser_archive_behind_entries",
        "How many entries are not in the book of record yet.",
        behind ? [{ value: behind.entries }] : [],
      ),
      gauge(
        "purser_archive_behind_seconds",
        "How long ago the oldest of these was written.",
        behind ? [{ value: behind.milliseconds / 1_000 }] : [],
      ),
      gauge(
        "purser_notices_waiting",
        "Notices that are still to be delivered to a channel.",
        waiting === undefined ? [] : [{ value: waiting }],
      ),
      gauge("purser_queued_calls", "Calls that wait for their budgets to reset.", queued ? [{ value: queued.calls }] : []),
      gauge(
        "purser_queued_calls_oldest_timestamp_seconds",
        "When the oldest of these came.",
        queued?.oldestAt === undefined ? [] : [{ value: queued.oldestAt / 1_000 }],
      ),
      ...(handedOver ? handoverFamilies(handedOver) : []),
      gauge("purser_switches_in_force", "What is switched off.", [{ value: switchedOff() }]),
      gauge(
        "purser_bill_captured_ratio",
        "How much of what a provider billed lately is in the ledger, over the days that are complete.",
        billed.flatMap(({ provider, captured }) => (captured === undefined ? [] : [{ labels: { provider }, value: captured }])),
      ),
      gauge(
        "purser_bill_timestamp_seconds",
        "When a provider last said what it billed.",
        billed.map(({ provider, at }) => ({ labels: { provider }, value: at / 1_000 })),
      ),
      ...commitmentFamilies(commitments().filter(({ state }) => state === "running")),
    ];
  }

  async #readBudgets(): Promise<readonly Family[]> {
    const began = performance.now();
    if (began < this.#notBefore) return this.#budgets;
    const { budgets } = this.#parts;
    this.#budgets = [...budgetFamilies(await budgets.balances()), ...allowanceFamilies(await budgets.allowances())];
    const now = performance.now();
    this.#notBefore = now + (now - began) / TIME_SHARE;
    return this.#budgets;
  }

  #journalSamples(): readonly Sample[] {
    return ["purser.db", "purser.db-wal"].flatMap((file) => {
      const stats = statSync(join(this.#parts.dataDir, file), { throwIfNoEntry: false });
      return stats ? [{ labels: { file }, value: stats.size }] : [];
    });
  }
}

/** How many conversations are with people, and for how long whoever waits longest has had no answer. */
function handoverFamilies({ waiting, taken, unanswered, oldestAt }: HandoverCounts): readonly Family[] {
  const open = Object.entries({ waiting, taken }).map(([status, value]) => ({ labels: { status }, value }));
  return [
    gauge(
      "purser_handovers_open",
      "Conversations that people go on with: those that nobody has taken yet, and those that somebody has.",
      open,
    ),
    gauge("purser_handovers_unanswered", "Those of them whose last call nobody has answered yet.", [{ value: unanswered }]),
    gauge(
      "purser_handovers_oldest_unanswered_timestamp_seconds",
      "Since when the one has waited that has waited longest.",
      oldestAt === undefined ? [] : [{ value: oldestAt / 1_000 }],
    ),
  ];
}

/** What the last audit found: the one gauge that must be 0. */
export function auditFamilies(state: AuditState | undefined): readonly Family[] {
  return [
    gauge(
      "purser_audit_mismatches",
      "Balances that are not the sum of their ledger entries, by the last audit. Must be 0.",
      state ? [{ value: state.mismatches }] : [],
    ),
    gauge("purser_audit_timestamp_seconds", "When the last audit ended.", state ? [{ value: state.at / 1_000 }] : []),
  ];
}

/** One limit of a budget, over all of its balances. */
interface Row {
  readonly budget: string;
  readonly unit: Unit;
  readonly window: string;
  /** Only where there is one balance for all. */
  limit: number | undefined;
  spent: number;
  held: number;
  balances: number;
  exhausted: number;
  /** Of the balance of which most is used. */
  used: number;
  resetsAt: number | undefined;
}

/** How budgets stand: never a series for each user, but how many of them there are and how the fullest stands. */
function budgetFamilies(balances: readonly Balance[]): readonly Family[] {
  const found = new Map<string, Row>();
  for (const balance of balances) addBalance(found, balance);
  const rows = [...found.values()].sort((a, b) => b.used - a.used).slice(0, BUDGET_ROWS_MOST);
  const all = (value: (row: Row) => number | undefined, labels: (row: Row) => Labels = labelsOf) =>
    rows.flatMap((row): readonly Sample[] => {
      const shown = value(row);
      return shown === undefined ? [] : [{ labels: labels(row), value: shown }];
    });
  return [
    ...GROUPS.flatMap(({ name, units }) =>
      AMOUNTS.map(([amount, help]) =>
        gauge(
          `purser_budget_${amount}_${name}`,
          help,
          rows.flatMap((row): readonly Sample[] => {
            const kind = units[row.unit];
            const value = row[amount];
            const isOnlyHeld = row.unit === "concurrent" && amount === "spent";
            if (kind === undefined || value === undefined || isOnlyHeld) return [];
            const { budget, window } = row;
            return [
              {
                labels: { budget, window, ...(kind !== "" && { kind }) },
                value: row.unit === "nanodollars" ? decimalDollars(value) : value,
              },
            ];
          }),
        ),
      ),
    ),
    gauge(
      "purser_budget_used_ratio",
      "What is spent and held of the limit, from 0 to 1 or beyond; where each subject has a balance of its own, of the fullest.",
      all(({ used }) => used),
    ),
    gauge(
      "purser_budget_balances",
      "How many balances the limit has: 1, or one for each subject that used it in its window.",
      all(({ balances: count }) => count),
    ),
    gauge(
      "purser_budget_exhausted_balances",
      "How many of these have nothing left.",
      all(({ exhausted }) => exhausted),
    ),
    gauge(
      "purser_budget_resets_timestamp_seconds",
      "When the window ends. Windows that move, and limits for a whole life, have no such time.",
      all(({ resetsAt }) => resetsAt && resetsAt / 1_000),
    ),
  ];
}

/** What is left of what providers give away. */
function allowanceFamilies(allowances: readonly Balance[]): readonly Family[] {
  const all = (value: (balance: Balance) => number) =>
    allowances.map((balance) => ({ labels: { allowance: balance.budget, window: balance.window }, value: value(balance) }));
  return [
    gauge(
      "purser_allowance_limit_tokens",
      "What a provider gives away in each window.",
      all(({ limit }) => limit),
    ),
    gauge(
      "purser_allowance_left_tokens",
      "What is left of it for new calls.",
      all(({ left }) => left),
    ),
  ];
}

/** How commitments are used in the windows that run. */
function commitmentFamilies(standings: readonly CommitmentStanding[]): readonly Family[] {
  const all = (value: (standing: CommitmentStanding) => string | number | undefined) =>
    standings.flatMap((standing): readonly Sample[] => {
      const shown = value(standing);
      return shown === undefined ? [] : [{ labels: { commitment: standing.commitment.name }, value: shown }];
    });
  return [
    gauge(
      "purser_commitment_used_ratio",
      "How much of what is bought in the window is used, from 0 to 1.",
      all(({ used, committed }) => used / committed),
    ),
    gauge(
      "purser_commitment_unused_expected_ratio",
      "How much of it will not be used at this pace. Not there while it is too early to say.",
      all(({ expected, committed }) => expected && expected.unused / committed),
    ),
    gauge(
      "purser_commitment_cost_dollars",
      "What the commitment costs in its window, used or not.",
      all(({ cost }) => decimalDollars(cost)),
    ),
    gauge(
      "purser_commitment_unused_expected_dollars",
      "How much of that will be paid for nothing at this pace.",
      all(({ expected }) => expected && decimalDollars(expected.unusedCost)),
    ),
    gauge(
      "purser_commitment_window_ends_timestamp_seconds",
      "When the window ends.",
      all(({ window }) => window.endsAt / 1_000),
    ),
  ];
}

/** Metrics have one unit each. Of tokens there are kinds. */
const GROUPS: readonly {
  readonly name: string;
  /** The `kind` of a unit within its group; an empty one has no such label. */
  readonly units: Partial<Readonly<Record<Unit, string>>>;
}[] = [
  { name: "dollars", units: { nanodollars: "" } },
  { name: "tokens", units: { tokens: "all", input_tokens: "input", output_tokens: "output" } },
  { name: "requests", units: { requests: "" } },
  { name: "concurrent_calls", units: { concurrent: "" } },
];

const AMOUNTS = [
  ["limit", "The amount in force, with what is granted and carried over; only where there is one balance for all."],
  ["spent", "What is spent in the window, of all balances together."],
  ["held", "What calls in flight hold, of all balances together."],
] as const;

function addBalance(rows: Map<string, Row>, { budget, subject, unit, window, limit, spent, held, left, resetsAt }: Balance): void {
  const key = JSON.stringify([budget, unit, window]);
  let row = rows.get(key);
  if (!row) {
    row = { budget, unit, window, limit: undefined, spent: 0, held: 0, balances: 0, exhausted: 0, used: 0, resetsAt: undefined };
    rows.set(key, row);
  }
  if (subject === "") row.limit = limit;
  row.spent += spent;
  row.held += held;
  row.balances++;
  if (left === 0) row.exhausted++;
  row.used = Math.max(row.used, limit === 0 ? 1 : (spent + held) / limit);
  // What moves has no end, but a time at which it would be empty.
  if (!window.includes(" ")) row.resetsAt = resetsAt;
}

function labelsOf({ budget, unit, window }: Row): Labels {
  return { budget, unit: unit === "nanodollars" ? "dollars" : unit, window };
}

function infoOf(budget: Budget): Labels {
  const { name, owner = "", costCenter } = budget;
  return { budget: name, owner, mode: modeAt(budget, Date.now()), ...(costCenter !== undefined && { cost_center: costCenter }) };
}

function ownersOf(budgets: readonly Budget[]): readonly Family[] {
  return [
    gauge(
      "purser_budget_info",
      "Who answers for a budget, where its calls are booked, and whether it refuses (enforce) or only records (observe). Always 1.",
      budgets.slice(0, BUDGET_ROWS_MOST).map((budget) => ({
        labels: infoOf(budget),
        value: 1,
      })),
    ),
  ];
}
