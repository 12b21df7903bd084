import { Unmet } from '../scripts/lib/say.mjs'
import { defaultRows, rowNames, suites } from './suites.mjs'

/**
 * @typedef {'ours' | 'qemu' | 'v86'} Side
 * @typedef {'riscv64' | 'amd64' | 'i386'} Architecture
 * @typedef {{ json: string | undefined, only: readonly string[], runs: number, architecture: Architecture, sides: readonly Side[], kernel: string | undefined, verbose: boolean }} Options
 */

export const usage = `Usage: npm run bench -- [options]

Builds guests, runs them with the same kernel on Machinist and on QEMU (TCG), one hart and as much memory each, in turn,
and prints the CPU seconds that each row cost the host: of the emulator's whole process tree, medians over the runs.

  --only NAME,…    only these rows: ${defaultRows.join(', ')};
                   and some that run only when they are named: ${rowNames.filter((name) => !defaultRows.includes(name)).join(', ')}
  --suite NAME,…   only the rows of these suites: ${suites.map(({ name }) => name).join(', ')}
  --runs N         repeat N times (1)
  --json FILE      write { "rows": [{ "name", "oursCpuSeconds", "qemuCpuSeconds", "ratio" }] }; ratio = QEMU's time / ours
  --ours-only      run Machinist alone
  --peer-only      run QEMU alone
  --arch NAME      guests of this instruction set: riscv64; or amd64 or i386 (the suites linux and programs)
  --v86            beside v86 as well, which is fetched from npm (--arch i386)
  --kernel FILE    this riscv64 kernel Image in place of Debian's
  --verbose        show the guest's console on stderr
  --help           this text`

/**
 * Reads the command line; undefined when only help was asked for (and printed).
 * @param {readonly string[]} args
 * @returns {Options | undefined}
 */
export function parseOptions(args) {
  /** @type {Options} */
  let options = { json: undefined, only: defaultRows, runs: 1, architecture: 'riscv64', sides: ['ours', 'qemu'], kernel: undefined, verbose: false }
  for (let at = 0; at < args.length; at++) {
    const flag = args[at]
    const value = () => {
      const given = args[++at]
      if (given === undefined) throw new Unmet(`bench: ${flag} needs a value; see --help.`)
      return given
    }
    switch (flag) {
      case '--help': case '-h':
        process.stdout.write(`${usage}\n`)
        return undefined
      case '--json': options = { ...options, json: value() }; break
      case '--kernel': options = { ...options, kernel: value() }; break
      case '--only': options = { ...options, only: checkedNames(value()) }; break
      case '--suite': options = { ...options, only: rowsOf(value()) }; break
      case '--arch': options = { ...options, architecture: checkedArchitecture(value()) }; break
      case '--runs': options = { ...options, runs: checkedCount(value()) }; break
      case '--ours-only': options = { ...options, sides: ['ours'] }; break
      case '--v86': options = { ...options, sides: [...options.sides, 'v86'] }; break
      case '--peer-only': options = { ...options, sides: ['qemu'] }; break
      case '--verbose': options = { ...options, verbose: true }; break
      default: throw new Unmet(`bench: unknown option ${flag}; see --help.`)
    }
  }
  if (options.sides.includes('v86') && options.architecture !== 'i386') throw new Unmet('bench: v86 runs code of i386; --v86 goes with --arch i386.')
  if (options.architecture === 'riscv64') return options
  if (options.kernel !== undefined) throw new Unmet('bench: --kernel is for riscv64; leave it out.')
  const only = options.only.filter((name) => suites.some(({ guest, rows }) => guest === 'workload' && rows.some((row) => row.name === name)))
  const other = options.only.find((name) => !only.includes(name))
  if (other !== undefined && options.only !== defaultRows) throw new Unmet(`bench: the row ${other} has no guest for ${options.architecture}; those of the suites linux and programs have.`)
  return { ...options, only }
}

/** @param {string} text @returns {Architecture} */
function checkedArchitecture(text) {
  if (text !== 'riscv64' && text !== 'amd64' && text !== 'i386') throw new Unmet(`bench: --arch takes riscv64, amd64 or i386, not ${text}.`)
  return text
}

/** @param {string} list */
function checkedNames(list) {
  const names = list.split(',').filter((name) => name !== '')
  const unknown = names.filter((name) => !rowNames.includes(name))
  if (unknown.length > 0 || names.length === 0) throw new Unmet(`bench: no row is named ${unknown.join(', ') || '(nothing)'}; the rows are ${rowNames.join(', ')}.`)
  return rowNames.filter((name) => names.includes(name))
}

/** @param {string} list */
function rowsOf(list) {
  const names = list.split(',').filter((name) => name !== '')
  const unknown = names.filter((name) => !suites.some((suite) => suite.name === name))
  if (unknown.length > 0 || names.length === 0) throw new Unmet(`bench: no suite is named ${unknown.join(', ') || '(nothing)'}; the suites are ${suites.map(({ name }) => name).join(', ')}.`)
  return suites.filter(({ name }) => names.includes(name)).flatMap(({ rows }) => rows.map(({ name }) => name))
}

/** @param {string} text */
function checkedCount(text) {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > 100) throw new Unmet(`bench: --runs takes a number from 1 to 100, not ${text}.`)
  return count
}
