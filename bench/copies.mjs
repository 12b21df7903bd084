/**
 * `node bench/copies.mjs [--tests N] [--copies N]` after a build: what copies of a booted guest of 256 MiB cost. What is printed is CPU time of this process, all threads,
 * system calls included, in milliseconds, and memory of the host in MiB.
 *
 * - `copy`: a copy, until it could execute its first instruction, and its end; so many one after the other.
 * - `idle`: resident memory for each of so many copies that wait.
 * - `command`: the same command in the guest that was booted and is warm, and as the first one in a copy.
 * - `tests`: copy, command, end, as a test does; and what of it is not the command.
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

const figures = await each(async () => { (await guest.fork()).dispose() }, copies)
print('copy', { median: median(figures), mean: figures.reduce((sum, figure) => sum + figure, 0) / figures.length })

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
