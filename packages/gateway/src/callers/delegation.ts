import { createHmac, timingSafeEqual } from "node:crypto";
import { defineBudget, type Pool, type Subject } from "@purser/core";
import type { Caller } from "./identify.ts";
import type { Key, Keys } from "./key.ts";

/** A part of what a caller may spend, handed on to an agent of its own. */
export interface Delegation {
  /** `del_…` */
  readonly id: string;
  /** What it is for: `research`. */
  readonly name: string;
  /** Without windows, because it is there once: `["$2", "200k tokens"]`. */
  readonly limits: readonly string[];
  /** Epoch milliseconds. */
  readonly until: number;
}

/** All that a delegated key says. Nothing of it is stored anywhere else. */
export interface Delegated {
  /** The key that it was made from, first or by way of others. It ends with it. */
  readonly key: string;
  readonly subject: Subject;
  /** From the first delegation to this one: each of them holds. */
  readonly chain: readonly Delegation[];
}

const PREFIX = "pkd-";
/** What the secrets of delegated keys look like. */
export const DELEGATED_SECRET = /^pkd-[\w-]+\.[\w-]{43}$/;
/** Callers that are kept at hand for one key; more start over. */
const CALLERS_MOST = 10_000;

/** The secret of a delegated key: what it says, and a signature that none can make who does not have the keys of this gateway. */
export function sealDelegated(delegated: Delegated, seal: Buffer): string {
  const content = Buffer.from(JSON.stringify(delegated)).toString("base64url");
  return `${PREFIX}${content}.${signature(content, seal).toString("base64url")}`;
}

const delegates = new WeakMap<Key, Map<string, Caller>>();

/** Who calls with a delegated key; nobody where it was forged or is over, or where the key that it was made from is. */
export function delegateOf(secret: string, keys: Pick<Keys, "signing">, now: number): Caller | undefined {
  if (!DELEGATED_SECRET.test(secret)) return undefined;
  const [content = "", signed = ""] = secret.slice(PREFIX.length).split(".");
  const delegated = readContent(content);
  const signing = delegated && keys.signing(delegated.key, now);
  if (!delegated || !signing || delegated.chain.some(({ until }) => now >= until)) return undefined;
  const known = delegates.get(signing.key);
  const caller = known?.get(secret);
  if (caller) return caller;
  if (!timingSafeEqual(Buffer.from(signed, "base64url"), signature(content, signing.seal()))) return undefined;
  const made = callerWith(signing.key, delegated);
  if (known && known.size < CALLERS_MOST) known.set(secret, made);
  else delegates.set(signing.key, new Map([[secret, made]]));
  return made;
}

/** It may make calls, and nothing else that the first key may. */
function callerWith(key: Key, delegated: Delegated): Caller {
  const { subject, chain } = delegated;
  return { key: { ...key, role: "caller" }, subject, places: new Map(), delegated, pools: chain.map(poolOf) };
}

function poolOf({ id, name, limits, until }: Delegation): Pool {
  return { budget: defineBudget({ name: poolName({ id, name }), limits }), until };
}

/** Under which name refusals and the ledger speak of a delegation. */
export function poolName({ id, name }: Pick<Delegation, "id" | "name">): string {
  return `${name} (${id})`;
}

/** What a text says that has not been checked yet: enough to find the key to check it with. */
function readContent(content: string): Delegated | undefined {
  try {
    const delegated = JSON.parse(Buffer.from(content, "base64url").toString("utf8")) as Partial<Delegated> | null;
    return typeof delegated?.key === "string" && Array.isArray(delegated.chain) ? (delegated as Delegated) : undefined;
  } catch {
    return undefined;
  }
}

function signature(content: string, seal: Buffer): Buffer {
  return createHmac("sha256", seal).update(content).digest();
}
