import type { DeviceContext, DeviceSpec, IrqLine } from '@machinist/api'

/** A device for tests. Registers: 0 writes a byte to the console, 36 sends one, 40 says whether there is more output, of which its timer is the end, 4 ends the machine, 8 resets it, 12 arms a timer so many ns ahead, 16 reads time, 20 acknowledges, 24 throws. */
export const gadget: DeviceSpec<{ readonly size: number }, { count: number }, 'out', { readonly console: 'char'; readonly power: 'power' }> = {
  kind: 'gadget',
  stateVersion: 2,
  backends: { console: 'char', power: 'power' },
  configure: (input) => ({ size: typeof input === 'object' && input !== null && 'size' in input && typeof input.size === 'number' ? input.size : 0x100 }),
  regions: (config) => [{ name: 'registers', size: config.size, space: 'mmio' }],
  irqs: () => ['out'],
  create(_config, context) {
    let count = 0
    return {
      read(_region, offset) {
        if (offset === 16) return context.clock.now() % 2 ** 32
        if (offset === 28) return count
        return 0
      },
      write(_region, offset, _width, value) {
        if (offset === 0) context.backends.console.write(Uint8Array.of(value))
        else if (offset === 36) context.backends.console.send(Uint8Array.of(value))
        else if (offset === 40) context.backends.console.more(value === 1)
        else if (offset === 4) context.backends.power.off(value)
        else if (offset === 8) context.backends.power.reset()
        else if (offset === 12) context.clock.timer('tick').arm(context.clock.now() + value)
        else if (offset === 20) context.irq.out.set(false)
        else if (offset === 24) throw new Error('a bug in the gadget')
        else if (offset === 32) for (let i = 0; i < 100; i++) context.trace.warn('complaint')
      },
      event() {
        count++
        context.backends.console.more(false)
        context.irq.out.set(true)
      },
      reset(kind) {
        if (kind === 'cold') count = 0
      },
      save: () => ({ count }),
      restore(state) {
        if (typeof state.count !== 'number' || state.count < 0) throw new Error('bad state')
        count = state.count
        context.irq.out.set(count > 0)
      },
    }
  },
  migrate: (old, from) => ({ count: from === 1 && typeof old === 'number' ? old : -1 }),
  describe(_config, at, out) {
    out.fdt?.child('soc').child(`serial@${(at.regions[0]?.base ?? 0).toString(16)}`).label(at.name).set('compatible', 'test,gadget')
      .set('interrupts-extended', at.irqs.flatMap(({ to, line }) => [{ ref: to }, Number(line)]))
  },
}

/** Configuration of the {@link hub}. */
export interface HubConfig {
  /** How many inputs it has; 32 unless given. */
  readonly inputs: number
}

/** An interrupt controller whose output is the OR of its inputs. Register 0 reads the inputs. */
export const hub: DeviceSpec<HubConfig, { levels: number[] }, 'cpu'> = {
  kind: 'hub',
  stateVersion: 1,
  backends: {},
  configure: (input) => ({ inputs: typeof input === 'object' && input !== null && 'inputs' in input && typeof input.inputs === 'number' ? input.inputs : 32 }),
  regions: () => [{ name: 'registers', size: 0x1000, space: 'mmio' }],
  irqs: () => ['cpu'],
  inputs: (config) => config.inputs,
  defaultRoute: () => ({ to: 'cpu', line: 'hart0.meip' }),
  create(_config, context: DeviceContext<'cpu'>) {
    const levels = new Set<number>()
    const out: IrqLine = context.irq.cpu
    return {
      read: () => [...levels].reduce((sum, line) => sum + 2 ** line, 0),
      write() {},
      input(line, level) {
        if (level) levels.add(line)
        else levels.delete(line)
        out.set(levels.size > 0)
      },
      message(_region, offset, data) {
        levels.add(offset / 4 + data)
        out.set(true)
      },
      reset() { levels.clear() },
      save: () => ({ levels: [...levels] }),
      restore(state) {
        levels.clear()
        for (const line of state.levels) levels.add(line)
      },
    }
  },
  describe(_config, at, out) {
    out.fdt?.child('soc').child(`hub@${(at.regions[0]?.base ?? 0).toString(16)}`).label(at.name)
  },
}
