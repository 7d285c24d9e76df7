import { hash, randomBytes } from "node:crypto";
import { PurserError } from "@purser/core";
import type { RedisClient } from "@purser/core/stores/redis";
import {
  type Alert,
  type AlertAnswer,
  type AlertBook,
  type Claim,
  type ClaimOutcome,
  type Delivery,
  type Incident,
  incidentOf,
  LEASE_MS,
  type Taken,
  TRY_MOST_MS,
  type Tried,
  type Unseen,
} from "./alert-book.ts";
import { isAlert, type Notice } from "./notice.ts";
import { ALERTS, ANSWER, BEAT, CLAIM, END, RECORD, TAKE, TRIED } from "./redis-scripts.ts";

export interface RedisBookOptions {
  /** Connects, when it is needed first: who tells nobody needs no connection. */
  readonly connect: () => Promise<RedisClient & { disconnect(): void }>;
  /** Gateways with the same namespace on the same Redis share a book. */
  readonly namespace: string;
  /** Epoch milliseconds, for tests. The clock of the Redis server where it is left out, so that the clocks of gateways do not matter. */
  readonly now?: () => number;
}

/** An incident as it is written in Redis, and from when on it is looked at here. */
interface Known {
  readonly incident: Incident;
  readonly text: string;
  readonly from: number;
}

/** A balance that was read before another gateway opened an incident does not end it: what is on its way has arrived by then. */
const SETTLED_AFTER_MS = 3_000;

/** The book of all gateways that share a Redis or Valkey: each verb is one script, so of many that see the same one tells it. */
export class RedisBook implements AlertBook {
  readonly #options: RedisBookOptions;
  readonly #prefix: string;
  readonly #incidentsKey: string;
  readonly #versionKey: string;
  readonly #deliveriesKey: string;
  readonly #gatewaysKey: string;
  readonly #alertsKey: string;
  readonly #snoozedKey: string;
  readonly #instance = randomBytes(6).toString("base64url");
  #takings = 0;
  #unseen: Unseen | undefined;
  #client: Promise<RedisClient & { disconnect(): void }> | undefined;
  #known = new Map<string, Known>();
  #version: unknown;
  #incidents = new Map<string, Incident>();
  /** How tries ended that could not be written down yet. */
  readonly #owed = new Map<string, () => Promise<unknown>>();
  #paying: Promise<void> | undefined;

  constructor(options: RedisBookOptions) {
    this.#options = options;
    // Between braces, so that a cluster keeps all of it in one slot.
    this.#prefix = `{${options.namespace}}:alerts:`;
    this.#incidentsKey = `${this.#prefix}incidents`;
    this.#versionKey = `${this.#prefix}incidents-version`;
    this.#gatewaysKey = `${this.#prefix}gateways`;
    this.#alertsKey = `${this.#prefix}alerts`;
    this.#snoozedKey = `${this.#prefix}snoozed`;
    this.#deliveriesKey = `${this.#prefix}deliveries`;
  }

  get incidents(): ReadonlyMap<string, Incident> {
    return this.#incidents;
  }

  async claim({ keys, until, channel, notice, incident }: Claim): Promise<ClaimOutcome> {
    const claims = keys.map((key) => `${this.#prefix}claim:${hash("sha256", key, "base64url")}`);
    const opened = incident ? [incidentOf(incident), JSON.stringify(incident)] : ["", ""];
    const endsAt = until >= Number.MAX_SAFE_INTEGER ? "" : String(Math.ceil(until));
    const id = notice?.id ?? "";
    const told = notice ? [id, JSON.stringify(notice)] : ["", ""];
    const alertOf = notice && isAlert(notice) && notice.repeats === undefined ? channel : "";
    const outcome = await this.#run(
      CLAIM,
      [this.#line(channel), this.#waiting(channel, id), this.#incidentsKey, this.#versionKey, this.#alert(id), this.#alertsKey, ...claims],
      [endsAt, ...told, ...opened, alertOf],
    );
    if (outcome === "claimed" && incident) this.#know(incident, opened[1] ?? "", 0);
    return outcome as ClaimOutcome;
  }

