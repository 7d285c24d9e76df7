import { parseDuration } from "@purser/core";
import { type Channel, mailAddress, PAGERDUTY_URL } from "../alerts/channel.ts";
import type { Hours } from "../alerts/hours.ts";
import { isWebhookSecret } from "../alerts/webhook.ts";
import type { ChannelFields } from "./description.ts";
import type { Located } from "./field.ts";
import { suggestion } from "./nearest-name.ts";
import type { Place } from "./source.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** Which fields each kind of channel has: those that it needs, and those that it may have. */
const FIELDS = {
  webhook: { needs: ["url"], may: ["secret", "escalate", "quiet", "digest"] },
  slack: { needs: ["url"], may: ["escalate", "quiet", "digest"] },
  teams: { needs: ["url"], may: ["escalate", "quiet", "digest"] },
  // Incidents are each for itself, and who is woken when is for PagerDuty to know.
  pagerduty: { needs: ["routing_key"], may: ["url", "escalate"] },
  email: { needs: ["server", "from"], may: ["to", "escalate", "quiet", "digest"] },
} as const;

/** Puts the channels together, and notes what is missing or stands in the wrong place. */
export function configuredChannels(entries: ReadonlyMap<string, Located<ChannelFields>>): readonly Channel[] {
  const channels = [...entries].flatMap(([name, { value, place }]) => {
    const channel = configuredChannel(name, value, place);
    return channel ? [{ ...channel, ...hoursOf(value, place), ...escalationOf(name, value, place, entries) }] : [];
  });
  for (const { name } of channels) {
    if (circle(name, channels))
      entries.get(name)?.place.field("escalate").problem("goes round in a circle. Let the last channel escalate to nobody.");
  }
  return channels;
}

function escalationOf(
  name: string,
  { escalate }: ChannelFields,
  place: Place,
  entries: ReadonlyMap<string, Located<ChannelFields>>,
): Pick<Channel, "escalate"> | undefined {
  if (escalate === undefined) return undefined;
  const at = place.field("escalate");
  const [, to, time = ""] = /^(\S+)\s+after\s+(\S+)$/.exec(escalate.trim()) ?? [];
  const afterMs = parseDuration(time) ?? 0;
  if (to === undefined || afterMs < MINUTE_MS || afterMs > DAY_MS)
    return at.problem(`"${escalate}" does not say whom, and after what time from 1m to 1d. Write it like oncall after 15m.`);
  if (!entries.has(to)) return at.problem(`no channel "${to}" is configured.${suggestion(to, [...entries.keys()])}`);
  if (to === name) return at.problem("tells the same channel again. Name another one.");
  return { escalate: { to, afterMs } };
}

/** Whether escalations from a channel come back to it. */
function circle(name: string, channels: readonly Channel[]): boolean {
  let to = channels.find((one) => one.name === name)?.escalate?.to;
  for (let steps = 0; to !== undefined && steps < channels.length; steps++) {
    if (to === name) return true;
    const next: string = to;
    to = channels.find((one) => one.name === next)?.escalate?.to;
  }
  return false;
}

function hoursOf({ quiet, digest }: ChannelFields, place: Place): Hours {
  const [, from, to] = /^(\S+?)\s*-\s*(\S+)$/.exec(quiet?.trim() ?? "") ?? [];
  const [start, end, at] = [from, to, digest].map((text) => minuteOf(text ?? ""));
  if (quiet !== undefined && (start === undefined || end === undefined || start === end))
    place.field("quiet").problem(`"${quiet}" is no time of the night. Write it like 22:00-07:00.`);
  if (digest !== undefined && at === undefined) place.field("digest").problem(`"${digest}" is no time of the day. Write it like 09:00.`);
  return {
    ...(start !== undefined && end !== undefined && { quiet: { from: start, to: end } }),
    ...(at !== undefined && { digest: at }),
  };
}

function minuteOf(text: string): number | undefined {
  const [, hours, minutes] = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text.trim()) ?? [];
  return hours === undefined ? undefined : Number(hours) * 60 + Number(minutes);
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
