import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { Unmet } from '../../scripts/lib/say.mjs'

/** How often the marks are looked at, in milliseconds. */
const LOOK = 100

/** The machine that all sides run on: it counts instructions, each takes a nanosecond, and when all wait time goes on at once. */
const MACHINE = ['-machine', 'virt', '-cpu', 'rv64,h=true', '-nographic', '-echr', '0x1d', '-bios', 'default', '-icount', 'shift=0,sleep=off', '-global', 'virtio-mmio.force-legacy=false']

/** @typedef {{ mark: number, all: number, firmware: number, image: number, other: number }} Mark instructions before it, in all and by where they lie */

/**
 * Runs the emulated machine until a mark.
 * @param {{ plugin: string, marks: string, args: readonly string[], until: number, seconds: number, imageEnd?: number, profile?: string, atEnd?: (console: string) => Promise<void> }} options
 * @returns {Promise<Mark[]>}
 * @throws {Unmet} when it does not come to it
 */
export async function count({ plugin, marks, args, until, seconds, imageEnd, profile }) {
  rmSync(marks, { force: true })
  const options = [`out=${marks}`, ...(imageEnd === undefined ? [] : [`image=${imageEnd}`]), ...(profile === undefined ? [] : [`profile=${profile}`])]
  const child = spawn('qemu-system-riscv64', [...MACHINE, ...args, '-plugin', [plugin, ...options].join()], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('latin1').on('data', (chunk) => { text += chunk })
  const ended = new Promise((resolve) => { child.on('close', () => { resolve(true) }).on('error', () => { resolve(true) }) })
  const last = Date.now() + 1000 * seconds
  const there = () => read(marks).some(({ mark }) => mark === until)
  for (let over = false; !over && !there() && Date.now() < last;) over = await Promise.race([ended, new Promise((resolve) => { setTimeout(() => { resolve(false) }, LOOK) })])
  child.kill()
  await ended
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
 * Instructions from a mark to the next of another number.
 * @param {readonly Mark[]} marks @param {number} from @param {number} to
 * @returns {number | undefined} undefined when one of them is not there
 */
export function between(marks, from, to) {
  const [start, end] = [marks.find(({ mark }) => mark === from), marks.find(({ mark }) => mark === to)]
  return start && end && end.all - start.all
}
