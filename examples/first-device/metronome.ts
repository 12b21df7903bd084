import type { DeviceSpec } from '@machinist/api'
import { RegisterBlock, type RegisterState } from '@machinist/registers'

const table = {
  PERIOD: { offset: 0x0, access: 'rw', writable: 0xffff }, // milliseconds from tick to tick; 0 stops
  COUNT: { offset: 0x4, access: 'ro' },                    // ticks so far
  STATUS: { offset: 0x8, access: 'w1c', writable: 1 },     // 1 after a tick; the interrupt line follows it
} as const

export const metronome: DeviceSpec<object, RegisterState, 'tick', Record<never, never>> = {
  kind: 'metronome', stateVersion: 1, backends: {},
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 12, space: 'mmio' }],
  irqs: () => ['tick'],
  create(_config, { name, trace, clock, irq }) {
    const timer = clock.timer('beat')
    const registers = new RegisterBlock(table, { name, trace, write: { PERIOD: () => arm(), STATUS: () => update() } })
    const arm = (): void => timer.arm(clock.now() + (registers.get('PERIOD') * 1e6 || Infinity))
    const update = (): void => irq.tick.set(registers.get('STATUS') === 1)
    return {
      read: (_region, offset, width) => registers.read(offset, width),
      write: (_region, offset, width, value) => registers.write(offset, width, value),
      event() { registers.set('COUNT', registers.get('COUNT') + 1); registers.set('STATUS', 1); arm(); update() },
      reset() { registers.reset(); arm(); update() },
      save: () => registers.save(),
      restore(state) { registers.restore(state); arm(); update() },
    }
  },
  describe(_config, at, { fdt }) {
    const base = at.regions[0]?.base ?? 0
    fdt?.child('soc').child(`metronome@${base.toString(16)}`).set('compatible', 'example,metronome').set('reg', [{ u64: base }, { u64: 12 }])
  },
}
