import { machinistError } from '@machinist/api'
import { fdtCells, fdtStrings, parseFdt, type ParsedFdt, type ParsedFdtNode } from './fdt-reader.ts'

/** What names may consist of in source (DTSpec 2.2.1 and 2.2.4.1), and `@` where a node has an address. */
const NAME = /^[0-9a-zA-Z,._+*#?@-]+$/
/** What stands in a string by itself. */
const FIRST_PRINTABLE = 0x20
const LAST_PRINTABLE = 0x7e

const hex = (value: number): string => `0x${value.toString(16)}`

/** Whether these are strings that are not empty, each of printable characters and with a zero behind it. */
function isText(value: Uint8Array): boolean {
  if (value.length === 0 || value.at(-1) !== 0) return false
  return value.every((byte, index) => (byte === 0 ? index > 0 && value[index - 1] !== 0 : byte >= FIRST_PRINTABLE && byte <= LAST_PRINTABLE))
}

/** A property's value as source, in one of its forms: what a blob keeps are the bytes alone. */
function valueText(value: Uint8Array): string {
  if (isText(value)) return fdtStrings(value).map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(', ')
  if (value.length % 4 === 0) return `<${fdtCells(value).map(hex).join(' ')}>`
  return `[${Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join(' ')}]`
}

function named(name: string): string {
  if (!NAME.test(name)) throw machinistError({ code: 'fdt-text', part: 'dtb', value: JSON.stringify(name), remedy: 'Rename it' }, 'a name that source cannot hold')
  return name
}

function* lines(node: ParsedFdtNode, indent: string): Generator<string> {
  yield `${indent}${node.name === '' ? '/' : named(node.name)} {`
  for (const [name, value] of node.properties) yield `${indent}\t${named(name)}${value.length === 0 ? '' : ` = ${valueText(value)}`};`
  for (const [index, child] of node.children.entries()) {
    if (index > 0 || node.properties.size > 0) yield ''
    yield* lines(child, `${indent}\t`)
  }
  yield `${indent}};`
}

/**
 * A device tree as source (DTSpec 0.4, chapter 6), which `dtc` makes the same tree of. References are numbers of `phandle`s, as they are in a blob.
 *
 * @param tree - a blob, or what {@link parseFdt} made of it
 * @throws typed errors as {@link parseFdt}, and `'fdt-text'` for names that source cannot hold
 */
export function fdtText(tree: Uint8Array | ParsedFdt): string {
  const { reservations, root } = tree instanceof Uint8Array ? parseFdt(tree) : tree
  return [
    '/dts-v1/;', '',
    ...(reservations.length === 0 ? [] : [...reservations.map(({ address, size }) => `/memreserve/ ${hex(address)} ${hex(size)};`), '']),
    ...lines(root, ''), '',
  ].join('\n')
}
