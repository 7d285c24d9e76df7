import type { ServiceTier } from "@purser/core";
import { optionalText } from "../body-fields.ts";
import type { JsonBody } from "../json-body.ts";

/** The tier that a call asks for. Flex costs less, but a call may be served at the standard tier; priority costs more. */
export function askedTier(body: JsonBody): ServiceTier {
  return optionalText(body, "service_tier") === "priority" ? "priority" : "standard";
}

/** The tier at which a call was served: one that asked for priority may be served, and is charged, as any other. */
export function servedTier(tier: unknown): ServiceTier | undefined {
  if (tier === "default") return "standard";
  return tier === "flex" || tier === "priority" ? tier : undefined;
}
