import type { AdjustmentJson } from "../../gateway/src/admin/adjustment-json.ts";
import type { AlertJson } from "../../gateway/src/admin/alert-json.ts";
import type { AskJson } from "../../gateway/src/admin/ask-json.ts";
import type { AllowanceJson, BalanceJson } from "../../gateway/src/admin/balances.ts";
import type { BudgetChangeJson, BudgetTrialJson, WrittenBudgetJson } from "../../gateway/src/admin/budget-json.ts";
import type { BudgetJson, HistoryJson } from "../../gateway/src/admin/budget-tree.ts";
import type { CallListJson } from "../../gateway/src/admin/call-list.ts";
import type { CallReport } from "../../gateway/src/admin/call-report.ts";
import type { ChannelJson, DeliveryJson } from "../../gateway/src/admin/channel-json.ts";
import type { GrantJson } from "../../gateway/src/admin/grant-json.ts";
import type { GuardJson } from "../../gateway/src/admin/guard-json.ts";
import type { HandoverJson, HandoverListJson, WholeHandoverJson } from "../../gateway/src/admin/handover-json.ts";
import type { KeyJson } from "../../gateway/src/admin/key-json.ts";
import type { MinutesBy, MinutesJson } from "../../gateway/src/admin/minutes.ts";
import type { OverviewJson } from "../../gateway/src/admin/overview.ts";
import type { PersonJson } from "../../gateway/src/admin/person-json.ts";
import type { PriceListJson } from "../../gateway/src/admin/price-list.ts";
import type { ReportJson } from "../../gateway/src/admin/report.ts";
import type { SavedJson } from "../../gateway/src/admin/reports/saved.ts";
import type { SettingsJson } from "../../gateway/src/admin/settings.ts";
import type { SwitchJson } from "../../gateway/src/admin/switch-json.ts";
import type { WhatIfJson } from "../../gateway/src/admin/what-if.ts";
import type { AuditLine } from "../../gateway/src/audit-log/chain.ts";
import type { SessionJson } from "../../gateway/src/screen/sign-in.ts";

/** An answer that says no, with what to do about it. */
export class Refused extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

/** Sent with whatever changes something; from the session, which pages of other sites cannot read. */
let csrf: string | null = null;

