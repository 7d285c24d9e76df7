import { readFile } from "node:fs/promises";
import { PurserError } from "@purser/core";

/** Reads a file of JSON that says one thing. Where it is damaged or another version wrote it, it stays as it is and there is nothing: `onError` is told. */
export async function readRecord<Record>(
  file: string,
  isRecord: (value: unknown) => value is Record,
  onError: (error: unknown) => void,
): Promise<Record | undefined> {
  const text = await readFile(file, "utf8");
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch {
    // Told below, with what has another form.
  }
  onError(
    new PurserError(
      "config_invalid",
      `${file} is not one that Purser wrote, or another version did. It is passed over. Bring back a copy, or delete it.`,
    ),
  );
  return undefined;
}
