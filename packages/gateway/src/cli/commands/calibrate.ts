import { type CountError, encodingOf, isShipped, learnedMargin, OWN_MARGIN, summariseErrors } from "@purser/core/tokens";
import { countedOf, keyOf, readCounts } from "../../calibration/counts-file.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, dataFolder } from "../admin-access.ts";
import type { Command } from "../command.ts";
import { table } from "../table.ts";

export const calibrate: Command = {
  name: "calibrate",
  summary: "how far our counts of tokens are from those of providers, model by model",
  usage: "[MODEL]",
  help: [
    "The gateway counts some of the calls that were answered and compares: see the margins that follow from it.",
    "",
    "  MODEL           only models with this in their name",
    ACCESS_HELP,
  ].join("\n"),
  options: ACCESS_OPTIONS,
  wordsMost: 1,
  async run(input, context) {
    const [wanted = ""] = input.positionals;
    const counts = [...(await readCounts(dataFolder(input, context)))].filter(([key]) => key.includes(wanted));
    const models = counts.flatMap(([key, errors]) => SCRIPTS.flatMap((script) => scriptRow(key, errors, script) ?? [])).sort(byName);
    if (models.length === 0) return { exit: 0, text: NOTHING_YET, json: [] };
    const rows = models.map(({ model, provider, counted_as: countedAs, text, compared, error, margin }) => [
      keyOf({ provider, model, countedAs }),
      text,
      compared.toLocaleString("en-US"),
      percent(error.median),
      percent(error.most),
      margin.used === margin.given ? percent(margin.used) : `${percent(margin.given)} → ${percent(margin.used)}`,
    ]);
    const heading = ["Model", "Text", "Compared", "Off by, median", "at most", "Margin"];
    return { exit: 0, text: `${table(heading.map(context.style.dim), rows, [2, 3, 4, 5])}\n\n${EXPLAINED}`, json: models };
  },
};

const SCRIPTS = ["latin", "other"] as const;
const NOTHING_YET =
  "Nothing was compared yet. Calls of a few hundred words or more are, when their provider says what it counted; what was seen is written down once a minute.";
const EXPLAINED =
  "Above 0: the provider counts more than we do. The margin is held on top of our count, as far as it is known: it is widened after 20\ncalls that need more, and narrowed after 100 that need less, for vocabularies that are not the model's own.";

/** What `purser calibrate --json` says: shares, so that 0.02 is two in a hundred. */
interface ModelJson {
  readonly provider: string;
  readonly model: string;
  /** Where the configuration said it. */
  readonly counted_as?: string;
  readonly text: "Latin, code" | "other scripts";
  readonly compared: number;
  readonly error: { readonly median: number; readonly most: number };
  readonly margin: { readonly given: number; readonly used: number };
}

function scriptRow(key: string, errors: readonly CountError[], script: CountError["script"]): ModelJson | undefined {
  const { count, medianPermille, mostPermille } = summariseErrors(errors.filter((error) => error.script === script));
  if (count === 0) return undefined;
  const { provider, model, countedAs } = countedOf(key);
  const given = countedAs === undefined || isShipped(countedAs) ? encodingOf(countedAs ?? model) : OWN_MARGIN;
  const name = script === "latin" ? "marginPermille" : "marginOtherPermille";
  return {
    provider,
    model,
    ...(countedAs !== undefined && { counted_as: countedAs }),
    text: script === "latin" ? "Latin, code" : "other scripts",
    compared: count,
    error: { median: medianPermille / 1_000, most: mostPermille / 1_000 },
    margin: { given: given[name] / 1_000, used: learnedMargin(given, errors)[name] / 1_000 },
  };
}

function byName(a: ModelJson, b: ModelJson): number {
  return `${a.provider}/${a.model}` < `${b.provider}/${b.model}` ? -1 : 1;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
