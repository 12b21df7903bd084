import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { Unmet } from '../../scripts/lib/say.mjs'

/** How often the marks are looked at, in milliseconds. */
const LOOK = 100
/** How long the emulator may take to end when it is told to, in milliseconds. */
const PATIENCE = 10_000

/** Memory below a hypervisor. */
export const HARDWARE = '1G'

/** The machine that all sides run on: it counts instructions, and each takes a nanosecond. */
const MACHINE = ['-machine', 'virt', '-cpu', 'rv64,h=true', '-nographic', '-echr', '0x1d', '-bios', 'default', '-global', 'virtio-mmio.force-legacy=false']

/** @type {readonly NodeJS.Signals[]} */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']
const goes = () => { process.exit(1) }

/** @typedef {{ mark: number, all: number, firmware: number, image: number, other: number }} Mark instructions before it, in all and by where they lie */

/**
 * Runs the emulated machine until a mark.
 * @param {{ plugin: string, marks: string, args: readonly string[], until: number, seconds: number, imageEnd?: number, profile?: string, sleep?: boolean, other?: string }} options
 *   `other`: one more plugin, with its options; `sleep`: when all wait, so does the emulator, where time else goes on at once. Who waits for QEMU's disk, with no timer set, would be at the end of time otherwise.
 * @returns {Promise<Mark[]>}
 * @throws {Unmet} when it does not come to it
 */
export async function count({ plugin, marks, args, until, seconds, imageEnd, profile, sleep = false, other }) {
  rmSync(marks, { force: true })
  const options = [`out=${marks}`, ...(imageEnd === undefined ? [] : [`image=${imageEnd}`]), ...(profile === undefined ? [] : [`profile=${profile}`])]
  const child = spawn('qemu-system-riscv64', [...MACHINE, '-icount', `shift=0,sleep=${sleep ? 'on' : 'off'}`, ...args, '-plugin', [plugin, ...options].join(), ...(other === undefined ? [] : ['-plugin', other])], { stdio: ['ignore', 'pipe', 'pipe'] })
  // It goes with us, however we end.
  const kill = () => { child.kill('SIGKILL') }
  process.once('exit', kill)
  for (const signal of SIGNALS) process.once(signal, goes)
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('latin1').on('data', (chunk) => { text += chunk })
  const ended = new Promise((resolve) => { child.on('close', () => { resolve(true) }).on('error', () => { resolve(true) }) })
  const last = Date.now() + 1000 * seconds
  const there = () => read(marks).some(({ mark }) => mark === until)
  for (let over = false; !over && !there() && Date.now() < last;) over = await Promise.race([ended, new Promise((resolve) => { setTimeout(() => { resolve(false) }, LOOK) })])
  // The plugin writes its profile at an orderly end.
  child.kill()
  const late = setTimeout(kill, PATIENCE)
  await ended
  clearTimeout(late)
  process.off('exit', kill)
  for (const signal of SIGNALS) process.off(signal, goes)
  if (!there()) throw new Unmet(`bench: the machine never came to mark ${until}; it said:\n${text.slice(-3000)}`)
  return read(marks)
}

/** @param {string} path @returns {Mark[]} */
function read(path) {
  if (!existsSync(path)) return []
  // The last line may be half written.
  return readFileSync(path, 'utf8').split('\n').slice(0, -1).map((line) => {
    const [mark = 0, all = 0, firmware = 0, image = 0, other = 0] = line.split(' ').map(Number)
    return { mark, all, firmware, image, other }
  })
}

/**
 * Instructions from a mark to the next of another number. Of several such as the first, as of the kernels of a host and of its guest, the last counts.
 * @param {readonly Mark[]} marks @param {number} from @param {number} to
 * @returns {number | undefined} undefined when one of them is not there
 */
export function between(marks, from, to) {
  const end = marks.findIndex(({ mark }) => mark === to)
  const start = marks.slice(0, Math.max(end, 0)).reverse().find(({ mark }) => mark === from)
  return start && marks[end] && marks[end].all - start.all
}
