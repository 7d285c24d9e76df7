/** `node scripts/generate-admin-client.mjs`: writes the types of the admin API's client anew, from the description of the API that the gateway serves. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { prepare, ROOT } from "./prepare.mjs";

prepare();
const fromGateway = (file) => import(pathToFileURL(join(ROOT, "packages/gateway/dist", file)).href);
const { OPENAPI } = await fromGateway("admin/openapi.js");
const { operationsText } = await fromGateway("client/operations-text.js");
writeFileSync(join(ROOT, "packages/gateway/src/client/operations.ts"), operationsText(OPENAPI));
