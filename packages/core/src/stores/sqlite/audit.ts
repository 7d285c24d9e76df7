import type { Mismatch } from "../store.ts";
import type { Database } from "./driver.ts";
import { type CounterRow, counterOf, forEachPosting } from "./rows.ts";

/** What the thread that reads the journal is asked, in this order, while an audit goes on. */
export type AuditStep =
  /** Adds up more of the ledger, towards an entry. */
  | { readonly step: "advance"; readonly upTo: number }
  /** Compares balances, as they stood after the entry that the sums have reached. `counter,held,spent` repeated. */
  | { readonly step: "compare"; readonly balances: readonly number[] }
  /** Looks for what the ledger has and no balance was compared with. What closed before these times is forgotten, so there is none. */
  | { readonly step: "finish"; readonly windowsBefore: number; readonly slicesBefore: number };

export interface AuditAnswer {
  /** The entry that the sums have reached. */
  readonly upTo: number;
  readonly mismatches: readonly Mismatch[];
}

interface Sum {
  held: number;
  spent: number;
  /** The audit that compared it last. */
  audit: number;
}

/** Reading so many entries takes a moment, in which nobody else can read. */
const ADVANCE_MOST = 50_000;

/** The sum of all postings by counter. It is kept from audit to audit, so that each reads only the entries which are new. */
export class LedgerSums {
  readonly #sums = new Map<number, Sum>();
  #upTo = 0;
  #audit = 1;

  take(database: Database, step: AuditStep): AuditAnswer {
    const mismatches = this.#run(database, step);
    return { upTo: this.#upTo, mismatches };
  }

  #run(database: Database, step: AuditStep): readonly Mismatch[] {
    if (step.step === "compare") return this.#compare(database, step.balances);
    if (step.step === "finish") return this.#finish(database, step);
    this.#advance(database, step.upTo);
    return [];
  }

  #advance(database: Database, upTo: number): void {
    const rows = database.prepare("SELECT seq, postings FROM entry WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?");
    for (const row of rows.iterate(this.#upTo, upTo, ADVANCE_MOST)) {
      const { seq, postings } = row as { seq: number; postings: string };
      forEachPosting(postings, (id, held, spent) => {
        const sum = this.#sums.get(id);
        if (!sum) this.#sums.set(id, { held, spent, audit: 0 });
        else {
          sum.held += held;
          sum.spent += spent;
        }
      });
      this.#upTo = seq;
    }
  }

  #compare(database: Database, balances: readonly number[]): readonly Mismatch[] {
    const mismatches: Mismatch[] = [];
    for (let i = 0; i < balances.length; i += 3) {
      const [id = 0, held = 0, spent = 0] = [balances[i], balances[i + 1], balances[i + 2]];
      const sum = this.#sums.get(id) ?? NOTHING;
      if (sum !== NOTHING) sum.audit = this.#audit;
      if (sum.held === held && sum.spent === spent) continue;
      mismatches.push({ key: rowOf(database, id)?.key ?? `counter ${id}`, balance: { held, spent }, ledger: usedOf(sum) });
    }
    return mismatches;
  }

  #finish(database: Database, { windowsBefore, slicesBefore }: AuditStep & { step: "finish" }): readonly Mismatch[] {
    const mismatches: Mismatch[] = [];
    for (const [id, sum] of this.#sums) {
      if (sum.audit === this.#audit) continue;
      const row = rowOf(database, id);
      const counter = row && counterOf(row);
      const before = counter?.series === undefined ? windowsBefore : slicesBefore;
      if (counter?.resetsAt !== undefined && counter.resetsAt < before) this.#sums.delete(id);
      else if (sum.held !== 0 || sum.spent !== 0)
        mismatches.push({ key: counter?.key ?? `counter ${id}`, balance: { held: 0, spent: 0 }, ledger: usedOf(sum) });
    }
    this.#audit++;
    return mismatches;
  }
}

const NOTHING: Sum = { held: 0, spent: 0, audit: 0 };

function usedOf({ held, spent }: Sum) {
  return { held, spent };
}

function rowOf(database: Database, id: number): CounterRow | undefined {
  return database.prepare("SELECT * FROM counter WHERE id = ?").get(id) as CounterRow | undefined;
}
