import { builtinModules } from 'node:module'

/**
 * The lint rules that keep floors 0 to 5 portable: they use ECMAScript alone, because the same code runs in Node, in a
 * browser, and in a bare JavaScript engine that has neither a host's objects nor WebAssembly.
 */

/** Globals of hosts, with what to use in their place. */
const hostGlobals = {
  'the clock of the device context or of the machine': ['Date', 'performance', 'setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate', 'requestAnimationFrame', 'queueMicrotask'],
  'a Uint8Array, and a codec of the package': ['Buffer', 'TextEncoder', 'TextDecoder', 'Blob', 'File', 'atob', 'btoa', 'structuredClone'],
  'the trace of the device context': ['console'],
  'a backend or another capability that a host package gives': [
    'process', 'global', 'globalThis', 'window', 'self', 'document', 'navigator', 'location', 'require', 'module', '__dirname', '__filename',
    'fetch', 'crypto', 'URL', 'URLSearchParams', 'Headers', 'Request', 'Response', 'WebSocket', 'XMLHttpRequest',
    'Worker', 'MessageChannel', 'MessagePort', 'BroadcastChannel', 'Event', 'EventTarget', 'AbortController', 'AbortSignal',
    'ReadableStream', 'WritableStream', 'TransformStream', 'localStorage', 'sessionStorage', 'indexedDB', 'alert', 'Intl',
  ],
}

/** Packages that may name WebAssembly, by what follows `@machinist/`. @param {string} name */
export function mayNameWebAssembly(name) {
  return /^(wasm|translator|cpu-.+|host-.+)$/.test(name)
}

/**
 * The rules for the sources, tests excepted, of one package.
 * @param {string} name what follows `@machinist/`
 * @param {number} floor
 * @returns {Record<string, any>}
 */
export function portabilityRules(name, floor) {
  /** @type {{ name: string, message: string }[]} */
  const globals = []
  if (!mayNameWebAssembly(name)) globals.push({ name: 'WebAssembly', message: 'Only wasm, translator, cpu-* and host packages may name it: on bare metal there is none.' })
  if (floor > 5) return {}
  for (const [instead, names] of Object.entries(hostGlobals)) {
    globals.push(...names.map((host) => ({ name: host, message: `Floors 0 to 5 use ECMAScript alone; use ${instead}.` })))
  }
  return {
    'no-restricted-globals': ['error', ...globals],
    'no-restricted-imports': ['error', {
      paths: builtinModules.filter((module) => !module.startsWith('_')).map((module) => ({ name: module, message: 'Floors 0 to 5 use ECMAScript alone.' })),
      patterns: [{ group: ['node:*'], message: 'Floors 0 to 5 use ECMAScript alone.' }],
    }],
    'no-restricted-properties': ['error',
      { object: 'Math', property: 'random', message: 'A run must be repeatable: take entropy from a backend.' },
    ],
    'no-restricted-syntax': ['error',
      { selector: 'ImportExpression', message: 'Floors 0 to 5 import statically.' },
      { selector: "MetaProperty[meta.name='import']", message: 'import.meta belongs to a host.' },
      // no-restricted-globals does not look at types.
      ...[...(mayNameWebAssembly(name) ? [] : ['WebAssembly']), 'Buffer', 'NodeJS', 'TextDecoder', 'TextEncoder'].flatMap((type) => [
        { selector: `TSTypeReference > Identifier[name='${type}']`, message: `${type} is not of ECMAScript alone.` },
        { selector: `TSQualifiedName > Identifier.left[name='${type}']`, message: `${type} is not of ECMAScript alone.` },
      ]),
      { selector: "TSImportType > Literal[value=/^node:/]", message: 'Floors 0 to 5 use ECMAScript alone.' },
    ],
  }
}
