import { formatAmount, formatDollars, PurserError } from "@purser/core";
import type { CallReport, KnownAnswerJson } from "../../admin/call-report.ts";
import { readConfig } from "../../config/read-config.ts";
import { DIALECTS, type DialectName, dialectsOf, FAMILY_NAMES, type FamilyName } from "../../providers/provider.ts";
import { type FailoverTarget, routeModel } from "../../providers/routing.ts";
import { ACCESS_HELP, ACCESS_OPTIONS, openAdminAccess } from "../admin-access.ts";
import type { Command, CommandContext, CommandInput, CommandResult } from "../command.ts";
import { lookedAt } from "../demo-folder.ts";
import { shortInstant } from "../instants.ts";
import type { Style } from "../style.ts";
import { table } from "../table.ts";
import { UsageError } from "./outcome.ts";

export const explain: Command = {
  name: "explain",
  summary: "why a call was allowed or refused, and what it cost",
  usage: "ID | --model NAME",
  help: [
    "  ID              the call: the answer's x-purser-request-id, `last`, or `refused` for the last refusal",
    "  --model NAME    instead: which provider calls to this model go to, and why",
    ACCESS_HELP,
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, model: { type: "string" } },
  wordsMost: 1,
  async run(input, context) {
    const [id] = input.positionals;
    if (typeof input.options.model === "string") return explainRoute(input.options.model, input, context);
    if (id === undefined) throw new UsageError("Say which call: purser explain req_… (or: purser explain last)");
    const access = await openAdminAccess(input, context, { books: "if reachable" });
    try {
      const report = (await access.ask("GET", `/api/requests/${encodeURIComponent(await idOf(id, access.ask))}`)) as CallReport;
      return { exit: 0, text: reportText(report, context.style), json: report };
    } finally {
      await access.close();
    }
  },
};

async function idOf(id: string, ask: (method: "GET", target: string) => Promise<unknown>): Promise<string> {
  if (id !== "last" && id !== "refused") return id;
  const { data } = (await ask("GET", "/api/requests?limit=100")) as { data: readonly { id: string; outcome: string }[] };
  const found = data.find(({ outcome }) => id === "last" || outcome === "denied");
  if (!found)
    throw new PurserError("reservation_unknown", id === "last" ? "No call has been made yet." : "None of the last 100 calls was refused.");
  return found.id;
}

function explainRoute(model: string, { options }: CommandInput, { env, cwd }: CommandContext): CommandResult {
  const flags = { data: options.data as string | undefined };
  const config = lookedAt(readConfig({ file: options.config as string | undefined, environment: env, cwd, flags }));
  const routes = DIALECTS.map((dialect: DialectName) => {
    const route = routeModel(model, dialect, config);
    if ("unknown" in route) return { dialect, provider: null, why: route.unknown };
    const providers = (route.failover?.targets ?? [{ dialect, route }]).map(targetJson);
    return { dialect, provider: providers[0]?.provider ?? null, model: route.model, why: route.why, providers };
  });
  const text = table(
    ["Format", "Provider", "Why"],
    FAMILY_NAMES.flatMap((family) => routeRows(family, routes)),
  );
  return { exit: routes.some(({ provider }) => provider !== null) ? 0 : 1, text, json: { model, routes } };
}

/** Where a call goes, or goes on to: the provider, what the model is called there, and in which format it is asked. */
function targetJson({ dialect, route: { provider, sentAs } }: FailoverTarget) {
  return { provider: provider.name, sent_as: sentAs, dialect };
}

interface ExplainedRoute {
  readonly dialect: DialectName;
  readonly provider: string | null;
  readonly why: string;
  /** All of them, in their order. */
  readonly providers?: readonly ReturnType<typeof targetJson>[];
}

/** The routes of one maker's formats: one row where all lead to the same place for the same reason. Reasons name the format. */
function routeRows(family: FamilyName, routes: readonly ExplainedRoute[]): readonly (readonly string[])[] {
  const own = routes.filter(({ dialect }) => dialectsOf(family).includes(dialect));
  const reasons = new Set(own.map((one) => `${placesOf(one)} ${one.why.replaceAll(one.dialect, "")}`));
  const rows = own.map((one) => [one.dialect, placesOf(one), one.why]);
  return reasons.size > 1 ? rows : rows.slice(0, 1).map(([, ...rest]) => [family, ...rest]);
}

/** `anthropic, then azure (as openai-chat)` */
function placesOf({ dialect, providers = [] }: ExplainedRoute): string {
  if (providers.length === 0) return "none";
  return providers.map((one) => (one.dialect === dialect ? one.provider : `${one.provider} (as ${one.dialect})`)).join(", then ");
}

/** A call for people: the decision first, then what it rests on. */
function reportText(report: CallReport, style: Style): string {
  const sections: readonly (readonly [title: string, body: string])[] = [
    ["", headline(report, style)],
    ["", factsText(report)],
    ["Attempts", attemptsText(report)],
    ["Budgets", balancesText(report)],
    ["Adjusted limits", adjustedText(report)],
    ["Arithmetic", arithmeticText(report)],
    ["Ledger", entriesText(report)],
  ];
  return sections
    .filter(([, body]) => body !== "")
    .map(([title, body]) => (title === "" ? body : `${style.bold(title)}\n${indented(body)}`))
    .join("\n\n");
}

