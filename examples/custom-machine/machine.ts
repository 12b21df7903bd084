import type { Backend, CharPort, DeviceSpec } from '@machinist/api'
import { riscv } from '@machinist/cpu-riscv'
import { syscon, uart16550a } from '@machinist/devices'
import { clint, plic } from '@machinist/interrupts'
import { defineMachine, type MachineBlueprint, type MachineOptions, part } from '@machinist/machine'

/**
 * A device of our own. Register 0 reads the microseconds since it was last written; a write to register 4 asks for an
 * interrupt after that many microseconds; register 8 reads 1 when it has come, and a write there takes it back.
 */
export const stopwatch: DeviceSpec<object, { started: number; rang: boolean }, 'alarm', Record<never, never>> = {
  kind: 'stopwatch',
  stateVersion: 1,
  backends: {},
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 12, space: 'mmio' }],
  irqs: () => ['alarm'],
  create(_config, { clock, irq }) {
    const alarm = clock.timer('alarm')
    let started = 0
    let rang = false
    const ring = (on: boolean): void => { irq.alarm.set(rang = on) }
    return {
      read: (_region, offset) => (offset === 0 ? Math.floor((clock.now() - started) / 1000) >>> 0 : Number(offset === 8 && rang)),
      write(_region, offset, _width, value) {
        if (offset === 0) started = clock.now()
        else if (offset === 4) alarm.arm(clock.now() + value * 1000)
        else ring(false)
      },
      event() { ring(true) },
      reset() { alarm.cancel(); started = clock.now(); ring(false) },
      save: () => ({ started, rang }),
      restore(state) { started = state.started; ring(state.rang) },
    }
  },
  describe(_config, at, { fdt }) {
    const base = at.regions[0]?.base ?? 0
    fdt?.child('soc').child(`stopwatch@${base.toString(16)}`).set('compatible', 'example,stopwatch').set('reg', [{ u64: base }, { u64: 12 }])
  },
}

const HARTS = 3

/** What the machine is connected to, and what it starts. */
export interface CustomOptions extends Pick<MachineOptions, 'boot' | 'time'> {
  readonly consoles: readonly [Backend<CharPort>, Backend<CharPort>]
  readonly firmware?: 'sbi' | 'none'
}

/** RAM at 1 GiB, three harts, two serial lines; devices without an address go where the window has room. */
export function customMachine({ consoles, firmware = 'sbi', ...rest }: CustomOptions): MachineBlueprint {
  return defineMachine({
    name: 'custom',
    memory: { base: 0x4000_0000, size: 256 * 2 ** 20 },
    window: { base: 0x2000_0000, size: 0x10_0000 },
    cpu: part(riscv, { config: { harts: HARTS, firmware }, backends: { console: { type: 'share', with: 'uart0.console' } } }),
    devices: {
      plic: part(plic, { at: 0x800_0000, config: { harts: HARTS, sources: 31 } }),
      clint: part(clint, { at: 0x300_0000, config: { harts: HARTS } }),
      uart0: part(uart16550a, { backends: { console: consoles[0] } }),
      uart1: part(uart16550a, { irq: 20, backends: { console: consoles[1] } }),
      stopwatch: part(stopwatch),
      power: part(syscon),
    },
    ...rest,
  })
}
