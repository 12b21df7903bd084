import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { root } from '../../scripts/lib/workspace.mjs'

/**
 * What makes images, from the sources: seconds, where a build of all packages takes minutes.
 * @returns {Promise<{
 *   buildImage: typeof import('../../packages/host-metal/src/build/index.ts').buildImage,
 *   prepareEngine: typeof import('../../packages/machinist/src/metal/engine.ts').prepareEngine,
 *   prepareGuest: typeof import('../../packages/machinist/src/guest/index.ts').prepareGuest,
 *   guestCommandLine: typeof import('../../packages/machinist/src/guest/index.ts').guestCommandLine,
 *   extractDebian: typeof import('../../packages/machinist/src/guest/index.ts').extractDebian,
 *   fleetOf: typeof import('../../packages/machinist/src/fleet/file/fleet.ts').fleetOf,
 *   imageFiles: typeof import('../../packages/machinist/src/metal/plan.ts').imageFiles,
 *   cpio: typeof import('../../packages/boot/src/index.ts').cpio,
  concatInitrds: typeof import('../../packages/boot/src/index.ts').concatInitrds,
 * }>}
 */
export async function tools() {
  // Beside the package, whose native sources it looks for from there.
  const outfile = join(root, 'packages/host-metal/node_modules/.cache/bench.mjs')
  const contents = [
    "export { buildImage } from './packages/host-metal/src/build/index.ts'",
    "export { prepareEngine } from './packages/machinist/src/metal/engine.ts'",
    "export { extractDebian, guestCommandLine, prepareGuest } from './packages/machinist/src/guest/index.ts'",
    "export { fleetOf } from './packages/machinist/src/fleet/file/fleet.ts'",
    "export { imageFiles } from './packages/machinist/src/metal/plan.ts'",
    "export { concatInitrds, cpio } from './packages/boot/src/index.ts'",
  ].join('\n')
  await build({
    stdin: { contents, resolveDir: root }, bundle: true, platform: 'node', format: 'esm', conditions: ['@machinist/source'], external: ['esbuild', 'koffi'], outfile, logLevel: 'warning',
    // Some libraries of the bundle are CommonJS.
    banner: { js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url)" },
  })
  return import(pathToFileURL(outfile).href)
}
