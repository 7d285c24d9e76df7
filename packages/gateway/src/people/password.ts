import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";

/** Costs of a new hash: 32 MiB, about a tenth of a second. */
const COSTS = { log: 15, blocks: 8, times: 3 } as const;
const BYTES = 32;
/** Costs that a hash from elsewhere may ask for. */
const LOG_MOST = 18;
const BLOCKS_MOST = 16;
const TIMES_MOST = 8;
const PASSWORD_LEAST = 10;
const PASSWORD_MOST = 256;

const FORM = /^scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w-]{16,86})\$([\w-]{43})$/;

/** What is wrong with a new password, if anything. */
export function passwordProblem(password: string): string | undefined {
  if ([...password].length < PASSWORD_LEAST) return `It has fewer than ${PASSWORD_LEAST} characters. Take some words that nobody guesses.`;
  if (Buffer.byteLength(password) > PASSWORD_MOST) return `It has more than ${PASSWORD_MOST} bytes.`;
  return undefined;
}

/** A password as it is kept: `scrypt$ln=15,r=8,p=3$SALT$HASH`, from which nobody gets it back. */
export async function hashPassword(password: string, costs: Costs = COSTS): Promise<string> {
  const salt = randomBytes(16);
  const { log, blocks, times } = costs;
  const hash = await derive(password, salt, costs);
  return `scrypt$ln=${log},r=${blocks},p=${times}$${salt.toString("base64url")}$${hash.toString("base64url")}`;
}

export function isPasswordHash(text: string): boolean {
  const [, log, blocks, times] = FORM.exec(text) ?? [];
  return log !== undefined && +log >= 10 && +log <= LOG_MOST && between(blocks, BLOCKS_MOST) && between(times, TIMES_MOST);
}

function between(text: string | undefined, most: number): boolean {
  return Number(text) >= 1 && Number(text) <= most;
}

/** Compared with where nobody has the name, so that the time it takes does not say who is here. */
const NOBODY = `scrypt$ln=${COSTS.log},r=${COSTS.blocks},p=${COSTS.times}$${"A".repeat(22)}$${"A".repeat(43)}`;

/** Whether a password is the one of a hash. Of nobody's it is never. */
export async function isPassword(password: string, hash: string | undefined): Promise<boolean> {
  const [, log, blocks, times, salt = "", expected = ""] = FORM.exec(hash ?? NOBODY) ?? [];
  if (Buffer.byteLength(password) > PASSWORD_MOST || log === undefined) return false;
  const found = await derive(password, Buffer.from(salt, "base64url"), { log: +log, blocks: Number(blocks), times: Number(times) });
  return timingSafeEqual(found, Buffer.from(expected, "base64url")) && hash !== undefined;
}

interface Costs {
  readonly log: number;
  readonly blocks: number;
  readonly times: number;
}

function derive(password: string, salt: Buffer, { log, blocks, times }: Costs): Promise<Buffer> {
  const options = { N: 2 ** log, r: blocks, p: times, maxmem: 2 ** log * blocks * 128 + 2 ** 24 };
  return new Promise((resolve, reject) => {
    // The same letters can be typed in several ways.
    scrypt(password.normalize("NFKC"), salt, BYTES, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