  async take(channel: string, most: number): Promise<readonly Taken[]> {
    // What was delivered and could not be written down is not taken again.
    await this.#payOwed();
    const beginBy = performance.now() + LEASE_MS - TRY_MOST_MS;
    const name = `${this.#instance}:${++this.#takings}`;
    const answer = (await this.#run(
      TAKE,
      [this.#line(channel), this.#snoozedKey],
      [String(most), this.#waiting(channel, ""), this.#alert(""), this.#instance, name],
    )) as readonly string[];
    const [lease = "", ...rest] = answer;
    const leaseUntil = Number(lease);
    const taken: Taken[] = [];
    for (let i = 0; i < rest.length; i += 3) {
      const [attempts = "", text = "", doubt = ""] = rest.slice(i, i + 3);
      const notice = JSON.parse(text) as Notice;
      taken.push({ notice, channel, attempts: Number(attempts), leaseUntil, beginBy, ...(doubt !== "" && { doubt }) });
    }
    return taken;
  }

  async tried(all: readonly Tried[]): Promise<void> {
    const [{ taken } = { taken: undefined }] = all;
    if (!taken) return;
    const waiting = all.map(({ delivery: { channel, notice } }) => this.#waiting(channel, notice));
    const args = all.flatMap(({ delivery, pauseMs, isInDoubt }) => [
      delivery.notice,
      JSON.stringify(delivery),
      delivery.error === undefined ? "delivered" : delivery.isLast ? "given up" : isInDoubt ? "in doubt" : "failed",
      String(pauseMs),
    ]);
    const keys = [this.#line(taken.channel), this.#deliveriesKey, ...waiting];
    const write = () => this.#run(TRIED, keys, [String(taken.leaseUntil), ...args]);
    try {
      await write();
    } catch (error) {
      this.#owed.set(waiting.join(" "), write);
      throw error;
    }
  }

  async record(delivery: Delivery): Promise<void> {
    await this.#run(RECORD, [this.#deliveriesKey], [JSON.stringify(delivery)]);
  }

  async end(incident: Incident, over: Notice): Promise<boolean> {
    const id = incidentOf(incident);
    const known = this.#known.get(id);
    this.#forget(id);
    if (!known) return false;
    const { channel } = incident;
    try {
      const ended = await this.#run(
        END,
        [this.#line(channel), this.#waiting(channel, over.id), this.#incidentsKey, this.#versionKey],
        [id, known.text, over.id, JSON.stringify(over), over.after ?? ""],
      );
      return Number(ended) === 1;
    } finally {
      // Whatever became of it, it is looked at again.
      this.#version = undefined;
    }
  }

  async alerts(most: number): Promise<readonly Alert[]> {
    const found = (await this.#run(ALERTS, [this.#alertsKey], [String(most), this.#alert("")])) as readonly (readonly string[])[];
    return found.flatMap((fields) => alertOf(fields) ?? []);
  }

  async answer(id: string, answer: AlertAnswer): Promise<Alert | undefined> {
    const alert = alertOf((await this.#send("hgetall", this.#alert(id))) as Hash);
    if (!alert) return undefined;
    const until = answer.until === undefined ? "" : String(answer.until);
    await this.#run(ANSWER, [this.#alert(id), this.#snoozedKey], [JSON.stringify(answer), alert.notice.about, until]);
    return { ...alert, answer };
  }

  async deliveries(): Promise<readonly Delivery[]> {
    const newestFirst = (await this.#send("lrange", this.#deliveriesKey, "0", "-1")) as readonly string[];
    return newestFirst.toReversed().map((text) => JSON.parse(text) as Delivery);
  }

  async waiting(channel: string): Promise<number> {
    return Number(await this.#send("zcard", this.#line(channel)));
  }

  async look(): Promise<Unseen | undefined> {
    await this.#payOwed();
    const { since } = this.#unseen ?? {};
    const [adopted = "", isAdopted] = (await this.#run(
      BEAT,
      [this.#gatewaysKey],
      [this.#instance, String(since ?? "")],
    )) as readonly string[];
    if (isAdopted === "1") this.#unseen = { since: Number(adopted) };
    const version = await this.#send("get", this.#versionKey);
    if (version !== this.#version) {
      await this.#readIncidents();
      this.#version = version;
    }
    this.#show();
    return this.#unseen;
  }

  async seen(unseen: Unseen): Promise<void> {
    // Unless another gateway died meanwhile.
    if (this.#unseen === unseen) this.#unseen = undefined;
  }

  async close(): Promise<void> {
    const client = await this.#client?.catch(() => undefined);
    if (!client) return;
    // What it has not seen yet is left to the others.
    const leave = async () => this.#unseen || this.#send("hdel", this.#gatewaysKey, this.#instance);
    await this.#payOwed()
      .then(leave)
      .catch(() => undefined);
    client.disconnect();
  }

  async #readIncidents(): Promise<void> {
    const found = pairsOf((await this.#send("hgetall", this.#incidentsKey)) as Hash);
    const now = this.#now();
    this.#known = new Map(
      found.map(([id, text]) => {
        const known = this.#known.get(id);
        if (known?.text === text) return [id, known];
        const incident = JSON.parse(text) as Incident;
        return [id, { incident, text, from: Math.min(incident.notice.at, now) + SETTLED_AFTER_MS }];
      }),
    );
  }

  #know(incident: Incident, text: string, from: number): void {
    this.#known.set(incidentOf(incident), { incident, text, from });
    this.#show();
  }

  #forget(id: string): void {
    this.#known.delete(id);
    this.#show();
  }

  #show(): void {
    const now = this.#now();
    this.#incidents = new Map([...this.#known].flatMap(([id, { incident, from }]) => (from <= now ? [[id, incident]] : [])));
  }

  #payOwed(): Promise<void> {
    this.#paying ??= this.#pay().finally(() => {
      this.#paying = undefined;
    });
    return this.#paying;
  }

  async #pay(): Promise<void> {
    for (const [name, write] of this.#owed) {
      await write();
      this.#owed.delete(name);
    }
  }

  #line(channel: string): string {
    return `${this.#prefix}line:${channel}`;
  }

  #waiting(channel: string, notice: string): string {
    return `${this.#prefix}waiting:${channel}:${notice}`;
  }

  #alert(id: string): string {
    return `${this.#prefix}alert:${id}`;
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  #run(script: string, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const { now } = this.#options;
    return this.#send("eval", script, String(keys.length), ...keys, now ? String(now()) : "", ...args);
  }

