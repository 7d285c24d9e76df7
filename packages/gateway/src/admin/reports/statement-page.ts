import { formatDollars } from "@purser/core";
import type { StatementJson, StatementsJson } from "./statement.ts";

/** Statements as a page that prints well: a summary, then each on a sheet of its own. It loads nothing. */
export function statementsPage(json: StatementsJson): string {
  const { month, by, time_zone, is_final, total, before, data } = json;
  const title = `Statements for ${month}`;
  const state = is_final ? "" : " The month is not over: these figures still grow.";
  const summary = table(
    [by, "Owner", "Calls", "Tokens", "Cost", "Share", "The month before"],
    data.map((one) => [
      one.value ?? "none",
      one.owner ?? "",
      count(one.total.calls),
      count(one.total.input_tokens + one.total.output_tokens),
      formatDollars(one.total.cost_nanodollars),
      percent(one.share),
      formatDollars(one.before.cost_nanodollars),
    ]),
    [
      "Total",
      "",
      count(total.calls),
      count(total.input_tokens + total.output_tokens),
      formatDollars(total.cost_nanodollars),
      "",
      formatDollars(before.cost_nanodollars),
    ],
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<p>What each ${escaped(by)} is charged, by the calendar of ${escaped(time_zone)}.${state}</p>
${summary}
${data.map((one) => sheet(one, json)).join("\n")}
</body>
</html>
`;
}

function sheet({ value, owner, total, before, lines }: StatementJson, { by, month }: StatementsJson): string {
  const change = total.cost_nanodollars - before.cost_nanodollars;
  const unconfirmed =
    total.unconfirmed_nanodollars === 0
      ? ""
      : ` Of this, ${formatDollars(total.unconfirmed_nanodollars)} are estimates, because the end of calls is unknown.`;
  const unpriced =
    total.unpriced_calls === 0 ? "" : ` ${count(total.unpriced_calls)} calls went to models without a price, and cost nothing here.`;
  const body = table(
    ["Provider", "Model", "Calls", "Input", "of it cached", "Output", "Cost"],
    lines.map((line) => [
      line.provider ?? "",
      line.model ?? "",
      count(line.calls),
      count(line.input_tokens),
      count(line.cache_read_input_tokens),
      count(line.output_tokens),
      formatDollars(line.cost_nanodollars),
    ]),
    [
      "Total",
      "",
      count(total.calls),
      count(total.input_tokens),
      count(total.cache_read_input_tokens),
      count(total.output_tokens),
      formatDollars(total.cost_nanodollars),
    ],
  );
  return `<section>
<h2>${escaped(by)} ${escaped(value ?? "none")}</h2>
<p>${escaped(month)}${owner === null ? "" : `, for ${escaped(owner)}`}: <strong>${formatDollars(total.cost_nanodollars)}</strong>,
${change === 0 ? "as in the month before" : `${formatDollars(Math.abs(change))} ${change > 0 ? "more" : "less"} than in the month before`}.${unconfirmed}${unpriced}</p>
${body}
</section>`;
}

/** The first two columns are texts, all others numbers. */
function table(heading: readonly string[], rows: readonly (readonly string[])[], total: readonly string[]): string {
  const line = (cells: readonly string[], tag: "td" | "th") =>
    `<tr>${cells.map((cell, i) => `<${tag}${i < 2 ? "" : ' class="number"'}>${escaped(cell)}</${tag}>`).join("")}</tr>`;
  return `<table>
<thead>${line(heading, "th")}</thead>
<tbody>
${rows.map((row) => line(row, "td")).join("\n")}
</tbody>
<tfoot>${line(total, "td")}</tfoot>
</table>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function count(amount: number): string {
  return amount.toLocaleString("en-US");
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

const STYLE = `
body { font: 14px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #1a1a1a; background: #fff; }
h1, h2 { line-height: 1.2; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.3em 0.6em; border-bottom: 1px solid #ccc; }
tfoot td { font-weight: 600; border-bottom: 0; border-top: 2px solid #1a1a1a; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
section { margin-top: 3em; }
@media print {
  body { margin: 0; max-width: none; font-size: 11px; }
  section { break-before: page; margin-top: 0; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; }
}
`;
