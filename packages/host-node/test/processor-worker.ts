/** A processor in a worker, for tests: fake harts, and a device that does harm to its thread. */
import type { DeviceSpec } from '@machinist/api'
import { fakeCpu, gadget, hub } from '@machinist/machine/testing'
import { serveProcessor } from '../src/processors/serve-processor.ts'

/** Register 0 never comes back, 4 throws where nobody catches it, 8 ends the thread, 12 takes all of its heap. */
const harm: DeviceSpec<object, null, never, Readonly<Record<never, never>>> = {
  kind: 'harm',
  stateVersion: 1,
  backends: {},
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 16, space: 'mmio' }],
  irqs: () => [],
  create: () => ({
    read: () => 0,
    write(_region, offset) {
      if (offset === 0) for (;;);
      if (offset === 4) setImmediate(() => { throw new Error('a bug in the host') })
      if (offset === 8) process.exit(3)
      if (offset === 12) {
        const heap: number[][] = []
        for (;;) heap.push(new Array<number>(1 << 16).fill(1.5))
      }
    },
    reset() {},
    save: () => null,
    restore() {},
  }),
}

serveProcessor({ catalogue: [fakeCpu, gadget, hub, harm] })
