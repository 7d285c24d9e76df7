import type { AuditState } from "./audits.ts";
import { exposition } from "./exposition.ts";
import { Figures, type Snapshot } from "./figures.ts";
import { auditFamilies, type Standing } from "./standing.ts";
import { countedFamilies, gauge } from "./tables.ts";

/** What all processes of a gateway have counted together. */
export interface Counted {
  readonly counted: Snapshot;
  readonly audit: AuditState | undefined;
  /** Epoch milliseconds: when the gateway started, with all of its processes. */
  readonly startedAt: number;
}

/** All metrics of a gateway, as Prometheus reads them. */
export async function writeMetrics(standing: Pick<Standing, "families">, read: () => Promise<Counted>): Promise<string> {
  const [families, { counted, audit, startedAt }] = await Promise.all([standing.families(), read()]);
  return exposition([
    ...countedFamilies(counted),
    ...families,
    ...auditFamilies(audit),
    gauge("process_start_time_seconds", "When the gateway started.", [{ value: startedAt / 1_000 }]),
  ]);
}

/** The figures of several processes, each of which says now and then what it has counted since it began. */
export class GatheredFigures {
  readonly #own: Figures;
  /** What those that are gone had counted: a sum that went down would look like one that began anew. */
  readonly #gone = new Figures();
  readonly #last = new Map<number, Snapshot>();

  constructor(own: Figures) {
    this.#own = own;
  }

  take(process: number, snapshot: Snapshot): void {
    this.#last.set(process, snapshot);
  }

  ended(process: number): void {
    const last = this.#last.get(process);
    this.#last.delete(process);
    if (last) this.#gone.add(last, { isGone: true });
  }

  snapshot(): Snapshot {
    const sum = new Figures();
    for (const one of [this.#own.snapshot(), ...this.#last.values()]) sum.add(one);
    sum.add(this.#gone.counted());
    return sum.counted();
  }
}
