// The TypeScript package `@modelcontextprotocol/sdk` 1.x against a server of ours.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

import { run, target } from "./plan.mjs";

const client = new Client({ name: "plan", version: "1" });
const [command, ...args] = target.command ?? [];
await client.connect(target.url
  ? new StreamableHTTPClientTransport(new URL(target.url))
  : new StdioClientTransport({ command, args, stderr: "ignore" }));
await run(client, {
  missing: [-32002],
  subscribe: (uri) => client.subscribeResource({ uri }),
  updates: (told) => client.setNotificationHandler(ResourceUpdatedNotificationSchema,
    (message) => told(message.params.uri)),
});
