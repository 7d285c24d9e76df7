/** `npm start`: runs the gateway with the purser.yaml of this folder, or, where there is none, the demo. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { MAIN, prepare } from "./prepare.mjs";

prepare();
// npm changes to the folder of the package; what is meant is the folder where it was called.
process.chdir(process.env.INIT_CWD ?? process.cwd());
const args = process.argv.slice(2);
const isConfigured = existsSync(join(process.cwd(), "purser.yaml")) || args.some((arg) => arg === "--demo" || /^--config\b/.test(arg));
process.argv = [process.argv[0], MAIN, "serve", ...(isConfigured ? [] : ["--demo"]), ...args];
await import(pathToFileURL(MAIN).href);
