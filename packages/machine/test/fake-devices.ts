import type { DeviceContext, DeviceSpec, IrqLine } from '@machinist/api'

/** Registers: 0 writes a byte to the console, 36 sends one, 40 says whether there is more output, of which its timer is the end, 4 ends the machine, 8 resets it, 12 arms a timer so many ns ahead, 16 reads time, 20 acknowledges, 24 throws. */
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

interface HubConfig {
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

/** Begins to read a sector into the first page of RAM when register 0 is written; register 4 counts what is done. */
export const reader: DeviceSpec<object, number, never, { readonly disk: 'block' }> = {
  kind: 'reader',
  stateVersion: 1,
  backends: { disk: 'block' },
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 8, space: 'mmio' }],
  irqs: () => [],
  create(_config, context) {
    let done = 0
    return {
      read: () => done,
      write() {
        const views = context.dma.map(0x8000_0800, 512, 'write')
        if (views !== null) context.backends.disk.read(0, views, () => { done++ })
      },
      reset() { done = 0 },
      save: () => done,
      restore(state) { done = state },
    }
  },
}

/** Has memory of its own, whose beginning it reads from its disk at the first reset. Register 0 reads the number of pages written since. */
export const bank: DeviceSpec<{ readonly size: number; readonly align?: number }, object, never, { readonly disk: 'block' }> = {
  kind: 'bank',
  stateVersion: 1,
  backends: { disk: 'block' },
  configure: (input) => input as { size: number; align?: number },
  regions: () => [{ name: 'registers', size: 8, space: 'mmio' }],
  irqs: () => [],
  memory: (config) => [{ name: 'bank', ...config }],
  create(_config, { ownMemory: [memory], backends: { disk } }) {
    let full = false
    return {
      read: () => memory?.takeDirty().length ?? 0,
      write() {},
      reset() {
        const bytes = new Uint8Array(512)
        if (!full) disk.read(0, [bytes], () => { memory?.write(0, bytes) })
        full = true
      },
      save: () => ({}),
      restore() {},
    }
  },
}

/** A PCI function. Register 0 raises its interrupt (if odd) and sends message 0, 4 writes a word to RAM, 8 throws; reading 0 counts writes. */
export const card: DeviceSpec<object, number, 'intx', Readonly<Record<never, never>>> = {
  kind: 'card',
  stateVersion: 1,
  backends: {},
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 16, space: 'mmio' }],
  irqs: () => ['intx'],
  pci: () => ({
    vendorId: 0x1234, deviceId: 1, revision: 0, classCode: 0xff_0000, subsystemVendorId: 0, subsystemId: 0,
    bars: [{ index: 0, type: 'memory32', region: 0 }], capabilities: [], msix: { vectors: 1, bar: 1 },
  }),
  create(_config, context) {
    let count = 0
    return {
      read: () => count,
      write(_region, offset, _width, value) {
        count++
        if (offset === 0) {
          context.irq.intx.set(value % 2 === 1)
          context.msi?.send(0)
        } else if (offset === 4) context.dma.write(0x8000_0900, Uint8Array.of(value, 0, 0, 0))
        else if (offset === 8) throw new Error('a bug in the card')
      },
      reset() { count = 0 },
      save: () => count,
      restore(state) { count = state },
    }
  },
}
