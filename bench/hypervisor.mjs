/**
 * `node bench/hypervisor.mjs [--only busy,keys,shares,start,idle,booted] [--seconds N] [--idle N] [--booted N]` after a build: many booted guests of 256 MiB under the hypervisor, with its processors in worker threads as a user has them, and
 * beside it, in turn, the same guests in processes of their own: of `machinist`, and of QEMU. CPU time is that of whole processes, all threads, system calls included, or of the thread that runs the guests where it says so.
 *
 * - `busy`: 8 guests that compute: rounds of a loop for each second of CPU time.
 * - `keys`: an interactive guest among 7 that compute: from a key to its echo, on the clock, and under the hypervisor in CPU time of the thread that the guest itself did not take.
 * - `shares`: guests that compute with shares of 1 : 2 : 4, with a reservation and with a limit: what each got, and how far that is from its due.
 * - `start`: 100 machines from one snapshot: the file is opened once, the others are copies; and the same with each from the file.
 * - `idle`: copies of a guest that wait: CPU time and memory of each.
 * - `booted`: guests that were booted one by one, and wait: the same, with equal pages merged; and those in processes.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { busy, keys } from './hypervisor/busy.mjs'
import { booted, copies, snapshot, start } from './hypervisor/idle.mjs'
import { shares } from './hypervisor/shares.mjs'

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'busy,keys,shares,start,idle,booted' }, seconds: { type: 'string', default: '20' }, idle: { type: 'string', default: '200' }, booted: { type: 'string', default: '40' },
  },
})
const rows = values.only.split(',')
const seconds = Number(values.seconds)

/** @param {string} row @param {Readonly<Record<string, number | string>>} figures */
function print(row, figures) {
  console.log(`${row.padEnd(7)} ${Object.entries(figures).map(([name, value]) => `${name} ${typeof value === 'number' ? value.toFixed(3) : value}`).join(', ')}; load ${(loadavg()[0] ?? 0).toFixed(0)}`)
}

const folder = mkdtempSync(join(tmpdir(), 'machinist-bench-'))
try {
  if (rows.includes('busy')) await busy(seconds, print)
  if (rows.includes('keys')) await keys(print)
  if (rows.includes('shares')) await shares(seconds, print)
  if (rows.includes('start') || rows.includes('idle')) {
    const file = await snapshot(folder)
    if (rows.includes('start')) await start(file, print)
    if (rows.includes('idle')) await copies(file, Number(values.idle), print)
  }
  if (rows.includes('booted')) await booted(Number(values.booted), print)
} finally {
  rmSync(folder, { recursive: true })
}
process.exit()
