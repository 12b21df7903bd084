import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { maxHarts, routeToCpu, type HartsConfig, type NoBackends } from '../harts.ts'
import { describeAclint, type AclintNode } from './describe.ts'
import { Aclint, type AclintIrq, type AclintPart, type AclintState } from './device.ts'
import { clintWindows, mswiWindows, mtimerWindows, sswiWindows, type Window } from './registers.ts'

/** Spec of a device of the ACLINT family. Configuration: `{ harts = 1, cpu = 'cpu' }`. */
export type AclintSpec = DeviceSpec<HartsConfig, AclintState, AclintIrq, NoBackends>

/** Machine timer: `mtime` (region 0) and one `mtimecmp` for each hart (region 1). ACLINT 1.0-rc4, chapter 2. */
export const aclintMtimer: AclintSpec = aclint('aclint-mtimer', ['mtimer'], mtimerWindows, {
  name: 'mtimer', compatible: ['riscv,aclint-mtimer'], controller: false,
})

/** Machine software interrupts: one `msip` for each hart. ACLINT 1.0-rc4, chapter 3. */
export const aclintMswi: AclintSpec = aclint('aclint-mswi', ['mswi'], mswiWindows, {
  name: 'mswi', compatible: ['riscv,aclint-mswi'], controller: true,
})

/** Supervisor software interrupts: writing 1 to `setssip` sends an edge to the hart. ACLINT 1.0-rc4, chapter 4. */
export const aclintSswi: AclintSpec = aclint('aclint-sswi', ['sswi'], sswiWindows, {
  name: 'sswi', compatible: ['riscv,aclint-sswi'], controller: true,
})

/** MSWI and MTIMER in the layout of the SiFive CLINT, which firmware and kernels of any age find. */
export const clint: AclintSpec = aclint('clint', ['mswi', 'mtimer'], clintWindows, {
  name: 'clint', compatible: ['sifive,clint0', 'riscv,clint0'], controller: false,
})

const outputs = { mtimer: 'mtip', mswi: 'msip', sswi: 'ssip' } as const

function aclint(kind: string, parts: readonly AclintPart[], windows: readonly Window[], node: AclintNode): AclintSpec {
  const irqs = ({ harts }: HartsConfig): AclintIrq[] => Array.from({ length: harts }, (_, hart) => parts.map((part): AclintIrq => `hart${hart}.${outputs[part]}`)).flat()
  return {
    kind,
    stateVersion: 1,
    backends: {},
    configure(input, name) {
      const data = plainData(name, input, 'configuration')
      const config: HartsConfig = { harts: data.integer('harts', 1, maxHarts, 1), cpu: data.string('cpu', 'cpu') }
      data.done()
      return config
    },
    regions: () => windows.map(({ name, size }) => ({ name, size, space: 'mmio' })),
    irqs,
    perHart: true,
    defaultRoute: routeToCpu,
    create: (config, context) => new Aclint(config, context, parts, windows),
    describe(config, at, out) { describeAclint(node, irqs(config), at, out) },
  }
}
