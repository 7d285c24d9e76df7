/** One metric of several samples, as Prometheus reads it. */
export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly samples: readonly Sample[];
}

export interface Sample {
  /** What follows the name of the family: `_bucket`, `_sum`, `_count` of a histogram. */
  readonly suffix?: string;
  readonly labels?: Labels;
  /** A text is written as it is: a decimal that no floating-point number is. */
  readonly value: number | string;
}

export type Labels = Readonly<Record<string, string>>;

export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Families in Prometheus' text format. Those without a sample are left out. */
export function exposition(families: readonly Family[]): string {
  let text = "";
  for (const { name, type, help, samples } of families) {
    if (samples.length === 0) continue;
    text += `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n`;
    for (const { suffix = "", labels = {}, value } of samples) text += `${name}${suffix}${labelText(labels)} ${valueText(value)}\n`;
  }
  return text;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function valueText(value: number | string): string {
  if (typeof value === "string") return value;
  if (Number.isNaN(value)) return "NaN";
  return Number.isFinite(value) ? String(value) : value > 0 ? "+Inf" : "-Inf";
}
