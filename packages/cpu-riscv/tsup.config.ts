import { toBase64 } from '@machinist/cpu-core'
import { Arena } from '@machinist/memory'
import { type Build, library } from '../../tsup.base.ts'
import { coreKey, placeCore, writeCore } from './src/core/core.ts'
import { writeRules } from './src/core/rules.ts'
import type { WrittenCore } from './src/core/written.ts'

/** Writes the module that nearly all programs need: src/core/written.ts says why. */
function writtenCore(): WrittenCore {
  let buffer = new SharedArrayBuffer(2 ** 20)
  const arena = new Arena({ get buffer() { return buffer }, grow(pages) { return (buffer = new SharedArrayBuffer(buffer.byteLength + pages * 65536)).byteLength } }, 2 ** 28)
  const places = placeCore(arena)
  return { key: coreKey(places, true), base64: toBase64(writeCore(places, true)), rules: toBase64(writeRules()) }
}

const build: Build = library({ 'index': 'src/index.ts', 'isa/index': 'src/isa/index.ts' }, {
  esbuildPlugins: [{
    name: 'written-core',
    setup({ onLoad }) {
      onLoad({ filter: /[/\\]core[/\\]written\.ts$/ }, () => ({ contents: `export const written = ${JSON.stringify(writtenCore())}`, loader: 'js' }))
    },
  }],
})
export default build
