import { type Channel, mailAddress, PAGERDUTY_URL } from "../alerts/channel.ts";
import { isWebhookSecret } from "../alerts/webhook.ts";
import type { ChannelFields } from "./description.ts";
import type { Located } from "./field.ts";
import type { Place } from "./source.ts";

/** Which fields each kind of channel has: those that it needs, and those that it may have. */
const FIELDS = {
  webhook: { needs: ["url"], may: ["secret"] },
  slack: { needs: ["url"], may: [] },
  teams: { needs: ["url"], may: [] },
  pagerduty: { needs: ["routing_key"], may: ["url"] },
  email: { needs: ["server", "from"], may: ["to"] },
} as const;

/** Puts the channels together, and notes what is missing or stands in the wrong place. */
export function configuredChannels(entries: ReadonlyMap<string, Located<ChannelFields>>): readonly Channel[] {
  return [...entries].flatMap(([name, { value, place }]) => configuredChannel(name, value, place) ?? []);
}

function configuredChannel(name: string, value: ChannelFields, place: Place): Channel | undefined {
  const { kind } = value;
  if (!kind) return undefined;
  const { needs, may } = FIELDS[kind];
  const given = (place.entries() ?? []).map(({ key }) => key);
  for (const field of given)
    if (field !== "kind" && ![...needs, ...may].some((one) => one === field))
      place.field(field).problem(`belongs to another kind of channel. A ${kind} has ${[...needs, ...may].join(", ")}.`);
  for (const field of needs) if (!given.includes(field)) place.problem(`${field} is missing: a ${kind} needs ${needs.join(" and ")}.`);
  // Of a secret whose variable is not set, it has been said that nobody is told.
  if (needs.some((field) => value[field] === undefined)) return undefined;
  if (kind === "email") return emailChannel(name, value, place);
  const url = value.url ?? PAGERDUTY_URL;
  if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : ""))
    return place.field("url").problem("is not a URL that begins with https://.");
  if (kind === "pagerduty") return { name, kind, url, routingKey: value.routing_key ?? "" };
  if (kind !== "webhook") return { name, kind, url };
  const { secret } = value;
  if (secret !== undefined && !isWebhookSecret(secret))
    return place.field("secret").problem('is not one of Standard Webhooks: "whsec_" and 24 to 64 random bytes in base64.');
  return { name, kind, url, secret };
}

function emailChannel(name: string, { server = "", from = "", to }: ChannelFields, place: Place): Channel | undefined {
  if (!/^smtps?:$/.test(URL.canParse(server) ? new URL(server).protocol : ""))
    return place
      .field("server")
      .problem("is not a mail server. Write it like smtps://user:password@mail.example.com, or smtp:// for STARTTLS.");
  const wrong = [from, ...(to ?? [])].find((address) => mailAddress(address) === undefined);
  if (wrong !== undefined) return place.problem(`"${wrong}" is not an e-mail address. Write one like Purser <purser@example.com>.`);
  return { name, kind: "email", server, from, to };
}