function headline(report: CallReport, style: Style): string {
  const { id, outcome, cost_nanodollars, usage, message, reason, rungs, entries, certainty } = report;
  const cost = cost_nanodollars === null ? "no known price" : formatDollars(cost_nanodollars);
  if (outcome === "ready text")
    return `${style.yellow(`${id} got a ready text in the place of an answer`)}: ${rungs.at(-1)} (${reason}). ${message}`;
  if (outcome === "known answer") return knownText(report, style);
  if (outcome === "denied") return `${style.red(`${id} was refused`)} (${reason}). ${message}`;
  if (outcome === "in flight")
    return `${style.yellow(`${id} is in flight`)}: what it can cost at most is held, and nothing is charged yet.`;
  if (outcome === "released")
    return `${style.green(`${id} was allowed and charged nothing`)}: ${entries.find(({ why }) => why !== undefined)?.why ?? "its hold was returned"}.`;
  if (outcome === "expired") return `${style.yellow(`${id} was allowed; its end is unknown`)}, so its estimate is charged: ${cost}.`;
  const tokens = `${tokensOf(usage, "input_tokens")} in, ${tokensOf(usage, "output_tokens")} out`;
  const by =
    certainty === "confirmed"
      ? "as the provider counted"
      : certainty === "estimated"
        ? "as Purser counted, because the provider did not say"
        : "at its estimate, because its end is unknown";
  return `${style.green(`${id} was allowed and charged ${cost}`)}: ${tokens}, ${by}.`;
}

/** `company: $60.00 / day, and the file says $50.00. From $50.00 to $60.00: it refused 3 calls on 2 days.` */
function adjustedText({ adjusted }: CallReport): string {
  return adjusted
    .map(
      ({ budget, amount, unit, window, configured, why }) =>
        `${budget}: ${formatAmount(amount, unit)} / ${window}, and the file says ${formatAmount(configured, unit)}. ${why}`,
    )
    .join("\n");
}

/** Which rung gave the answer, from which call or list it is, how near that is, and what it saved. */
function knownText({ id, known_answer, saved_nanodollars: saved }: CallReport, style: Style): string {
  const { rung, from, entry, handover, nearness, times } = known_answer as KnownAnswerJson;
  const source = from === null ? `${entry} of the configuration` : from;
  const near = nearness === null ? "the same as" : `${Math.round(nearness * 100)}% like`;
  const alike = handover === null ? `Its question is ${near} that of ${source}.` : `A person goes on with its conversation: ${handover}.`;
  const cost = saved === null ? (from === null ? "" : " What that one cost is not known.") : ` That saved ${formatDollars(saved)}.`;
  const others = times > 1 ? ` Its entry stands for ${times.toLocaleString("en-US")} calls within a second.` : "";
  return `${style.green(`${id} got an answer that was known, and was charged nothing`)}: ${rung}. ${alike}${cost}${others}`;
}

function tokensOf(usage: CallReport["usage"], kind: string): string {
  const tokens = usage?.[kind];
  return typeof tokens === "number" ? `${tokens.toLocaleString("en-US")} tokens` : "an unknown number of tokens";
}

function factsText(report: CallReport): string {
  const { at, outcome, model, provider, subject, estimate, would_refuse, rungs, tried, allowance, cost_center, owner } = report;
  const { tags = {}, provider: _provider, model: _model, ...own } = subject;
  const who = [...Object.entries(own), ...Object.entries(tags).map(([name, value]) => [`tag.${name}`, value])].map(
    ([name, value]) => `${name}=${value}`,
  );
  const input = `${estimate.input_tokens.toLocaleString("en-US")} tokens in (${estimate.counted ? "counted" : isUnasked(outcome) ? "a bound by its size" : "a bound by its size, which was enough to decide"})`;
  const most = estimate.cost_nanodollars === null ? "" : `, ${formatDollars(estimate.cost_nanodollars)}`;
  const facts: readonly (readonly [string, string])[] = [
    ["When", `${shortInstant(at)} UTC`],
    ["Model", `${model ?? "unknown"} at ${provider ?? "unknown"}`],
    ["Charged to", who.join(" ") || "nobody in particular"],
    ...(cost_center === null ? [] : [["Cost centre", cost_center] as const]),
    ...(owner === null ? [] : [["Owner", owner] as const]),
    ["At most", `${input}, ${estimate.output_tokens.toLocaleString("en-US")} tokens out${most}`],
    ...(allowance === null ? [] : [["Free", `by the allowance "${allowance}"`] as const]),
    ...(rungs.length > 0 ? [["Ladder", `${rungs.join(", ")}${insteadText(report)}`] as const] : []),
    ...savedFacts(report),
    ...(tried.length > 0 ? [["Before", tried.join("; ")] as const] : []),
    ...(would_refuse.length > 0 ? [["Would refuse", `${would_refuse.join(", ")} (they only observe)`] as const] : []),
  ];
  return facts.map(([name, text]) => `${name.padEnd(12)}  ${text}`).join("\n");
}