async function ask<Answer>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        accept: "application/json",
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(method !== "GET" && csrf !== null && { "x-purser-csrf": csrf }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch {
    throw new Refused(0, "The gateway does not answer. Is it running?");
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw new Refused(response.status, detailOf(answer) ?? `The gateway answered ${response.status}.`);
  return answer as Answer;
}

/** Problems say it in `detail`, refusals in the format of a dialect in `error.message`. */
function detailOf(answer: unknown): string | undefined {
  const { detail, error } = (answer ?? {}) as { detail?: unknown; error?: { message?: unknown } };
  if (typeof detail === "string") return detail;
  return typeof error?.message === "string" ? error.message : undefined;
}

interface List<Row> {
  readonly data: readonly Row[];
}

const data = <Row>({ data: rows }: List<Row>) => rows;
const part = encodeURIComponent;

async function session(method: string, body?: unknown): Promise<SessionJson> {
  const answer = await ask<SessionJson>(method, "/session", body);
  csrf = answer.csrf;
  return answer;
}

/** Everything that the screen asks the gateway. */
export const api = {
  session: () => session("GET"),
  signIn: (shown: { token: string } | { name: string; password: string }) => session("POST", shown),
  changePassword: (body: { current: string; next: string }) => session("PUT", body),
  signOut: () => session("DELETE"),
  overview: () => ask<OverviewJson>("GET", "/api/overview"),
  minutes: (by: MinutesBy) => ask<MinutesJson>("GET", `/api/minutes?by=${by}`),
  allowances: () => ask<List<AllowanceJson>>("GET", "/api/allowances").then(data),
  adjustments: () => ask<List<AdjustmentJson>>("GET", "/api/adjustments").then(data),
  budgets: () => ask<List<BudgetJson>>("GET", "/api/budget-tree").then(data),
  balances: (budget: string) => ask<List<BalanceJson>>("GET", `/api/budgets?budget=${part(budget)}&most=200`).then(data),
  history: (budget: string, days: number) => ask<List<HistoryJson>>("GET", `/api/budgets/${part(budget)}/history?days=${days}`).then(data),
  whatIf: (budget: string, limit: string, days: number) =>
    ask<WhatIfJson>("GET", `/api/budgets/${part(budget)}/what-if?limit=${part(limit)}&days=${days}`),
  writtenBudget: (budget: string) => ask<WrittenBudgetJson>("GET", `/api/budgets/${part(budget)}`),
  tryBudget: (budget: string | undefined, item: object) =>
    budget === undefined
      ? ask<BudgetTrialJson>("POST", "/api/budgets?dry_run=true", { budget: item })
      : ask<BudgetTrialJson>("PUT", `/api/budgets/${part(budget)}?dry_run=true`, { budget: item }),
  tryRemoval: (budget: string) => ask<BudgetTrialJson>("DELETE", `/api/budgets/${part(budget)}?dry_run=true`),
  createBudget: (body: object) => ask<BudgetChangeJson>("POST", "/api/budgets", body),
  replaceBudget: (budget: string, body: object) => ask<BudgetChangeJson>("PUT", `/api/budgets/${part(budget)}`, body),
  removeBudget: (budget: string, body: object) => ask("DELETE", `/api/budgets/${part(budget)}`, body),
  changeLimit: (budget: string, body: object) => ask("POST", `/api/budgets/${part(budget)}/limit`, body),
  reset: (budget: string, body: object) => ask("POST", `/api/budgets/${part(budget)}/reset`, body),
  grants: (budget: string) => ask<List<GrantJson>>("GET", `/api/grants?budget=${part(budget)}`).then(data),
  grant: (body: object, key: string) => ask<GrantJson>("POST", "/api/grants", body, { "idempotency-key": key }),
  revokeGrant: (id: string) => ask("DELETE", `/api/grants/${part(id)}`, { why: "revoked in the dashboard" }),
  calls: (query: string) => ask<CallListJson>("GET", `/api/requests?${query}`),
  call: (id: string) => ask<CallReport>("GET", `/api/requests/${part(id)}`),
  report: (query: string) => ask<ReportJson>("GET", `/api/report?${query}`),
  savings: (query: string) => ask<SavedJson>("GET", `/api/savings?${query}`),
  keys: () => ask<List<KeyJson>>("GET", "/api/keys").then(data),
  keyNames: () => ask<List<{ id: string; name: string; revoked: boolean }>>("GET", "/api/key-names").then(data),
  createKey: (body: object) => ask<KeyJson & { secret: string }>("POST", "/api/keys", body),
  revokeKey: (id: string) => ask("DELETE", `/api/keys/${part(id)}`),
  people: () => ask<List<PersonJson>>("GET", "/api/people").then(data),
  createPerson: (body: object) => ask<PersonJson & { password: string }>("POST", "/api/people", body),
  resetPassword: (name: string) => ask<PersonJson & { password: string }>("POST", `/api/people/${part(name)}/password`, {}),
  removePerson: (name: string) => ask("DELETE", `/api/people/${part(name)}`),
  switches: () => ask<List<SwitchJson>>("GET", "/api/switches").then(data),
  switchOff: (body: object) => ask<SwitchJson>("POST", "/api/switches", body),
  switchOn: (id: string, why: string) => ask("DELETE", `/api/switches/${part(id)}?why=${part(why)}`),
  guards: () => ask<List<GuardJson>>("GET", "/api/guards").then(data),
  endGuard: (id: string) => ask<GuardJson>("DELETE", `/api/guards/${part(id)}`),
  alerts: () => ask<List<AlertJson>>("GET", "/api/alerts?limit=50").then(data),
  acknowledge: (id: string) => ask<AlertJson>("POST", `/api/alerts/${part(id)}/acknowledge`, {}),
  snooze: (id: string, time: string) => ask<AlertJson>("POST", `/api/alerts/${part(id)}/snooze`, { for: time }),
  channels: () => ask<List<ChannelJson>>("GET", "/api/channels").then(data),
  testChannel: (name: string) => ask<DeliveryJson>("POST", `/api/channels/${part(name)}/test`),
  deliveries: () => ask<List<DeliveryJson>>("GET", "/api/deliveries").then(data),
  asks: () => ask<List<AskJson>>("GET", "/api/asks").then(data),
  answerAsk: (id: string, answer: "give" | "decline") => ask("POST", `/api/asks/${part(id)}`, { answer }),
  handovers: (isAll: boolean) => ask<HandoverListJson>("GET", `/api/handovers${isAll ? "?all=true" : ""}`),
  handover: (id: string) => ask<WholeHandoverJson>("GET", `/api/handovers/${part(id)}`),
  takeHandover: (id: string, body: object) => ask<HandoverJson>("POST", `/api/handovers/${part(id)}/take`, body),
  answerHandover: (id: string, body: object) => ask<HandoverJson>("POST", `/api/handovers/${part(id)}/answer`, body),
  returnHandover: (id: string, body: object) => ask<HandoverJson>("POST", `/api/handovers/${part(id)}/return`, body),
  prices: () => ask<PriceListJson>("GET", "/api/prices"),
  settings: () => ask<SettingsJson>("GET", "/api/settings"),
  deeds: (query: string) => ask<List<AuditLine> & { readonly has_more: boolean }>("GET", `/api/audit?${query}`),
  myBudget: () => ask<List<BalanceJson>>("GET", "/budget").then(data),
};
