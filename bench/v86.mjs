import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { cache, command } from './guest.mjs'

/** `node bench/v86.mjs KERNEL INITRD APPEND MEMORY`: a guest on v86, with its serial port on stdout; ended when the machine resets or halts for good. */

const VERSION = '0.5.462'
const bios = '/usr/share/seabios'

/** v86 from npm, fetched once. @returns {string} its folder */
function fetched() {
  const folder = join(cache, 'v86')
  const require = createRequire(join(folder, 'package.json'))
  try {
    return join(require.resolve('v86/build/v86.wasm'), '..')
  } catch {
    command('npm', ['install', '--silent', '--no-save', '--prefix', folder, `v86@^${VERSION}`])
    return join(folder, 'node_modules/v86/build')
  }
}

const [kernel = '', initrd = '', append = '', memory = '256M'] = process.argv.slice(2)
const build = fetched()
/** @param {string} path */
const file = (path) => {
  const { buffer, byteOffset, byteLength } = readFileSync(path)
  return { buffer: buffer.slice(byteOffset, byteOffset + byteLength) }
}
const { V86 } = await import(pathToFileURL(join(build, 'libv86.mjs')).href)
const emulator = new V86({
  wasm_path: join(build, 'v86.wasm'),
  bios: file(join(bios, 'bios.bin')), vga_bios: file(join(bios, 'vgabios-stdvga.bin')),
  bzimage: file(kernel), initrd: file(initrd), cmdline: append,
  memory_size: Number.parseInt(memory, 10) * 2 ** 20, autostart: true, disable_speaker: true, acpi: true,
})
let line = ''
emulator.add_listener('serial0-output-byte', (/** @type {number} */ byte) => {
  process.stdout.write(Uint8Array.of(byte))
  line = byte === 10 ? '' : line + String.fromCharCode(byte)
  // It has no power to turn off.
  if (line.includes('@@bench done')) setTimeout(() => process.exit(0), 100)
})
