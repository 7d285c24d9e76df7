import type { Hours } from "./hours.ts";

/** Where people are told. Addresses and keys in it are secrets. */
export type Channel = { readonly name: string; readonly escalate?: Escalation } & Hours &
  (
    | { readonly kind: "webhook"; readonly url: string; readonly secret: string | undefined }
    | { readonly kind: "slack" | "teams"; readonly url: string }
    | { readonly kind: "pagerduty"; readonly url: string; readonly routingKey: string }
    /** Without `to`, the owner of the budget is written to. */
    | { readonly kind: "email"; readonly server: string; readonly from: string; readonly to: readonly string[] | undefined }
  );

/** Whom else is told where nobody acknowledges within a time. */
export interface Escalation {
  readonly to: string;
  readonly afterMs: number;
}

export const CHANNEL_KINDS = ["webhook", "slack", "teams", "pagerduty", "email"] as const satisfies readonly Channel["kind"][];

export const PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue";

/** The address in `Ann <ann@example.com>`, or in nothing but it. */
export function mailAddress(text: string | undefined): string | undefined {
  const address = /<([^<>]+)>\s*$/.exec(text ?? "")?.[1] ?? text?.trim();
  return address !== undefined && /^[^\s@<>,;]+@[^\s@<>,;]+$/.test(address) ? address : undefined;
}

/** What must not stand in a message about a channel. */
export function secretsOf(channel: Channel): readonly string[] {
  if (channel.kind === "email") {
    const url = URL.canParse(channel.server) ? new URL(channel.server) : undefined;
    return [channel.server, url?.password ?? "", decoded(url?.password ?? ""), decoded(url?.username ?? "")].filter((one) => one !== "");
  }
  const { pathname, search } = new URL(channel.url);
  const path = pathname.length > 1 ? [pathname + search, pathname] : [];
  const keys = channel.kind === "pagerduty" ? [channel.routingKey] : channel.kind === "webhook" && channel.secret ? [channel.secret] : [];
  return [channel.url, ...path, ...keys];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
