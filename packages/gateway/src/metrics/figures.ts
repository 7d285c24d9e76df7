import {
  type Charge,
  chargeAmounts,
  type Denial,
  type ErrorCode,
  type KnownAnswer,
  type RungSaving,
  type Subject,
  savedNet,
  savingOfAnswer,
} from "@purser/core";
import type { CallEvents, OverAttempt } from "../call-events.ts";
import type { Outcome } from "../outcome.ts";
import { observe, Series, type SeriesRow } from "./series.ts";
import { BOUNDS, CALLS, CHARGED, CIRCUITS, type Columns, PROCESS, SAVED, type TableName } from "./tables.ts";

/** What one process has counted, as it is told to another one. */
export type Snapshot = Readonly<Record<TableName, readonly SeriesRow[]>>;

/** What a gateway counts as it works: a look-up and some additions where they arise, written out only when somebody asks. */
export class Figures implements CallEvents {
  readonly #tables: Readonly<Record<TableName, Series>> = {
    charged: new Series({ depth: 2, cells: CHARGED.length }),
    refusals: new Series({ depth: 2, cells: 1 }),
    known: new Series({ depth: 2, cells: 1 }),
    saved: new Series({ depth: 2, cells: SAVED.length }),
    rejected: new Series({ depth: 1, cells: 1 }),
    answers: new Series({ depth: 2, cells: 1 }),
    failovers: new Series({ depth: 2, cells: 1 }),
    circuits: new Series({ depth: 1, cells: CIRCUITS.length }),
    admission: histogram(BOUNDS.admission),
    firstByte: histogram(BOUNDS.firstByte),
    duration: histogram(BOUNDS.duration),
    calls: new Series({ depth: 0, cells: CALLS.length }),
    lost: new Series({ depth: 1, cells: 1 }),
    process: new Series({ depth: 0, cells: PROCESS.length }),
  };

  /** A call was charged, in the place of an estimate where there was one: as it stands in the ledger. */
  charged(_id: string, { provider, model }: Subject, charge: Charge, takenBack?: Charge): void {
    const cells = this.#tables.charged.at(provider, model);
    const { inputTokens, cacheReadInputTokens, cacheWriteInputTokens, outputTokens, reasoningOutputTokens, cost } = chargeAmounts(charge);
    add(cells, AT.input, Math.max(0, inputTokens - cacheReadInputTokens - cacheWriteInputTokens));
    add(cells, AT.cache_read, cacheReadInputTokens);
    add(cells, AT.cache_write, cacheWriteInputTokens);
    add(cells, AT.output, Math.max(0, outputTokens - reasoningOutputTokens));
    add(cells, AT.reasoning, reasoningOutputTokens);
    add(cells, AT[charge.certainty], cost);
    for (const saving of charge.savings ?? []) this.#saved(saving);
    if (!takenBack) {
      add(cells, AT.calls, 1);
      if (charge.cost === undefined) add(cells, AT.unpriced, 1);
      return;
    }
    const estimate = chargeAmounts(takenBack);
    add(cells, AT.taken_back_input, estimate.inputTokens);
    add(cells, AT.taken_back_output, estimate.outputTokens);
    add(cells, AT.taken_back, estimate.cost);
  }

  /** Budgets refused a call. */
  denied(_id: string, _subject: Subject, { reason, balance }: Denial): void {
    add(this.#tables.refusals.at(reason, balance?.budget), 0, 1);
  }

  /** A call got an answer that was known. */
  knew(_id: string, { provider, model }: Subject, known: KnownAnswer): void {
    add(this.#tables.known.at(provider, model), 0, 1);
    const saving = savingOfAnswer(known);
    if (saving) this.#saved(saving);
  }

  /** A counter never falls: what a call became dearer is counted with what rungs spent. */
  #saved(saving: RungSaving): void {
    const net = savedNet([saving]);
    add(this.#tables.saved.at(saving.budget, saving.rung), SAVED.indexOf(net < 0 ? "spent" : "saved"), Math.abs(net));
  }

  /** A request was no call that a budget could be asked about: without a key, or one that cannot be read. */
  rejected(_id: string, code: ErrorCode): void {
    add(this.#tables.rejected.at(code), 0, 1);
  }

  began(): void {
    add(this.#tables.calls.at(), CALLS_AT.began, 1);
  }

  ended(): void {
    add(this.#tables.calls.at(), CALLS_AT.ended, 1);
  }

  /** It is one call to whoever counts, and two to whoever reads the ledger. */
  continued(): void {}

  /** A call was sent so long after it came. */
  admitted(_id: string, endpoint: string, seconds: number): void {
    observe(this.#tables.admission.at(endpoint), BOUNDS.admission, seconds);
  }

  /** What goes out is counted when it is over. */
  sent(): void {}

  /** A provider began to answer so long after it was asked. */
  answering(_id: string, provider: string, seconds: number): void {
    observe(this.#tables.firstByte.at(provider), BOUNDS.firstByte, seconds);
  }

  /** An attempt that was sent is over. */
  answered(_id: string, { provider, outcome }: OverAttempt): void {
    add(this.#tables.answers.at(provider, answerName(outcome)), 0, 1);
  }

  /** All is over with a call that was sent, so long after it came. */
  over(_id: string, endpoint: string, seconds: number): void {
    observe(this.#tables.duration.at(endpoint), BOUNDS.duration, seconds);
  }

  /** A call went on to another attempt, because one at this provider ended so. */
  wentOn(_id: string, provider: string, outcome: Outcome): void {
    add(this.#tables.failovers.at(provider, answerName(outcome)), 0, 1);
  }

  /** Calls begin to pass over a model of a provider, or do not any more. */
  circuit(provider: string, change: "opened" | "closed"): void {
    add(this.#tables.circuits.at(provider), CIRCUITS.indexOf(change), 1);
  }

  /** Telemetry that no collector got. */
  lost(what: string, count: number): void {
    add(this.#tables.lost.at(what), 0, count);
  }

  /** All that was counted up to now, with what the system says of this process. */
  snapshot(): Snapshot {
    const { user, system } = process.cpuUsage();
    const cells = this.#tables.process.at();
    cells[PROCESS_AT.cpu_seconds] = (user + system) / 1e6;
    cells[PROCESS_AT.busy_seconds] = performance.eventLoopUtilization().active / 1e3;
    cells[PROCESS_AT.resident_bytes] = process.memoryUsage.rss();
    return this.counted();
  }

  /** The same, without asking the system. */
  counted(): Snapshot {
    return Object.fromEntries(Object.entries(this.#tables).map(([name, { rows }]) => [name, rows])) as unknown as Snapshot;
  }

  /** Adds what another process has counted. One that is gone has no call in flight and no memory any more. */
  add(snapshot: Snapshot, { isGone = false } = {}): void {
    for (const [name, table] of Object.entries(this.#tables)) table.add(snapshot[name as TableName]);
    if (!isGone) return;
    for (const { labels, cells } of snapshot.circuits)
      add(this.#tables.circuits.at(labels[0]), CIRCUITS.indexOf("closed"), (cells[0] ?? 0) - (cells[1] ?? 0));
    const [calls] = snapshot.calls;
    if (calls) add(this.#tables.calls.at(), CALLS_AT.ended, (calls.cells[CALLS_AT.began] ?? 0) - (calls.cells[CALLS_AT.ended] ?? 0));
    add(this.#tables.process.at(), PROCESS_AT.resident_bytes, -(snapshot.process[0]?.cells[PROCESS_AT.resident_bytes] ?? 0));
  }
}

function histogram(bounds: readonly number[]): Series {
  return new Series({ depth: 1, cells: bounds.length + 2 });
}

function add(cells: Float64Array, at: number, amount: number): void {
  cells[at] = (cells[at] as number) + amount;
}

/** Where each column stands in its row. */
function placesOf<Name extends string>(columns: Columns<Name>): Readonly<Record<Name, number>> {
  return Object.fromEntries(columns.map((name, at) => [name, at])) as Record<Name, number>;
}

const AT = placesOf(CHARGED);
const CALLS_AT = placesOf(CALLS);
const PROCESS_AT = placesOf(PROCESS);

/** How a provider answered, in few words: each is a series. */
function answerName(outcome: Outcome): string {
  if (outcome.kind === "answered") return "ok";
  if (outcome.kind === "not-sent") return "unreachable";
  if (outcome.kind === "unknown") return outcome.error.isTimeout ? "timeout" : "broken";
  const { status } = outcome;
  return status === 429 ? "429" : `${Math.floor(status / 100)}xx`;
}
