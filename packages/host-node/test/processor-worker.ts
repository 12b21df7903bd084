/** A processor in a worker, for tests: fake harts, a device that does harm to its thread, and one with a network. */
import type { DeviceSpec } from '@machinist/api'
import { macAt, macBytes, parseMac } from '@machinist/packets'
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

/** Sends what is stored in it to everybody, and reads as what came last, once; 0 for nothing, 33 for what came from its own address. */
const knocker: DeviceSpec<object, { readonly heard: number }, never, { readonly net: 'net' }> = {
  kind: 'knocker',
  stateVersion: 1,
  backends: { net: 'net' },
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 4, space: 'mmio' }],
  irqs: () => [],
  create(_config, { backends: { net } }) {
    let heard = 0
    const own = parseMac(net.address ?? '') ?? 0
    net.listen({
      readable() { for (let frame = net.receive(); frame !== null; frame = net.receive()) heard = macAt(frame.bytes, 6) === own ? 33 : frame.bytes[14] ?? 0 },
      writable() {},
      linkChanged() {},
    })
    return {
      read() {
        const last = heard
        heard = 0
        return last
      },
      write(_region, _offset, _width, value) {
        const bytes = new Uint8Array(60).fill(0xff, 0, 6)
        bytes.set(macBytes(own), 6)
        bytes[14] = value
        net.send({ bytes })
      },
      reset() {},
      save: () => ({ heard }),
      restore(state) { ({ heard } = state) },
    }
  },
}

serveProcessor({ catalogue: [fakeCpu, gadget, hub, harm, knocker] })
