import type { FdtNode } from '@machinist/api'
import { fdtCells, fdtStrings, type ParsedFdtNode, parseFdt } from '@machinist/boot'

/** Extensions beside the base that a guest gets to see when the hardware has them: those whose state the microkernel keeps, or that have none. In the canonical order of ISA strings. */
const known: readonly string[] = 'zicbom zicboz zicntr zicond zicsr zifencei zihintpause zba zbb zbc zbs zbkb zbkc zbkx sstc svinval svnapot svpbmt'.split(' ')
/** Bytes of a block for `cbo.*`, unless the hardware says otherwise. */
const BLOCK = 64

/** What the hardware's harts can do, as far as guests may know. */
export interface HardwareIsa {
  /** Multi-letter extensions. */
  readonly extensions: readonly string[]
  /** As `mmu-type` says it. */
  readonly mmu: string
  /** Bytes of a block for `cbo.*`, by kind. */
  readonly blocks: { readonly zicbom: number; readonly zicboz: number }
  /** Whether there is the hypervisor extension. */
  readonly hypervisor: boolean
}

const strings = (node: ParsedFdtNode | undefined, name: string): readonly string[] => fdtStrings(node?.properties.get(name))

/** Reads what the hardware is off its device tree. */
export function hardwareIsa(fdt: ArrayBuffer): HardwareIsa {
  const hart = parseFdt(new Uint8Array(fdt), 'hardware').find('/cpus')?.children.find((node) => strings(node, 'device_type')[0] === 'cpu')
  const isa = strings(hart, 'riscv,isa')[0] ?? ''
  const listed = strings(hart, 'riscv,isa-extensions')
  const [base = '', ...multi] = isa.split('_')
  const has = new Set([...multi, ...listed])
  const block = (name: string): number => fdtCells(hart?.properties.get(name))[0] ?? BLOCK
  return {
    extensions: ['zicsr', 'zifencei', ...known.filter((name) => has.has(name))].filter((name, index, all) => all.indexOf(name) === index),
    mmu: strings(hart, 'mmu-type')[0] ?? 'riscv,sv39',
    blocks: { zicbom: block('riscv,cbom-block-size'), zicboz: block('riscv,cboz-block-size') },
    hypervisor: /^rv64[a-z]*h/.test(base) || has.has('h'),
  }
}

/** Adds `/cpus`: a node for each hart, with its interrupt controller labelled `hart0`, `hart1`, … */
export function describeHarts(root: FdtNode, { harts, identities }: { readonly harts: number; readonly identities: number }, { extensions: has, mmu, blocks }: HardwareIsa, timeFrequency: number): void {
  // Ssaia is the kernel's, where it is not the hardware's. Canonical order has it first among those of supervisor mode.
  const before = has.findIndex((name) => /^s[sv]/.test(name))
  const extensions = identities === 0 ? has : before < 0 ? [...has, 'ssaia'] : has.toSpliced(before, 0, 'ssaia')
  const cpus = root.child('cpus').set('#address-cells', 1).set('#size-cells', 0).set('timebase-frequency', timeFrequency)
  for (let i = 0; i < harts; i++) {
    const cpu = cpus
      .child(`cpu@${i.toString(16)}`)
      .set('device_type', 'cpu')
      .set('reg', i)
      .set('status', 'okay')
      .set('compatible', 'riscv')
      .set('riscv,isa', `rv64imafdc_${extensions.join('_')}`)
      .set('riscv,isa-base', 'rv64i')
      .set('riscv,isa-extensions', ['i', 'm', 'a', 'f', 'd', 'c', ...extensions])
      .set('mmu-type', mmu)
    if (extensions.includes('zicbom')) cpu.set('riscv,cbom-block-size', blocks.zicbom)
    if (extensions.includes('zicboz')) cpu.set('riscv,cboz-block-size', blocks.zicboz)
    cpu
      .child('interrupt-controller')
      .set('compatible', 'riscv,cpu-intc')
      .set('#interrupt-cells', 1)
      .set('interrupt-controller', true)
      .label(`hart${i}`)
  }
}
