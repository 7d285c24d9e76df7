/** `npm run simulate -- --seed 7 --minutes 10`: the whole system from one seed, and the laws held against all that happens in it. */
import { prepare } from "./prepare.mjs";

prepare();
await import("../simulation/dist/main.js");
