/**
 * @typedef {{
 *   api: typeof import('../packages/api/src/index.ts'),
 *   boards: typeof import('../packages/boards/src/index.ts'),
 *   hypervisor: typeof import('../packages/hypervisor/src/index.ts'),
 *   'host-node': typeof import('../packages/host-node/src/index.ts'),
 *   machine: typeof import('../packages/machine/src/index.ts'),
 *   machinist: typeof import('../packages/machinist/src/index.ts'),
 *   network: typeof import('../packages/network/src/index.ts'),
 * }} Packages
 */

/**
 * A package as it was built: what is measured is what is published. Not by a static import, since this file is also checked where nothing is built.
 * @template {keyof Packages} Name
 * @param {Name} name its folder
 * @returns {Promise<Packages[Name]>}
 */
export function product(name) {
  return import(new URL(`../packages/${name}/dist/index.js`, import.meta.url).href)
}
