import { PurserError } from "@purser/core";
import { createPriceBook, type PriceOverride } from "@purser/core/prices";
import type { ChargeFields, PriceFields } from "./description.ts";
import type { Located } from "./field.ts";
import type { Place } from "./source.ts";

/** The prices of the file, each tried in a price book of its own, so that what is wrong is said where it stands. */
export function configuredPrices(entries: readonly Located<PriceFields>[]): readonly PriceOverride[] {
  const rows = new Set<string>();
  return entries.flatMap(({ value: { provider, model, from, ...charges }, place }) => {
    if (model === undefined) return [];
    const price: PriceOverride = { ...overrideFields(charges), model, ...(provider && { provider }), ...(from !== undefined && { from }) };
    const row = JSON.stringify([model, provider ?? [], from ?? ""]);
    if (rows.has(row)) place.warning(`the price of ${model.join(", ")} is written twice for the same day. The later one counts.`);
    rows.add(row);
    return isRight(place, () => createPriceBook({ overrides: [price] })) ? [price] : [];
  });
}

/** The price of every model that has none. */
export function configuredDefaultPrice({ value, place }: Located<ChargeFields>): PriceOverride | undefined {
  const price: PriceOverride = { ...overrideFields(value), model: "*" };
  return isRight(place, () => createPriceBook({ fallback: price })) ? price : undefined;
}

function overrideFields({ tools, tiers, of_input, ...rest }: ChargeFields): Omit<PriceOverride, "model" | "provider" | "from"> {
  const fields = {
    ...given(rest),
    ...(tiers && { tiers: tiers.map(({ above = 0, ...rates }) => ({ above, ...given(rates) })) }),
    ...(of_input && { of_input: given(of_input) }),
    ...(tools && { tools: Object.fromEntries(tools) }),
  };
  return fields;
}

/** The fields that have a value. */
type Given<T> = { readonly [name in keyof T]?: Exclude<T[name], undefined> };

function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>;
}

function isRight(place: Place, check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (!(error instanceof PurserError)) throw error;
    place.problem(error.message);
    return false;
  }
}
