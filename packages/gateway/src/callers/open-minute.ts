import type { Config } from "../config/config.ts";
import { isLoopback } from "../config/loopback.ts";
import type { People } from "../people/people.ts";
import type { Keys } from "./key.ts";

/**
 * Whether everybody is the owner: only this machine can reach the server, no key was ever made, and nobody signs in by name. Whoever says who
 * may sign in does not mean everybody.
 */
export function isOpenToAll({ server, login }: Config, keys: Pick<Keys, "isEmpty">, people: Pick<People, "isEmpty">): boolean {
  return keys.isEmpty && isLoopback(server.host) && login.oidc === undefined && people.isEmpty;
}
