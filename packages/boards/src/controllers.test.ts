import { isMachinistError } from '@machinist/api'
import { fdtCells, parseFdt, type ParsedFdtNode } from '@machinist/boot'
import { riscv } from '@machinist/cpu-riscv'
import { uart16550a } from '@machinist/devices'
import { clint, imsic, plic } from '@machinist/interrupts'
import { buildTree, defineMachine, type IrqChoice, part, type ResolvedMachine, resolve } from '@machinist/machine'
import { expect, test } from 'vitest'

const RAM = { base: 0x8000_0000, size: 1 << 24 }
/** Causes of external interrupts in machine and supervisor mode, and what stands for none. */
const M = 11
const S = 9
const NONE = 0xffff_ffff

function machine(harts: number, config: { readonly first: number; readonly second: number; readonly clint?: number }, irq?: Record<string, IrqChoice>): ResolvedMachine {
  const { definition, catalogue } = defineMachine({
    name: 'pair',
    memory: RAM,
    cpu: part(riscv, { config: { harts }, backends: { console: 'null' } }),
    interruptController: 'first',
    devices: {
      clint: part(clint, { config: { harts: config.clint ?? harts } }),
      first: part(plic, { config: { harts: config.first } }),
      ...(config.second > 0 && { second: part(plic, { config: { harts: config.second }, ...(irq && { irq }) }) }),
    },
  })
  return resolve(definition, catalogue)
}

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (isMachinistError(error)) return `${error.code} ${error.part} ${String(error.value)}`
    throw error
  }
  return 'none'
}

/** `interrupts-extended` of each controller, phandles as the paths of what they point to. */
function routesIn(resolved: ResolvedMachine): Record<string, (string | number)[]> {
  const { root } = parseFdt(buildTree(resolved, {}))
  const names = new Map<number, string>()
  const found: Record<string, (string | number)[]> = {}
  const walk = (node: ParsedFdtNode, path: string, visit: (node: ParsedFdtNode, path: string) => void): void => {
    visit(node, path)
    for (const child of node.children) walk(child, `${path}/${child.name}`, visit)
  }
  walk(root, '', ({ properties }, path) => {
    const [phandle] = fdtCells(properties.get('phandle'))
    if (phandle !== undefined) names.set(phandle, path)
  })
  walk(root, '', ({ name, properties }) => {
    const cells = fdtCells(properties.get('interrupts-extended'))
    if (cells.length > 0) found[name] = cells.map((cell, index) => index % 2 === 0 ? /cpu@\d+/.exec(names.get(cell) ?? '')?.[0] ?? names.get(cell) ?? cell : cell)
  })
  return found
}

test('each controller names the harts that it was routed to, in the order of its contexts', () => {
  const routes = routesIn(machine(4, { first: 2, second: 3 }, {
    'hart0.meip': { line: 'hart2.meip' }, 'hart0.seip': { line: 'hart2.seip' }, 'hart1.meip': null, 'hart1.seip': { to: 'first', line: 7 },
    'hart2.meip': { line: 'hart3.meip' }, 'hart2.seip': { line: 'hart3.seip' },
  }))
  const plics = Object.entries(routes).filter(([name]) => name.startsWith('plic@')).map(([, cells]) => cells)
  expect(plics[0]).toEqual(['cpu@0', M, 'cpu@0', S, 'cpu@1', M, 'cpu@1', S])
  expect(plics[1]?.slice(0, 6)).toEqual(['cpu@2', M, 'cpu@2', S, 'cpu@2', NONE])
  expect(plics[1]?.[6]).toMatch(/^\/soc\/plic@/)
  expect(plics[1]?.slice(7)).toEqual([7, 'cpu@3', M, 'cpu@3', S])
})

test('a machine with a hart that controllers leave out is refused, unless the definition says so', () => {
  const irq = { 'hart0.meip': { line: 'hart2.meip' }, 'hart0.seip': { line: 'hart2.seip' }, 'hart1.meip': { line: 'hart3.meip' } }
  expect(codeOf(() => machine(4, { first: 2, second: 2 }, { ...irq, 'hart1.seip': { to: 'first', line: 7 } }))).toBe('hart-not-served first hart3.seip')
  expect(codeOf(() => machine(4, { first: 2, second: 4 }, { ...irq, 'hart1.seip': null, 'hart2.meip': null, 'hart2.seip': null, 'hart3.meip': null, 'hart3.seip': null }))).toBe('none')
  expect(codeOf(() => machine(4, { first: 2, second: 0 }))).toBe('hart-not-served first hart2.meip')
  expect(codeOf(() => machine(2, { first: 2, second: 0, clint: 1 }))).toBe('hart-not-served clint hart1.msip')
  const { definition, catalogue } = defineMachine({
    name: 'pair', memory: RAM, cpu: part(riscv, { config: { harts: 2, identities: 255 }, backends: { console: 'null' } }), devices: { imsic: part(imsic) },
  })
  expect(codeOf(() => resolve(definition, catalogue))).toBe('hart-not-served imsic hart1.simsic')
})

test('a device that interrupts a hart without a controller says so', () => {
  const { definition, catalogue } = defineMachine({
    name: 'pair', memory: RAM, cpu: part(riscv, { config: { harts: 2 }, backends: { console: 'null' } }),
    devices: { uart: part(uart16550a, { irq: { line: 'hart1.seip' }, backends: { console: 'null' } }) },
  })
  const { root } = parseFdt(buildTree(resolve(definition, catalogue), {}))
  const serial = root.children.find(({ name }) => name === 'soc')?.children[0]
  const intc = root.children.find(({ name }) => name === 'cpus')?.children[1]?.children[0]
  expect(fdtCells(serial?.properties.get('interrupts'))).toEqual([S])
  expect(fdtCells(serial?.properties.get('interrupt-parent'))).toEqual(fdtCells(intc?.properties.get('phandle')))
})
