import { toBase64, type WrittenModule } from '@machinist/cpu-core'
import { Arena } from '@machinist/memory'
import { type Build, library } from '../../tsup.base.ts'
import { coreKey, placeWindow, writeModule } from './src/core-module.ts'

/** Writes the module that nearly all programs need: src/written.ts says why. */
function writtenModule(): WrittenModule {
  let buffer = new SharedArrayBuffer(2 ** 20)
  const window = placeWindow(new Arena({ get buffer() { return buffer }, grow(pages) { return (buffer = new SharedArrayBuffer(buffer.byteLength + pages * 65536)).byteLength } }, 2 ** 28))
  return { key: coreKey(window, true), base64: toBase64(writeModule(window, true)) }
}

const build: Build = library({ 'index': 'src/index.ts', 'isa/index': 'src/isa/index.ts' }, {
  esbuildPlugins: [{
    name: 'written-module',
    setup({ onLoad }) {
      onLoad({ filter: /[/\\]src[/\\]written\.ts$/ }, () => ({ contents: `export const written = ${JSON.stringify(writtenModule())}`, loader: 'js' }))
    },
  }],
})
export default build
