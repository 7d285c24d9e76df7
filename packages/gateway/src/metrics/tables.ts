import { decimalDollars } from "@purser/core";
import type { Family, Sample } from "./exposition.ts";
import type { Snapshot } from "./figures.ts";
import type { SeriesRow } from "./series.ts";

export type Columns<Name extends string> = readonly Name[];

/** What is counted of charged calls. Money in nano-dollars, so that sums are exact; the kinds of tokens are apart from each other, so that they can be added up. */
export const CHARGED = [
  "calls",
  "unpriced",
  "input",
  "cache_read",
  "cache_write",
  "output",
  "reasoning",
  "confirmed",
  "estimated",
  "unconfirmed",
  "taken_back",
  "taken_back_input",
  "taken_back_output",
] as const;
export const SAVED = ["saved", "spent"] as const;
export const CALLS = ["began", "ended"] as const;
export const CIRCUITS = ["opened", "closed"] as const;
export const PROCESS = ["cpu_seconds", "busy_seconds", "resident_bytes"] as const;

export type TableName =
  | "charged"
  | "refusals"
  | "known"
  | "saved"
  | "rejected"
  | "answers"
  | "failovers"
  | "circuits"
  | "admission"
  | "firstByte"
  | "duration"
  | "calls"
  | "lost"
  | "process";

/** The upper bounds of histograms, in seconds. */
export const BOUNDS = {
  admission: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
  firstByte: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  duration: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600],
} as const;