  async #send(command: string, ...args: readonly string[]): Promise<unknown> {
    try {
      return await (await this.#connected()).call(command, ...args);
    } catch (cause) {
      if (cause instanceof PurserError) throw cause;
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new PurserError("store_unavailable", `Who is told what cannot be written to Redis: ${message}. It is tried again.`, { cause });
    }
  }

  #connected(): Promise<RedisClient & { disconnect(): void }> {
    this.#client ??= this.#options.connect().catch((error) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }
}

/** An alert as it is written in Redis; nothing where it is forgotten. */
function alertOf(hash: Hash): Alert | undefined {
  const fields = new Map(pairsOf(hash));
  const notice = fields.get("notice");
  if (notice === undefined) return undefined;
  const answer = fields.get("answer");
  return {
    notice: JSON.parse(notice) as Notice,
    channels: [...fields.keys()].flatMap((name) => (name.startsWith("channel:") ? [name.slice(8)] : [])).sort(),
    until: fields.get("until") ? Number(fields.get("until")) : Number.MAX_SAFE_INTEGER,
    ...(answer !== undefined && { answer: JSON.parse(answer) as AlertAnswer }),
  };
}

/** A client may answer a hash as a list of names and values. */
type Hash = readonly string[] | Readonly<Record<string, string>>;

function pairsOf(hash: Hash): [string, string][] {
  if (!Array.isArray(hash)) return Object.entries(hash);
  return Array.from({ length: hash.length / 2 }, (_, i) => [hash[2 * i] ?? "", hash[2 * i + 1] ?? ""]);
}
