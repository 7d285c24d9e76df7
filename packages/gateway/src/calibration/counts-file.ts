import type { CountError } from "@purser/core/tokens";
import { writeDurably } from "../durable-file.ts";
import { readLearned } from "../learned-file.ts";

const FILE = "counts.json";

/** A model at a provider, and what it was counted as, where the configuration said that. */
interface Counted {
  readonly provider: string;
  readonly model: string;
  readonly countedAs: string | undefined;
}

const COUNTED_AS = " counted as ";

/** `local/acme-support counted as qwen3`. Names of providers have no slash in them. */
export function keyOf({ provider, model, countedAs }: Counted): string {
  return `${provider}/${model}${countedAs === undefined ? "" : COUNTED_AS + countedAs}`;
}

export function countedOf(key: string): Counted {
  const slash = key.indexOf("/");
  const [model = "", countedAs] = key.slice(slash + 1).split(COUNTED_AS);
  return { provider: key.slice(0, slash), model, countedAs };
}

/** The errors of our counts by model, oldest first, each in thousandths: `{ "latin": [12, -4], "other": [] }`. */
type Counts = ReadonlyMap<string, readonly CountError[]>;

interface Stored {
  readonly version: 1;
  readonly models: Readonly<Record<string, Readonly<Record<CountError["script"], readonly number[]>>>>;
}

/** What a data folder knows about the errors of our counts; nothing where nothing was compared yet. */
export async function readCounts(directory: string): Promise<Counts> {
  const counts = await readLearned(directory, FILE, ({ models }: Stored) =>
    Object.entries(models).map(([key, { latin, other }]) => [key, [...errorsOf("latin", latin), ...errorsOf("other", other)]] as const),
  );
  return new Map(counts);
}

/** Replaces them all: whoever reads sees the old ones or the new ones. */
export async function writeCounts(directory: string, counts: Counts): Promise<void> {
  const of = (errors: readonly CountError[], wanted: CountError["script"]) =>
    errors.flatMap(({ script, permille }) => (script === wanted ? [permille] : []));
  const models = Object.fromEntries([...counts].map(([key, errors]) => [key, { latin: of(errors, "latin"), other: of(errors, "other") }]));
  const stored: Stored = { version: 1, models };
  await writeDurably(directory, FILE, Buffer.from(`${JSON.stringify(stored)}\n`));
}

function errorsOf(script: CountError["script"], permilles: readonly number[]): readonly CountError[] {
  return permilles.map((permille) => {
    if (!Number.isFinite(permille)) throw new Error(`an error of a count is ${permille}`);
    return { script, permille };
  });
}
