import { parseArgs } from "node:util";
import { prepareBodies } from "./bodies.js";
import { prepareDisks } from "./disk.js";
import { Violation } from "./violation.js";
import { type Outcome, World } from "./world.js";

const USAGE = `npm run simulate -- [--seed N] [--seeds N | --requests N] [--minutes M] [--keep-going]

  --seed N      the first seed; one that nobody knows where it is left out
  --seeds N     how many seeds, one after the other (1 with --seed, else 100)
  --requests N  as many seeds as it takes to make so many calls
  --minutes M   how long traffic lasts in each, in virtual minutes (10)
  --keep-going  do not end at the first violation`;

/** The last seeds of 32 bits are as good as the first. */
const SEED_MOST = 2 ** 31;
/** What went wrong says where; what is deeper costs time at every refusal. */
Error.stackTraceLimit = 5;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (!options) {
    console.error(USAGE);
    return 2;
  }
  const { minutes, keepGoing, first, seeds, requests } = options;
  const bodies = await prepareBodies();
  await prepareDisks();
  const startedAt = process.hrtime.bigint();
  const sum = { seeds: 0, requests: 0, events: 0, checks: 0, violations: 0 };
  let last: Outcome | undefined;
  for (let seed = first; sum.seeds < seeds && sum.requests < requests; seed++) {
    last = await new World({ seed, minutes, bodies }).run();
    sum.seeds++;
    sum.requests += last.requests;
    sum.events += last.events;
    sum.checks += last.checks;
    if (!last.failure) continue;
    sum.violations++;
    tellFailure(last, minutes);
    if (!keepGoing) break;
  }
  const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9;
  const range = sum.seeds === 1 ? `seed ${first}, trace ${last?.hash}` : `seeds ${first} to ${first + sum.seeds - 1}`;
  const number = (value: number) => Math.round(value).toLocaleString("en-US");
  console.log(
    [
      `${range}: ${number(sum.requests)} requests, ${number(sum.events)} events, laws held ${number(sum.checks)} times, ` +
        `${sum.violations} violations`,
      `${seconds.toFixed(1)} s: ${number(sum.seeds / seconds)} seeds, ${number(sum.requests / seconds)} requests and ${number(sum.events / seconds)} events a second`,
    ].join("\n"),
  );
  return sum.violations === 0 ? 0 : 1;
}

function readOptions(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seed: { type: "string" },
        seeds: { type: "string" },
        requests: { type: "string" },
        minutes: { type: "string", default: "10" },
        "keep-going": { type: "boolean", default: false },
      },
    });
    const { seed, requests } = values;
    const options = {
      first: seed === undefined ? Math.floor(Math.random() * SEED_MOST) : Number(seed),
      seeds: requests !== undefined ? Infinity : Number(values.seeds ?? (seed === undefined ? 100 : 1)),
      requests: requests === undefined ? Infinity : Number(requests),
      minutes: Number(values.minutes),
      keepGoing: values["keep-going"],
    };
    const areNumbers = [options.seeds, options.requests, options.minutes].every((one) => one > 0) && Number.isSafeInteger(options.first);
    return areNumbers && options.first >= 0 ? options : undefined;
  } catch {
    return undefined;
  }
}

function tellFailure({ seed, failure }: Outcome, minutes: number): void {
  const { error, event, history } = failure as NonNullable<Outcome["failure"]>;
  for (const line of history) console.log(line);
  const what = error instanceof Violation ? `Law ${error.law} is broken: ${error.message}` : String((error as Error).stack ?? error);
  console.log(`\nSeed ${seed}, event ${event}: ${what}`);
  console.log(`Again: npm run simulate -- --seed ${seed} --minutes ${minutes}\n`);
}
