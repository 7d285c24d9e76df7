import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Recorded hours of real services. */
const DATA = process.env.PURSER_TEST_DATA ?? fileURLToPath(new URL("../../../../../shared/data", import.meta.url));

/** Why tests on recordings are not run, if they are not. */
export const NO_TRACES = !existsSync(join(DATA, "traces")) && "not run: the recordings are not here (PURSER_TEST_DATA)";

export interface RecordedCall {
  readonly at: number;
  readonly who: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** A day of 74 tenants, as if it had begun at `since`, in the order of time. */
export function tenantCalls(since: number): readonly RecordedCall[] {
  return lines("tenants_24h.csv").map((line) => {
    const [offset, who = "", , input, , output] = line.split(",");
    return { at: since + Number(offset), who, inputTokens: Number(input), outputTokens: Number(output) };
  });
}

/** An hour of two services, one after the other. */
export function serviceCalls(): readonly RecordedCall[] {
  return ["code", "conv"].flatMap((who) =>
    lines(`azure-2023/AzureLLMInferenceTrace_${who}.csv`).map((line) => {
      const [time = "", input, output] = line.split(",");
      return { at: Date.parse(`${time.slice(0, 23).replace(" ", "T")}Z`), who, inputTokens: Number(input), outputTokens: Number(output) };
    }),
  );
}

function lines(file: string): readonly string[] {
  return readFileSync(join(DATA, "traces", file), "utf8")
    .trim()
    .split("\n")
    .slice(1);
}
