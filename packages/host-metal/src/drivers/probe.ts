import { fdtCells, fdtStrings, type ParsedFdt, type ParsedFdtNode } from '@machinist/boot'
import type { AddressRange } from './hardware.ts'

/** An interrupt of a device. */
export interface HardwareInterrupt {
  /** The phandle of its controller. */
  readonly controller: number
  /** What the controller calls it: of a PLIC the source, of an APLIC the source and its sense. */
  readonly cells: readonly number[]
}

/** A device that a device tree names. */
export interface HardwareNode {
  /** Such as `'/soc/serial@10000000'`. */
  readonly path: string
  /** From the most exact to the most general. */
  readonly compatible: readonly string[]
  /** Where its registers are, as the processor sees them. */
  readonly ranges: readonly AddressRange[]
  readonly interrupts: readonly HardwareInterrupt[]
  /** 0 for a node that nothing refers to. */
  readonly phandle: number
  /** The first cell of a property, or what is given where there is none. */
  cell(name: string, otherwise: number): number
  /** All cells of a property. */
  cells(name: string): readonly number[]
}

/** Devices that are looked at. */
const MOST_NODES = 4096

/** How a bus counts the addresses of what is on it (DTSpec 2.3.5). */
interface Bus {
  readonly addressCells: number
  readonly sizeCells: number
}

/** How addresses on a bus become those of the processor (2.3.8): null where it cannot reach them. */
type Translate = (address: number, length: number) => number | null

function numberOf(cells: readonly number[], at: number, count: number): number {
  let value = 0
  for (let index = at; index < at + count; index++) value = value * 2 ** 32 + (cells[index] ?? 0)
  return value
}

const cellsOf = (node: ParsedFdtNode, name: string): readonly number[] => fdtCells(node.properties.get(name))

/** 2.3.5: 2 and 1 unless said otherwise. More than 4 mean nothing. */
function busOf(node: ParsedFdtNode): Bus {
  const count = (name: string, otherwise: number): number => Math.min(4, cellsOf(node, name)[0] ?? otherwise)
  return { addressCells: count('#address-cells', 2), sizeCells: count('#size-cells', 1) }
}

function rangesOf(node: ParsedFdtNode, outer: Bus, translate: Translate): Translate {
  const property = node.properties.get('ranges')
  if (property === undefined) return () => null
  if (property.length === 0) return translate
  const { addressCells, sizeCells } = busOf(node)
  const cells = fdtCells(property)
  const step = addressCells + outer.addressCells + sizeCells
  return (address, length) => {
    for (let at = 0; at + step <= cells.length; at += step) {
      const child = numberOf(cells, at, addressCells)
      const size = numberOf(cells, at + addressCells + outer.addressCells, sizeCells)
      if (address >= child && address + length <= child + size) return translate(numberOf(cells, at + addressCells, outer.addressCells) + address - child, length)
    }
    return null
  }
}

function regOf(node: ParsedFdtNode, { addressCells, sizeCells }: Bus, translate: Translate): readonly AddressRange[] {
  const cells = cellsOf(node, 'reg')
  const step = addressCells + sizeCells
  const found: AddressRange[] = []
  for (let at = 0; step > 0 && sizeCells > 0 && at + step <= cells.length; at += step) {
    const length = numberOf(cells, at + addressCells, sizeCells)
    const address = translate(numberOf(cells, at, addressCells), length)
    if (address !== null && length > 0 && Number.isSafeInteger(address + length)) found.push({ address, length })
  }
  return found
}

/** `interrupts`, or `interrupts-extended`, which is the stronger (2.4.1). */
function interruptsOf(node: ParsedFdtNode, parent: number, controllers: ReadonlyMap<number, ParsedFdtNode>): readonly HardwareInterrupt[] {
  const width = (controller: number): number => {
    const found = controllers.get(controller)
    return found === undefined ? 0 : cellsOf(found, '#interrupt-cells')[0] ?? 0
  }
  const found: HardwareInterrupt[] = []
  const extended = cellsOf(node, 'interrupts-extended')
  for (let at = 0; at < extended.length;) {
    const controller = extended[at] ?? 0
    const count = width(controller)
    if (at + 1 + count > extended.length || !controllers.has(controller)) break
    found.push({ controller, cells: extended.slice(at + 1, at + 1 + count) })
    at += 1 + count
  }
  if (extended.length > 0) return found
  const cells = cellsOf(node, 'interrupts')
  const count = width(parent)
  for (let at = 0; count > 0 && at + count <= cells.length; at += count) found.push({ controller: parent, cells: cells.slice(at, at + count) })
  return found
}

/** What a device tree says that there is, in its order: nodes with `compatible` that are not disabled. What it says may be wrong, and is as much as can be used of it. */
export function hardwareNodes(fdt: ParsedFdt): readonly HardwareNode[] {
  const controllers = new Map<number, ParsedFdtNode>()
  const collect = (node: ParsedFdtNode): void => {
    const phandle = cellsOf(node, 'phandle')[0]
    if (phandle !== undefined) controllers.set(phandle, node)
    for (const child of node.children) collect(child)
  }
  collect(fdt.root)
  const found: HardwareNode[] = []
  const visit = (node: ParsedFdtNode, path: string, bus: Bus, translate: Translate, inherited: number): void => {
    const status = fdtStrings(node.properties.get('status'))[0] ?? 'okay'
    if (found.length >= MOST_NODES || (status !== 'okay' && status !== 'ok')) return
    const parent = cellsOf(node, 'interrupt-parent')[0] ?? inherited
    const compatible = fdtStrings(node.properties.get('compatible'))
    if (compatible.length > 0 && path !== '/') {
      found.push({
        path, compatible, ranges: regOf(node, bus, translate), interrupts: interruptsOf(node, parent, controllers), phandle: cellsOf(node, 'phandle')[0] ?? 0,
        cell: (name, otherwise) => cellsOf(node, name)[0] ?? otherwise,
        cells: (name) => cellsOf(node, name),
      })
    }
    const inner = busOf(node)
    const onward = path === '/' ? translate : rangesOf(node, bus, translate)
    for (const child of node.children) visit(child, path === '/' ? `/${child.name}` : `${path}/${child.name}`, inner, onward, parent)
  }
  visit(fdt.root, '/', { addressCells: 2, sizeCells: 1 }, (address) => address, 0)
  return found
}
