import type { FdtNode } from '@machinist/api'
import type { RiscvConfig } from './cpu.ts'

/** Extensions beside the base, in the canonical order of ISA strings (unprivileged specification, chapter 36). */
const extensions: readonly string[] =
  'zicbom zicboz zicntr zicond zicsr zifencei zihintpause zihpm zba zbb zbs sstc svadu svinval svvptc'.split(' ')

function stringOf(list: readonly string[]): string {
  return `rv64imafdc_${list.join('_')}`
}

/** The ISA string of our harts, as `riscv,isa` and /proc/cpuinfo show it; with `_ssaia` before `_sstc` when they take messages. */
export const isaString: string = stringOf(extensions)

/** Adds /cpus: a node for each hart, with its interrupt controller labelled `hart0`, `hart1`, … */
export function describeHarts(root: FdtNode, { harts, identities = 0 }: RiscvConfig, timeFrequency: number): void {
  const list = identities === 0 ? extensions : extensions.flatMap((name) => name === 'sstc' ? ['ssaia', name] : [name])
  const cpus = root.child('cpus').set('#address-cells', 1).set('#size-cells', 0).set('timebase-frequency', timeFrequency)
  for (let i = 0; i < harts; i++) {
    cpus
      .child(`cpu@${i.toString(16)}`)
      .set('device_type', 'cpu')
      .set('reg', i)
      .set('status', 'okay')
      .set('compatible', 'riscv')
      .set('riscv,isa', stringOf(list))
      .set('riscv,isa-base', 'rv64i')
      .set('riscv,isa-extensions', ['i', 'm', 'a', 'f', 'd', 'c', ...list])
      .set('riscv,cbom-block-size', 64)
      .set('riscv,cboz-block-size', 64)
      .set('mmu-type', 'riscv,sv57')
      .child('interrupt-controller')
      .set('compatible', 'riscv,cpu-intc')
      .set('#interrupt-cells', 1)
      .set('interrupt-controller', true)
      .label(`hart${i}`)
  }
}