/** What a request held and cost, attempt by attempt; its parts are added up where all of them are known. */
function attemptsText({ attempts }: CallReport): string {
  if (attempts.length === 0) return "";
  const money = (amount: number | null) => (amount === null ? "" : formatDollars(amount));
  const rows = attempts.map(({ id, provider, outcome, certainty, end, held_nanodollars, cost_nanodollars }) => [
    id,
    provider ?? "unknown",
    end ?? (outcome !== "settled" ? outcome : certainty === "unconfirmed" ? "its end is unknown" : "answered"),
    money(held_nanodollars),
    outcome === "released" ? formatDollars(0) : `${money(cost_nanodollars)}${certainty === "unconfirmed" ? " unconfirmed" : ""}`,
  ]);
  const sum = attempts.reduce((total, { cost_nanodollars }) => total + (cost_nanodollars ?? 0), 0);
  return table(["Attempt", "Provider", "How it ended", "Held", "Charged"], [...rows, ["together", "", "", "", formatDollars(sum)]], [3, 4]);
}

/** Whether no provider was asked. */
function isUnasked(outcome: CallReport["outcome"]): boolean {
  return outcome === "denied" || outcome === "ready text" || outcome === "known answer";
}

function insteadText({ instead_of }: CallReport): string {
  return instead_of === null ? "" : `; instead of ${instead_of.model} at ${instead_of.provider}`;
}

/** What each rung saved of a call, as far as that is known. */
function savedFacts({ savings, known_answer }: CallReport): readonly (readonly [string, string])[] {
  if (savings.length === 0 || known_answer !== null) return [];
  const texts = savings.map(({ budget, rung, left_out_tokens, saved_nanodollars: saved }) => {
    const isCut = left_out_tokens > 0;
    const tokens = isCut ? `, which left ${left_out_tokens.toLocaleString("en-US")} tokens out` : "";
    return `${saved === null ? "not known" : `${isCut ? "about " : ""}${formatDollars(saved)}`} by ${rung} (${budget})${tokens}`;
  });
  return [["Saved", texts.join("; ")]];
}

function balancesText({ balances, outcome }: CallReport): string {
  if (balances.length === 0)
    return isUnasked(outcome) ? "A call that is not made holds nothing and is charged nothing." : "No budget applies to this call.";
  const rows = balances.map(({ budget, subject, unit, weights, window, held, spent }) => [
    budget,
    subject,
    window,
    formatAmount(held, unit, weights),
    unit === "concurrent" ? "" : formatAmount(spent, unit, weights),
  ]);
  return table(["Budget", "For", "Window", "Held", "Charged"], rows, [3, 4]);
}

function arithmeticText({ arithmetic, cost_nanodollars, price }: CallReport): string {
  if (cost_nanodollars === null) return "";
  if (!arithmetic) return price === null ? "" : `${formatDollars(cost_nanodollars)} by the price of ${price}.`;
  const rows = arithmetic.map(({ kind, tokens, picodollars_per_token }) => [
    `${tokens.toLocaleString("en-US")} ${kind}`,
    `× ${perMillion(picodollars_per_token)} per million`,
    `= ${exactDollars(tokens * picodollars_per_token)}`,
  ]);
  const total = ["", "together, rounded up once", `= ${formatDollars(cost_nanodollars)}`];
  return `${table(["Tokens", "Price", "Cost"], [...rows, total])}\nThe price is from ${price}.`;
}

function perMillion(picodollars: number): string {
  return formatDollars(picodollars * 1000);
}

/** Pico-dollars, exactly: a term may have a fraction of a nano-dollar, which only the sum is rounded for. */
function exactDollars(picodollars: number): string {
  const rest = picodollars % 1000;
  const whole = formatDollars((picodollars - rest) / 1000);
  if (rest === 0) return whole;
  const decimals = (whole.split(".")[1] ?? "").padEnd(9, "0");
  return `${whole.split(".")[0]}.${decimals}${String(rest).padStart(3, "0").replace(/0+$/, "")}`;
}

function entriesText({ entries }: CallReport): string {
  const rows = entries.flatMap(({ seq, at, kind, postings, why }) => {
    const first = [`#${seq}`, `${at.slice(11, 23)}`, why === undefined ? kind : `${kind} (${why})`];
    if (postings.length === 0) return [[...first, "", "", ""]];
    return postings.map(({ budget, subject, unit, held, spent }, i) => [
      ...(i === 0 ? first : ["", "", ""]),
      subject === "" ? budget : `${budget} (${subject})`,
      changeText(held, unit),
      changeText(spent, unit),
    ]);
  });
  return table(["Entry", "Time", "What", "Balance", "Held", "Spent"], rows, [4, 5]);
}

function changeText(amount: number, unit: Parameters<typeof formatAmount>[1]): string {
  if (amount === 0) return "";
  return `${amount > 0 ? "+" : "-"}${formatAmount(Math.abs(amount), unit)}`;
}

function indented(text: string): string {
  return text.replace(/^/gm, "  ");
}
