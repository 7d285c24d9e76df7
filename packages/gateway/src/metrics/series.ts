/** Rows of numbers by their labels: what a process counts. A number is added where it stands, and nothing is allocated for it. */
export class Series {
  readonly #depth: number;
  readonly #cells: number;
  readonly #most: number;
  readonly #tree = new Map<string, Branch>();
  readonly #rows: SeriesRow[] = [];

  /** `most` rows of so many cells, each under as many labels as `depth` says. What is beyond is counted together, under `OTHER`. */
  constructor({ depth, cells, most = SERIES_MOST }: { readonly depth: number; readonly cells: number; readonly most?: number }) {
    this.#depth = depth;
    this.#cells = cells;
    this.#most = most;
  }

  /** The cells under some labels. */
  at(first = "", second = ""): Float64Array {
    const branch = this.#tree.get(first);
    if (branch) {
      const cells = branch.get(second);
      if (cells) return cells;
    }
    return this.#add(first, second);
  }

  get rows(): readonly SeriesRow[] {
    return this.#rows;
  }

  /** Adds what another process has counted. */
  add(rows: readonly SeriesRow[]): void {
    for (const { labels, cells } of rows) {
      const own = this.at(labels[0], labels[1]);
      for (let i = 0; i < own.length; i++) own[i] = (own[i] as number) + (cells[i] ?? 0);
    }
  }

  #add(first: string, second: string): Float64Array {
    const isOther = first === OTHER && (this.#depth < 2 || second === OTHER);
    if (this.#rows.length >= this.#most && !isOther) return this.at(OTHER, this.#depth < 2 ? "" : OTHER);
    const cells = new Float64Array(this.#cells);
    const branch = this.#tree.get(first) ?? new Map<string, Float64Array>();
    this.#tree.set(first, branch.set(second, cells));
    this.#rows.push({ labels: [first, second].slice(0, this.#depth), cells });
    return cells;
  }
}

type Branch = Map<string, Float64Array>;

export interface SeriesRow {
  readonly labels: readonly string[];
  readonly cells: Float64Array;
}

/** The label of all that is beyond the most rows. */
const OTHER = "other";
/** Callers can name models as they like, and every row is kept for ever. */
const SERIES_MOST = 1_000;

/** Counts one observation: cells are those of the bounds, one for what is beyond them, and the sum. */
export function observe(cells: Float64Array, bounds: readonly number[], value: number): void {
  let i = 0;
  while (i < bounds.length && value > (bounds[i] as number)) i++;
  cells[i] = (cells[i] as number) + 1;
  const sum = bounds.length + 1;
  cells[sum] = (cells[sum] as number) + value;
}
