import { userInfo } from "node:os";

/** Who types, as the record of what is done has it. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "the owner";
  }
}