/** What processes have counted, as Prometheus reads it. */
export function countedFamilies(counted: Snapshot): readonly Family[] {
  const { charged } = counted;
  const labels = ["provider", "model"];
  const columns = (...names: readonly (typeof CHARGED)[number][]) => names.map((name) => ({ name, at: CHARGED.indexOf(name) }));
  const byColumn = (label: string, names: readonly { readonly name: string; readonly at: number }[], show: Show = plain) =>
    charged.flatMap((row) =>
      names.map(({ name, at }): Sample => ({ labels: { ...labelsOf(labels, row), [label]: name }, value: show(row.cells[at] ?? 0) })),
    );
  const single = (name: (typeof CHARGED)[number], show: Show = plain) =>
    charged.map((row): Sample => ({ labels: labelsOf(labels, row), value: show(row.cells[CHARGED.indexOf(name)] ?? 0) }));
  const savedBy = (name: (typeof SAVED)[number]) =>
    counted.saved.map(
      (row): Sample => ({ labels: labelsOf(["budget", "rung"], row), value: decimalDollars(row.cells[SAVED.indexOf(name)] ?? 0) }),
    );
  const [calls] = counted.calls;
  const [ofProcess] = counted.process;
  const measured = (name: (typeof PROCESS)[number]): readonly Sample[] =>
    ofProcess ? [{ value: ofProcess.cells[PROCESS.indexOf(name)] ?? 0 }] : [];
  return [
    counter("purser_calls_total", "Calls that ended and were charged, also with nothing.", single("calls")),
    counter("purser_unpriced_calls_total", "Of these, calls to models without a price.", single("unpriced")),
    counter(
      "purser_tokens_total",
      "Tokens that were charged. The kinds are apart from each other: input without what was read from or written to the provider's cache, output without reasoning.",
      byColumn("kind", columns("input", "cache_read", "cache_write", "output", "reasoning")),
    ),
    counter(
      "purser_cost_dollars_total",
      "What was charged: as the provider counted (confirmed), as Purser counted (estimated), or at the estimate because the end is unknown (unconfirmed).",
      byColumn("certainty", columns("confirmed", "estimated", "unconfirmed"), decimalDollars),
    ),
    counter(
      "purser_cost_taken_back_dollars_total",
      "Estimates in whose place a later truth was charged. What was spent is purser_cost_dollars_total less this.",
      single("taken_back", decimalDollars),
    ),
    counter(
      "purser_tokens_taken_back_total",
      "Tokens of these estimates.",
      byColumn("kind", [
        { name: "input", at: CHARGED.indexOf("taken_back_input") },
        { name: "output", at: CHARGED.indexOf("taken_back_output") },
      ]),
    ),
    counter(
      "purser_refusals_total",
      "Calls that were refused, by reason and the budget that refused, if one did.",
      countOf(counted.refusals, "reason", "budget"),
    ),
    counter(
      "purser_known_answers_total",
      "Calls that got an answer which was kept or stands in the configuration, so that no provider was asked. They are not in purser_calls_total.",
      countOf(counted.known, ...labels),
    ),
    counter("purser_saved_dollars_total", "What rungs of ladders saved, as far as that can be known.", savedBy("saved")),
    counter(
      "purser_spent_on_saving_dollars_total",
      "What rungs spent to save it: calls that wrote summaries, and what calls became dearer. What was saved in the end is purser_saved_dollars_total less this.",
      savedBy("spent"),
    ),
    counter(
      "purser_rejected_requests_total",
      "Requests that were no call a budget could be asked about, or that failed here, by error code.",
      countOf(counted.rejected, "code"),
    ),
    counter(
      "purser_provider_answers_total",
      "How providers answered the attempts that were sent: ok, the class of a refusal, unreachable, timeout, or broken off.",
      countOf(counted.answers, "provider", "answer"),
    ),
    counter(
      "purser_failovers_total",
      "Attempts at a provider after which the call was made again, there or at the next provider of its route, by how they ended.",
      countOf(counted.failovers, "provider", "answer"),
    ),
    gauge(
      "purser_provider_circuits_open",
      "Models of a provider that calls pass over, because they fail, each counted by every process that does.",
      counted.circuits.map((row): Sample => ({ labels: labelsOf(["provider"], row), value: (row.cells[0] ?? 0) - (row.cells[1] ?? 0) })),
    ),
    histogram(
      "purser_admission_seconds",
      "From the beginning of a request until it was sent on, waiting for room included.",
      BOUNDS.admission,
      counted.admission,
      "endpoint",
    ),
    histogram(
      "purser_provider_first_byte_seconds",
      "From when a call was sent until its answer began.",
      BOUNDS.firstByte,
      counted.firstByte,
      "provider",
    ),
    histogram(
      "purser_call_duration_seconds",
      "From the beginning of a request that was sent on until the end of its answer.",
      BOUNDS.duration,
      counted.duration,
      "endpoint",
    ),
    gauge("purser_calls_in_flight", "Calls that are being worked on.", [
      { value: calls ? (calls.cells[0] ?? 0) - (calls.cells[1] ?? 0) : 0 },
    ]),
    counter(
      "purser_telemetry_lost_total",
      "Spans that no OpenTelemetry collector got, and times at which it did not get the metrics, whose sums come with the next.",
      countOf(counted.lost, "what"),
    ),
    counter("process_cpu_seconds_total", "Processor time of all processes of this gateway.", measured("cpu_seconds")),
    counter(
      "purser_event_loop_busy_seconds_total",
      "How long the processes of this gateway have worked rather than waited: near 1 a second and process, calls wait for each other.",
      measured("busy_seconds"),
    ),
    gauge("process_resident_memory_bytes", "Memory of all processes of this gateway.", measured("resident_bytes")),
  ];
}

type Show = (value: number) => number | string;
const plain: Show = (value) => value;

function labelsOf(names: readonly string[], { labels }: SeriesRow): Record<string, string> {
  return Object.fromEntries(names.map((name, i) => [name, labels[i] ?? ""]));
}

function countOf(rows: readonly SeriesRow[], ...names: readonly string[]): readonly Sample[] {
  return rows.map((row) => ({ labels: labelsOf(names, row), value: row.cells[0] ?? 0 }));
}

function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: "counter", help, samples };
}

export function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: "gauge", help, samples };
}

function histogram(name: string, help: string, bounds: readonly number[], rows: readonly SeriesRow[], label: string): Family {
  const samples = rows.flatMap((row) => {
    const labels = labelsOf([label], row);
    let count = 0;
    const buckets = [...bounds, Number.POSITIVE_INFINITY].map((bound, i): Sample => {
      count += row.cells[i] ?? 0;
      return { suffix: "_bucket", labels: { ...labels, le: bound === Number.POSITIVE_INFINITY ? "+Inf" : String(bound) }, value: count };
    });
    return [...buckets, { suffix: "_sum", labels, value: row.cells[bounds.length + 1] ?? 0 }, { suffix: "_count", labels, value: count }];
  });
  return { name, type: "histogram", help, samples };
}
