/** Numbers of the console device (virtio 1.2, 5.3). */

/** Feature bits (5.3.3). */
export const consoleFeature = { size: 0, multiport: 1, emergencyWrite: 2 } as const

/** Byte offsets in the configuration space (5.3.4). */
export const consoleConfig = { columns: 0, rows: 2, maxPorts: 4, emergencyWrite: 8, size: 12 } as const

/** Queues of control messages, when there are several ports (5.3.2). */
export const controlQueue = { receive: 2, transmit: 3 } as const

/** `struct virtio_console_control`: id (le32), event (le16), value (le16) (5.3.6.2). */
export const controlSize = 8

/** Events in control messages (5.3.6.2). */
export const controlEvent = {
  deviceReady: 0, deviceAdd: 1, deviceRemove: 2, portReady: 3, consolePort: 4, resize: 5, portOpen: 6, portName: 7,
} as const

/** Receive queue of a port; the transmit queue is the next one (5.3.2). */
export function receiveQueueOf(port: number): number {
  return port === 0 ? 0 : 2 * port + 2
}
