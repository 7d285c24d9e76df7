import { type Allowance, compilePattern, endOfDay, parseLimit } from "@purser/core";
import type { Provider } from "../providers/provider.ts";
import { checkProvider } from "./commitments.ts";
import type { AllowanceFields } from "./description.ts";
import type { Located } from "./field.ts";

/** An allowance with what it was written for. */
export interface ConfiguredAllowance extends Allowance {
  readonly providers: readonly string[];
  readonly models: readonly string[];
}

/** What providers give away, each as a limit that is used up before anything is charged. */
export function configuredAllowances(
  entries: readonly Located<AllowanceFields>[],
  { providers, now }: { readonly providers: readonly Provider[]; readonly now: number },
): readonly ConfiguredAllowance[] {
  const names = new Set<string>();
  return entries.flatMap(({ value, place }) => {
    const { name, provider, limit, models = ["*"], timezone = "UTC" } = value;
    if (name === undefined || provider === undefined || limit === undefined) return [];
    if (names.has(name)) place.field("name").problem(`"${name}" names two allowances. Each needs a name of its own.`);
    names.add(name);
    for (const wanted of provider) checkProvider(wanted, providers, place.field("provider"));
    const until = value.until === undefined ? undefined : endOfDay(value.until, timezone);
    if (until !== undefined && until <= now)
      place.field("until").warning(`the allowance ended with ${value.until}, and its calls are charged. Take it out.`);
    const [ofProvider, ofModel] = [provider.map(compilePattern), models.map(compilePattern)];
    const applies = (asked: string, model: string) => ofProvider.some((is) => is(asked)) && ofModel.some((is) => is(model));
    return [{ name, providers: provider, models, limit: parseLimit(limit, timezone), ...(until !== undefined && { until }), applies }];
  });
}
