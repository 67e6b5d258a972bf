// Takes the content of a message apart: plain text, fenced code, and the blocks of model APIs.

/** @typedef {{kind: 'text' | 'code', text: string, language: string}} Piece */

/**
 * Splits text at code fences (three backticks); an open fence at the end runs to the end.
 * @param {string} text
 * @returns {Piece[]}
 */
export function pieces(text) {
  /** @type {Piece[]} */
  const found = [];
  /** @type {string[]} */
  let lines = [];
  /** @type {string | null} */
  let language = null;
  const flush = () => {
    const joined = lines.join('\n');
    lines = [];
    if (language !== null) found.push({ kind: 'code', text: joined, language });
    else if (joined.trim() !== '')
      found.push({ kind: 'text', text: joined.replace(/^\n+|\n+$/g, ''), language: '' });
  };
  for (const line of text.split('\n')) {
    const fence = /^\s{0,3}```+\s*([\w+#.-]*)\s*$/.exec(line);
    if (!fence) {
      lines.push(line);
      continue;
    }
    flush();
    language = language === null ? (fence[1] ?? '') : null;
  }
  flush();
  return found;
}

/**
 * @typedef {{kind: 'text' | 'thinking' | 'tool' | 'result' | 'other', label: string, text: string}}
 *   Block
 */

/** @param {any} value */
const asJson = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

/** @param {any} block @returns {Block} */
function readBlock(block) {
  if (typeof block === 'string') return { kind: 'text', label: '', text: block };
  const kind = block?.type;
  if (kind === 'text') return { kind: 'text', label: '', text: String(block.text ?? '') };
  if (kind === 'thinking')
    return {
      kind: 'thinking',
      label: 'Thinking',
      text: String(block.thinking ?? block.text ?? ''),
    };
  if (kind === 'tool_use')
    return { kind: 'tool', label: `Asks the tool ${block.name}`, text: asJson(block.input ?? {}) };
  if (kind === 'tool_result')
    return { kind: 'result', label: 'Result of a tool', text: asJson(block.content ?? '') };
  return { kind: 'other', label: kind ? `Block ${kind}` : 'Block', text: asJson(block) };
}

/**
 * The blocks of a message, whatever shape its content has.
 * @param {any} content
 * @returns {Block[]}
 */
export function blocks(content) {
  if (Array.isArray(content)) return content.map(readBlock);
  if (content === null || content === undefined) return [];
  return [readBlock(content)];
}
