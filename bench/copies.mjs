/**
 * `node bench/copies.mjs [--tests N] [--copies N]` after a build: what copies of a booted guest of 256 MiB cost. What is printed is CPU time of this process, all threads,
 * system calls included, in milliseconds, and memory of the host in MiB.
 *
 * - `copy`: a copy, until it could execute its first instruction; and its end; so many one after the other.
 * - `idle`: resident memory for each of so many copies that wait.
 * - `command`: the same command in the guest that was booted and is warm, and as the first one in a copy.
 * - `tests`: copy, command, end, as a test does; and what of it is not the command.
 * - `large`: as `copy`, of a guest that has touched more than 1 GiB.
 */
import { parseArgs } from 'node:util'
import { product } from './product.mjs'

const { values } = parseArgs({ options: { tests: { type: 'string', default: '1000' }, copies: { type: 'string', default: '200' } } })
const [tests, copies] = [Number(values.tests), Number(values.copies)]
const COMMAND = 'echo hello'
const WARM = 60

const { bootGuest } = await product('machinist')
const guest = await bootGuest()

/** CPU milliseconds of this process. */
const cpu = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** @param {readonly number[]} figures */
const median = (figures) => [...figures].sort((a, b) => a - b)[figures.length >> 1] ?? NaN

/** @param {(index: number) => Promise<void>} work @param {number} times */
async function each(work, times) {
  const figures = []
  for (let index = 0; index < times; index++) {
    const before = cpu()
    await work(index)
    figures.push(cpu() - before)
  }
  return figures
}

/** @param {string} row @param {Readonly<Record<string, number>>} figures */
function print(row, figures) {
  console.log(`${row.padEnd(8)} ${Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(2)}`).join(', ')}`)
}

const warm = async () => { if ((await guest.exec(COMMAND)).stdout !== 'hello\n') throw new Error('the command failed') }
for (let run = 0; run < WARM; run++) await warm()
const inParent = median(await each(warm, WARM))
guest.pause()

/** Copies and ends, so many. @param {import('../packages/machinist/src/index.ts').Guest} of */
async function copyAndEnd(of) {
  /** @type {number[]} */
  const ends = []
  const made = await each(async () => {
    const copy = await of.fork()
    const before = cpu()
    copy.dispose()
    ends.push(cpu() - before)
  }, copies)
  const begun = made.map((figure, index) => figure - (ends[index] ?? 0))
  return { 'until its first instruction': median(begun), 'the first one': begun[0] ?? NaN, 'its end': median(ends), 'mean of both': made.reduce((sum, figure) => sum + figure, 0) / made.length }
}

print('copy', await copyAndEnd(guest))

const resident = process.memoryUsage().rss
const held = []
for (let index = 0; index < copies; index++) held.push(await guest.fork())
// They have all come to wait again.
await new Promise((resolve) => { setTimeout(resolve, 500) })
print('idle', { 'MiB each': (process.memoryUsage().rss - resident) / held.length / 2 ** 20 })
for (const copy of held) copy.dispose()

const inCopy = []
const began = cpu()
for (let index = 0; index < tests; index++) {
  const copy = await guest.fork()
  const before = cpu()
  const { stdout } = await copy.exec(COMMAND)
  inCopy.push(cpu() - before)
  if (stdout !== 'hello\n') throw new Error(`a copy said ${stdout}`)
  copy.dispose()
}
const all = (cpu() - began) / tests
print('command', { 'in the booted guest': inParent, 'in a copy': median(inCopy), ratio: median(inCopy) / inParent })
print('tests', { each: all, 'beyond the command': all - inParent })
guest.dispose()

const large = await bootGuest({ machine: { memory: 1408 * 2 ** 20 } })
await large.exec('mkdir /big && mount -t tmpfs -o size=1200m none /big && yes | head -c 1100000000 > /big/file', { timeout: 600_000 })
large.pause()
print('large', { 'MiB touched': large.machine.stats.touchedMemory / 2 ** 20, ...await copyAndEnd(large) })
large.dispose()
