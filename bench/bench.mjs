import { writeFileSync } from 'node:fs'
import { Unmet, say } from '../scripts/lib/say.mjs'
import { debianDisk, debianGuest, debianSystem } from './debian.mjs'
import { emulate } from './emulator.mjs'
import { buildBareWorkload, buildDiskRows, buildLinuxWorkload, buildNetGuest, buildPlainDisk, buildRealRows } from './guest.mjs'
import { hostPeer } from './net/host.mjs'
import { suites } from './suites.mjs'

/**
 * @typedef {{ cpu: number, wall: number, instret: number, checksum: string }} Sample
 * @typedef {{ name: string, oursCpuSeconds: number | null, qemuCpuSeconds: number | null, ratio: number | null, oursMips: number | null, v86CpuSeconds?: number | null, v86Ratio?: number | null }} Row
 */

/** What a row of the network moves, in blocks of 64 KiB. */
const blocks = 2048
/** Where one guest of two waits for the other. */
const server = { address: '10.0.2.16', port: 5001 }

/** No boot takes longer than this, however slow the side. */
const timeoutMs = 30 * 60 * 1000

/**
 * Runs the benchmark, prints its table, and resolves with the exit status.
 * @param {import('./options.mjs').Options} options
 */
export async function bench(options) {
  /** @type {Map<string, Sample[]>} samples by `side row` */
  const samples = new Map()
  const chosen = suites.filter((suite) => suite.rows.some((row) => options.only.includes(row.name)))
  const guests = new Map()
  for (const suite of chosen) guests.set(suite.name, await prepare(suite, options))

  for (let run = 0; run < options.runs; run++) {
    for (const suite of chosen) {
      // In turn, and each first as often as the other: neither side has the warmer machine.
      const sides = run % 2 === 0 ? options.sides : [...options.sides].reverse()
      for (const side of sides) {
        say(`run ${run + 1} of ${options.runs}: ${suite.name} on ${side} …`)
        const marks = await emulate(side, guests.get(suite.name), { verbose: options.verbose, timeoutMs })
        for (const row of suite.rows) {
          if (!options.only.includes(row.name)) continue
          const key = `${side} ${row.name}`
          samples.set(key, [...(samples.get(key) ?? []), sampleOf(row, marks, side)])
        }
      }
    }
  }

  for (const name of options.only) compareResults(name, options.sides, samples)
  const rows = options.only.map((name) => rowOf(name, options.sides, samples))
  process.stdout.write(table(rows, samples))
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ rows }, null, 2)}\n`)
  return 0
}

/**
 * @param {import('./suites.mjs').Suite} suite
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<import('./emulator.mjs').Guest>}
 */
async function prepare(suite, options) {
  if (suite.guest === 'bare') return { kernel: buildBareWorkload(), memory: '256M' }
  const names = suite.rows.filter((row) => row.from === 'marks' && options.only.includes(row.name)).map((row) => row.name)
  // What follows `--` the kernel hands to init as its arguments.
  const append = (/** @type {readonly string[]} */ ...words) => ['console=ttyS0', 'panic=-1', ...words, '--', ...names].join(' ')
  if (suite.guest === 'workload') {
    const { architecture } = options
    return { architecture, kernel: options.kernel ?? (await debianGuest(architecture)).kernel, initrd: buildLinuxWorkload(architecture), append: append(), memory: '256M' }
  }
  if (suite.guest === 'debian') {
    if (options.kernel !== undefined) throw new Unmet('bench: the row login boots the kernel of its disk; leave out --kernel.')
    const { disk, kernel, initrd, root } = await debianSystem()
    return { kernel, initrd, append: `${root} console=ttyS0 TERM=dumb systemd.tty.term.ttyS0=dumb`, memory: '1G', disk, scratch: true, until: ' login: ' }
  }
  if (options.kernel !== undefined) throw new Unmet(`bench: the rows ${names.join(', ')} need modules of Debian's kernel; leave out --kernel.`)
  const { kernel, initrd } = await debianGuest()
  if (suite.guest === 'net' || suite.guest === 'pair') {
    const guest = { kernel, initrd: buildNetGuest(initrd), memory: '256M' }
    const line = (/** @type {string} */ own, /** @type {string[]} */ ...rows) => `console=ttyS0 panic=-1 rdinit=/bench/init${own} -- ${rows.join(' ')}`
    if (suite.guest === 'pair') {
      const rows = names.map((name) => `${name}=up:${blocks}:${server.address}:${server.port}`)
      return { ...guest, append: line(' address=10.0.2.15/24', ...rows), other: line(` address=${server.address}/24`, `serve=${server.port}`) }
    }
    const { takes, gives } = await hostPeer(blocks)
    const ways = { 'net-up': `up:${blocks}:10.0.2.2:${takes}`, 'net-down': `down:${blocks}:10.0.2.2:${gives}` }
    return { ...guest, append: line('', ...names.map((name) => `${name}=${ways[/** @type {keyof typeof ways} */ (name)]}`)), services: [takes, gives] }
  }
  if (suite.guest === 'disk') {
    return { kernel, initrd: buildDiskRows(initrd), append: append('rdinit=/bench/init'), memory: '256M', disk: buildPlainDisk(), writable: true }
  }
  return { kernel, initrd: buildRealRows(initrd), append: append('rdinit=/bench/init'), memory: '1G', disk: await debianDisk() }
}

