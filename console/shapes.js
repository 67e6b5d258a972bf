// The shapes of the HTTP API as the console reads them (docs/api.md); types only, no code.

/** What a caller may know of a failed call.
 * @typedef {object} Problem
 * @property {number} [status]
 * @property {string} [title]
 * @property {string} [detail]
 * @property {string} [error]
 * @property {string} [code]
 * @property {string} [hint]
 * @property {string} [request_id]
 */

/** One address the server listens on. Plain strings are read as `{address}`.
 * @typedef {object} Listener
 * @property {string} address  host and port, e.g. `127.0.0.1:61900`
 * @property {string[]} [protocols]
 * @property {boolean} [tls]
 * @property {string} [auth]  e.g. `off on loopback`, `required`
 */

/** The answer of `GET /api/v1/status`; fields a server leaves out are shown as unknown.
 * @typedef {object} Status
 * @property {string} [version]
 * @property {number} [uptime_seconds]
 * @property {(Listener | string)[]} [listeners]
 * @property {(Listener | string)[]} [listen]
 * @property {string[]} [protocols]
 * @property {boolean | {enabled?: boolean}} [tls]
 * @property {string} [reachable_from]  e.g. `this machine only`
 * @property {string | {mode?: string, required?: boolean, keys?: number}} [auth]
 * @property {any} [store]
 */

/** The answer of `GET /health`.
 * @typedef {object} Health
 * @property {string} status  `ok`, `degraded`, `initializing` or `unhealthy`
 * @property {Record<string, any>} [checks]
 * @property {string} [version]
 */

/** One model of `GET /api/v1/models`.
 * @typedef {object} Model
 * @property {string} name
 * @property {string} [provider]
 * @property {string} [dialect]
 * @property {boolean} [offline]
 * @property {boolean} [configured]
 * @property {boolean | null} [reachable]
 * @property {number | null} [window_tokens]
 * @property {number | null} [latency_ms]
 * @property {any} [last_error]
 * @property {string | null} [hint]
 */

/** One provider of `GET /api/v1/providers`.
 * @typedef {object} Provider
 * @property {string} name
 * @property {string} [dialect]
 * @property {string | null} [base_url]
 * @property {boolean} [configured]
 * @property {string | null} [key_source]
 * @property {boolean | null} [reachable]
 * @property {any} [last_error]
 * @property {string | null} [hint]
 */

/** How large a conversation is.
 * @typedef {object} Size
 * @property {number} [messages]
 * @property {number} [turns]
 * @property {number} [bytes]
 * @property {number} [tokens]
 * @property {number} [window_share]
 */

/** One conversation.
 * @typedef {object} Context
 * @property {string} id
 * @property {string | null} [title]
 * @property {string | null} [user]
 * @property {string} status  `open` or `closed`
 * @property {string} created_at
 * @property {string} last_updated
 * @property {number} revision
 * @property {string | null} [system]
 * @property {Record<string, any>} [settings]
 * @property {Record<string, any>} [state]
 * @property {Record<string, any>} [metadata]
 * @property {Size} [size]
 * @property {any} [open_turn]
 * @property {string | null} [expires_at]
 */

/** One message of a conversation. `seq` is null only before the server has stored it.
 * @typedef {object} Message
 * @property {number | null} seq
 * @property {string} role
 * @property {any} content  text, or a list of blocks
 * @property {string} [timestamp]
 * @property {string} [status]  `complete`, `pending`, `failed` or `partial`
 * @property {string | null} [model]
 * @property {number | null} [tokens]
 * @property {Record<string, any>} [meta]
 */

/** A finished turn (`done` of a stream).
 * @typedef {object} Turn
 * @property {string} context_id
 * @property {string} [model]
 * @property {string} [provider]
 * @property {boolean} [offline]
 * @property {string} text
 * @property {string} [stop_reason]
 */

export {};
