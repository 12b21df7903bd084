/** Numbers of the memory device (virtio 1.2, 5.15). */

/** Feature bits (5.15.3). ACPI_PXM (0) is not offered: there is one node. */
export const memFeature: { readonly unpluggedInaccessible: 1 } = { unpluggedInaccessible: 1 }

/** Offsets in the configuration space (5.15.4), and its size. */
export const memConfig: {
  readonly blockSize: 0
  readonly nodeId: 8
  readonly addr: 16
  readonly regionSize: 24
  readonly usableRegionSize: 32
  readonly pluggedSize: 40
  readonly requestedSize: 48
  readonly size: 56
} = { blockSize: 0, nodeId: 8, addr: 16, regionSize: 24, usableRegionSize: 32, pluggedSize: 40, requestedSize: 48, size: 56 }

/** Requests: type (16 bits), at 8 an address (64), at 16 a number of blocks (16); 24 bytes (5.15.6). */
export const memRequest: { readonly plug: 0, readonly unplug: 1, readonly unplugAll: 2, readonly state: 3 } = { plug: 0, unplug: 1, unplugAll: 2, state: 3 }
export const memRequestSize = 24

/** Answers: type (16 bits), at 8 a state (16); 10 bytes. */
export const memResponse: { readonly ack: 0, readonly nack: 1, readonly busy: 2, readonly error: 3 } = { ack: 0, nack: 1, busy: 2, error: 3 }
export const memResponseSize = 10
export const memState: { readonly plugged: 0, readonly unplugged: 1, readonly mixed: 2 } = { plugged: 0, unplugged: 1, mixed: 2 }
