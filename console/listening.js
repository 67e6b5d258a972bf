// Reads from the status answer where the server listens and who can reach it.

/**
 * @typedef {{address: string, protocols: string[], tls: string, auth: string, reach: string}}
 *   Address
 */

/** @param {string} address  host and port */
function hostOf(address) {
  const bare = address.replace(/^[a-z0-9+.-]+:\/\//i, '');
  if (bare.startsWith('[')) return bare.slice(1, bare.indexOf(']'));
  const colon = bare.lastIndexOf(':');
  return colon < 0 ? bare : bare.slice(0, colon);
}

/** From where an address can be reached. @param {string} address */
export function reachOf(address) {
  const host = hostOf(address);
  if (host === 'localhost' || host === '::1' || host.startsWith('127.')) return 'this machine only';
  if (host === '0.0.0.0' || host === '::') return 'every network of this machine';
  return `the network of ${host}`;
}

/** @param {any} tls */
function readTls(tls) {
  if (tls === undefined || tls === null) return 'unknown';
  if (typeof tls === 'string') return tls;
  const on = typeof tls === 'object' ? tls.enabled : tls;
  return on ? 'on' : 'off';
}

/** @param {any} auth */
function readAuth(auth) {
  if (auth === undefined || auth === null) return 'unknown';
  if (typeof auth === 'string') return auth;
  const required = typeof auth === 'boolean' ? auth : auth.required;
  if (required === undefined) return String(auth.mode ?? 'unknown');
  return required ? 'key required' : 'open, no key needed';
}

/** @param {import('./shapes.js').Status | null} status @returns {Address[]} */
export function addresses(status) {
  const list = status?.listeners ?? status?.listen ?? [];
  return list.map((item) => {
    /** @type {any} */
    const one = typeof item === 'string' ? { address: item } : item;
    const address = String(one.address ?? one.addr ?? one.url ?? '');
    return {
      address,
      protocols: one.protocols ?? status?.protocols ?? [],
      tls: readTls(one.tls ?? status?.tls),
      auth: readAuth(one.auth ?? status?.auth),
      reach: one.reachable_from ?? reachOf(address),
    };
  });
}

/** The widest reach of all addresses, in one phrase. @param {Address[]} list */
export function reachOfAll(list) {
  if (list.length === 0) return '';
  return list.find((one) => one.reach !== 'this machine only')?.reach ?? 'this machine only';
}

/** Whether a call needs a key. @param {Address[]} list */
export function needsKey(list) {
  return list.some((one) => /^(key|required|on\b|bearer|api)/i.test(one.auth));
}
