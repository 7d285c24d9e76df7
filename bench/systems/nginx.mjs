import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawnOn } from "../machine.mjs";

/** The plain proxy of Debian's package: one worker, keep-alive to the provider, nothing buffered, nothing logged. */
export function isNginxInstalled() {
  try {
    execFileSync("nginx", ["-v"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

export function startNginx({ core, dir, port, upstreamPort }) {
  mkdirSync(join(dir, "logs"), { recursive: true });
  const file = join(dir, "nginx.conf");
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${join(dir, name)};`).join("\n  ");
  writeFileSync(
    file,
    `
${process.getuid?.() === 0 ? "user root;" : ""}
worker_processes 1;
daemon off;
pid ${join(dir, "nginx.pid")};
error_log ${join(dir, "logs/error.log")} warn;
events { worker_connections 8192; }
http {
  ${folders}
  access_log off;
  client_max_body_size 64m;
  client_body_buffer_size 2m;
  keepalive_timeout 600s;
  keepalive_requests 100000000;
  upstream provider { server 127.0.0.1:${upstreamPort}; keepalive 2048; keepalive_requests 100000000; keepalive_timeout 600s; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer sk-bench-provider";
      proxy_buffering off;
      proxy_request_buffering off;
    }
  }
}
`,
  );
  return spawnOn({ core, command: "nginx", args: ["-c", file, "-p", dir] });
}
