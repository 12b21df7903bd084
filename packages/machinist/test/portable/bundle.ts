import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build, type OnLoadResult, type Plugin } from 'esbuild'

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** What test files may use of a host: see globals.ts. */
const globals = ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'queueMicrotask', 'performance', 'console', 'process', 'structuredClone', 'TextEncoder', 'TextDecoder', 'EventTarget', 'Event', 'Buffer']

/** Modules of which as much as tests use is in files.ts. */
const FILES = /^node:(?:fs|path|os)$/

/** Whatever is used of it throws, when it is used; but that there are no programs is told to who asks whether there is one. */
const absent = (name: string): string => `module.exports = Object.create(new Proxy({ spawnSync: () => ({ status: null })${FILES.test(name) ? ", ...require('./files.ts')" : ''} }, {
  get(has, key) { return key in has ? has[key] : typeof key === 'symbol' || key === '__esModule' || key === 'default' ? undefined : function () { throw new Error('there is no ${name} here (' + key + ')') } },
}))`

const portable: Plugin = {
  name: 'portable',
  setup(build) {
    build.onResolve({ filter: /^vitest$/ }, () => ({ path: here('vitest.ts') }))
    build.onResolve({ filter: /^fast-check$/ }, ({ importer }) => (/\/packages\/(?:virtio|storage|hypervisor)\//.test(importer) ? { path: here('fewer-runs.ts') } : null))
    build.onResolve({ filter: /^portable-globals$/ }, () => ({ path: here('globals.ts') }))
    build.onResolve({ filter: /^(?:node:.*|esbuild|cborg)$/ }, ({ path }) => ({ path, namespace: 'absent' }))
    build.onLoad({ filter: /./, namespace: 'absent' }, ({ path }) => ({ contents: absent(path), loader: 'js', resolveDir: here('.') }))
    const givenGlobals = async (path: string, loader: 'ts' | 'js'): Promise<OnLoadResult> => {
      const text = await readFile(path, 'utf8')
      const used = globals.filter((name) => new RegExp(`(?<![.\\w'"])${name}\\b`).test(text) && !new RegExp(`(?:const|let|function|class) ${name}\\b`).test(text))
      return { contents: used.length === 0 ? text : `import { ${used.join(', ')} } from 'portable-globals'; ${text}`, loader }
    }
    build.onLoad({ filter: /packages\/[^/]+\/(?:src\/.*\.test\.ts|test\/.*\.ts)$/ }, ({ path }) => path.includes('/test/portable/') && !path.endsWith('/files.ts') ? null : givenGlobals(path, 'ts'))
    build.onLoad({ filter: /node_modules\/.*\/(?:chai|fast-check|@vitest\/\w+)\/.*\.m?js$/ }, ({ path }) => givenGlobals(path, 'js'))
  },
}

/** A test file with all that it imports, as one script of ECMAScript. */
export async function bundle(file: string): Promise<string> {
  const result = await build({
    entryPoints: [file], bundle: true, write: false, format: 'iife', target: 'es2022', platform: 'neutral', mainFields: ['module', 'main'], conditions: ['@machinist/source'],
    plugins: [portable], logLevel: 'silent', keepNames: false,
  })
  return result.outputFiles[0]?.text ?? ''
}
