import { LEDGER } from "./0001-ledger.sql.ts";
import { ROLLUPS } from "./0002-rollups.sql.ts";
import { KEYS } from "./0003-keys.sql.ts";
import { RESENT } from "./0004-resent.sql.ts";
import { ESTIMATED } from "./0005-estimated.sql.ts";
import { KNOWN_ANSWERS } from "./0006-known-answers.sql.ts";
import { SAVINGS } from "./0007-savings.sql.ts";
import { CHARGED_TO } from "./0008-charged-to.sql.ts";

/** A step of the schema. Once it was released it never changes: what is to change is a further step. */
export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
}

/** Every step, in order. Names are qualified by the schema `purser`. */
export const MIGRATIONS: readonly Migration[] = [
  { number: 1, name: "ledger", sql: LEDGER },
  { number: 2, name: "rollups", sql: ROLLUPS },
  { number: 3, name: "keys", sql: KEYS },
  { number: 4, name: "resent", sql: RESENT },
  { number: 5, name: "estimated", sql: ESTIMATED },
  { number: 6, name: "known answers", sql: KNOWN_ANSWERS },
  { number: 7, name: "savings", sql: SAVINGS },
  { number: 8, name: "charged to", sql: CHARGED_TO },
];
