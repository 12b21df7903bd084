import { readFileSync } from 'node:fs'
import { Unmet } from '../../scripts/lib/say.mjs'
import { command } from '../guest.mjs'
import { HARDWARE, count } from './emulator.mjs'
import { buildBare, buildPlugin, buildProgram, place } from './measure.mjs'
import { END, rows } from './rows.mjs'
import { tools } from './tools.mjs'

/** What takes less of a round than this is left out. */
const LEAST = 0.5

/** Functions of C of an image, by address. @param {string} elf @returns {{ address: number, name: string }[]} */
function symbolsOf(elf) {
  return command('riscv64-unknown-elf-nm', ['-n', '--defined-only', elf]).split('\n').flatMap((line) => {
    const [, address, name] = /^([0-9a-f]+) [tT] ([A-Za-z_][\w.]*)$/.exec(line) ?? []
    return address === undefined || name === undefined ? [] : [{ address: parseInt(address, 16), name }]
  })
}

/**
 * What functions take in each round of a row, as tables.
 * @param {string} row @returns {Promise<string>}
 */
export async function functions(row) {
  const found = rows.find(({ name }) => name === row)
  if (found === undefined) throw new Unmet(`bench: no row is called ${row}; there are ${rows.map(({ name }) => name).join(', ')}`)
  const { mark, rounds } = found
  const bare = buildBare()
  const make = await tools()
  const image = await buildProgram(make, await make.prepareEngine({}), bare, true)
  const out = place('functions')
  await count({
    plugin: buildPlugin('count'), marks: place('bare-telling-marks'), args: ['-m', HARDWARE, '-kernel', image.path], until: END, seconds: 300, imageEnd: image.end,
    other: `${buildPlugin('functions')},out=${out},from=${mark},to=${mark + 1}`,
  })
  const symbols = symbolsOf(`${image.path}.elf`)
  /** @param {number} address */
  const symbolAt = (address) => symbols.findLast((symbol) => symbol.address <= address)?.name ?? '?'
  /** @type {Map<string, number>} */
  const c = new Map()
  const called = []
  for (const line of readFileSync(out, 'utf8').split('\n')) {
    const [first = '', second = '', third = '', kind, address = '', ...name] = line.split(' ')
    if (first === 'at') {
      const symbol = symbolAt(parseInt(second, 16))
      c.set(symbol, (c.get(symbol) ?? 0) + Number(third) / rounds)
    } else if (kind !== undefined) called.push({ calls: Number(first) / rounds, own: Number(second) / rounds, all: Number(third) / rounds, name: kind === 'c' ? `[${symbolAt(parseInt(address, 16))}]` : name.join(' ') })
  }
  /** @param {number} value */
  const number = (value) => value.toFixed(value < 100 ? 1 : 0).padStart(9)
  return [
    `${row}: instructions of each round by functions that the program called`, `${'calls'.padStart(9)}${'own'.padStart(9)}${'all'.padStart(9)}`,
    ...called.filter(({ own, calls }) => own >= LEAST || calls >= LEAST).sort((one, other) => other.own - one.own).map(({ calls, own, all, name }) => `${number(calls)}${number(own)}${number(all)} ${name}`),
    `${number(called.reduce((sum, { calls }) => sum + calls, 0))}${number(called.reduce((sum, { own }) => sum + own, 0))}`,
    '', 'and by functions of C in the image',
    ...[...c].filter(([, own]) => own >= LEAST).sort(([, one], [, other]) => other - one).map(([name, own]) => `${number(own)} ${name}`),
    '',
  ].join('\n')
}
