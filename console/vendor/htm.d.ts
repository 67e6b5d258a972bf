// Types of the vendored file, from its package.
export { default } from 'htm';