/**
 * @param {import('./suites.mjs').Suite['rows'][number]} row
 * @param {readonly import('./emulator.mjs').Mark[]} marks
 * @param {string} side
 * @returns {Sample}
 */
function sampleOf(row, marks, side) {
  const find = (/** @type {string} */ name, /** @type {string} */ kind) => {
    const mark = marks.find((candidate) => candidate.row === name && candidate.mark === kind)
    if (mark === undefined) throw new Unmet(`bench: the guest on ${side} printed no ${kind} mark of row ${row.name}.`)
    return mark
  }
  if (row.from === 'boot') {
    const { cpu, wall, instret, checksum } = find('init', 'init')
    return { cpu, wall, instret, checksum }
  }
  const start = find(row.name, 'start'), end = find(row.name, 'end'), checked = find(row.name, 'checked')
  const scale = row.per === undefined ? 1 : row.per / checked.work
  return { cpu: (end.cpu - start.cpu) * scale, wall: (end.wall - start.wall) * scale, instret: end.instret * scale, checksum: checked.checksum }
}

/** Refuses a row whose result was not always the same. @param {string} name @param {readonly import('./options.mjs').Side[]} sides @param {Map<string, Sample[]>} samples */
function compareResults(name, sides, samples) {
  const results = sides.map((side) => `${side} ${name}`).flatMap((key) => (samples.get(key) ?? []).map(({ checksum }) => `${key}: ${checksum}`))
  if (new Set(results.map((text) => text.split(': ')[1])).size > 1) throw new Unmet(`bench: row ${name} had different results: ${results.join(', ')}.`)
}

/** @param {string} name @param {readonly import('./options.mjs').Side[]} sides @param {Map<string, Sample[]>} samples @returns {Row} */
function rowOf(name, sides, samples) {
  const ratioOf = (/** @type {number | null} */ peer) => (ours === null || peer === null || ours === 0 ? null : round(peer / ours))
  const ours = median(samples.get(`ours ${name}`), (sample) => sample.cpu)
  const qemu = median(samples.get(`qemu ${name}`), (sample) => sample.cpu)
  const v86 = median(samples.get(`v86 ${name}`), (sample) => sample.cpu)
  const instret = median(samples.get(`ours ${name}`), (sample) => sample.instret)
  return {
    name,
    oursCpuSeconds: ours,
    qemuCpuSeconds: qemu,
    ratio: ratioOf(qemu),
    oursMips: ours === null || ours === 0 || instret === null || instret === 0 ? null : round(instret / ours / 1e6),
    ...(sides.includes('v86') && { v86CpuSeconds: v86, v86Ratio: ratioOf(v86) }),
  }
}

/** @param {readonly Sample[] | undefined} samples @param {(sample: Sample) => number} field */
function median(samples, field) {
  if (samples === undefined || samples.length === 0) return null
  const sorted = samples.map(field).sort((a, b) => a - b)
  // One value in the middle, or the mean of two.
  const middle = sorted.slice((sorted.length - 1) >> 1, (sorted.length >> 1) + 1)
  return round(middle.reduce((sum, value) => sum + value, 0) / middle.length)
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 1000) / 1000
}

/** @param {readonly Row[]} rows @param {Map<string, Sample[]>} samples */
function table(rows, samples) {
  const show = (/** @type {number | null} */ value, /** @type {number} */ digits) => (value === null ? '–' : value.toFixed(digits))
  const wall = (/** @type {string} */ side, /** @type {string} */ name) => show(median(samples.get(`${side} ${name}`), (sample) => sample.wall), 2)
  const withV86 = rows.some(({ v86CpuSeconds }) => v86CpuSeconds !== undefined)
  const cells = [
    ['row', 'ours CPU s', 'QEMU CPU s', 'ratio', ...(withV86 ? ['v86 CPU s', 'v86 ratio'] : []), 'ours MIPS', 'ours wall s', 'QEMU wall s'],
    ...rows.map((row) => [
      row.name, show(row.oursCpuSeconds, 2), show(row.qemuCpuSeconds, 2), show(row.ratio, 2), ...(withV86 ? [show(row.v86CpuSeconds ?? null, 2), show(row.v86Ratio ?? null, 2)] : []),
      show(row.oursMips, 0), wall('ours', row.name), wall('qemu', row.name),
    ]),
  ]
  const width = (/** @type {number} */ column) => Math.max(...cells.map((line) => line[column]?.length ?? 0))
  const lines = cells.map((line) => line.map((cell, column) => (column === 0 ? cell.padEnd(width(column)) : cell.padStart(width(column)))).join('  '))
  return `${lines.join('\n')}\n`
}
