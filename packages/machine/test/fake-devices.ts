import type { DeviceSpec } from '@machinist/api'

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
