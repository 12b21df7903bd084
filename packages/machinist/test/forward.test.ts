/** A machine that is not where it is looked for had better not be. */
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { virt } from '@machinist/boards'
import { nodeHost } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { expect, it } from 'vitest'

it.each(['tcp', 'udp'] as const)('a %s forward whose port is taken ends the machine before it has done anything', async (protocol) => {
  const taken = protocol === 'tcp' ? createServer() : createSocket('udp4')
  const at = await new Promise<AddressInfo>((resolve) => {
    const ready = (): void => { resolve(taken.address() as AddressInfo) }
    if ('bind' in taken) taken.bind(0, '127.0.0.1', ready)
    else taken.listen(0, '127.0.0.1', ready)
  })
  const forward = `${protocol}:127.0.0.1:${at.port}-:22`
  const blueprint = virt({ memory: 16 * 2 ** 20, nets: [{ type: 'nat', forward: [forward] }] })
  const start = () => createMachine({ ...blueprint, definition: { ...blueprint.definition, boot: { protocol: 'raw', images: [{ name: 'loop', at: 0x8000_0000, bytes: Uint8Array.of(0x6f, 0, 0, 0) }], entry: 0x8000_0000 } } }, nodeHost())
  const machine = start()
  machine.start()
  const { status, error } = await machine.finished()
  machine.dispose()
  expect({ status, code: (error as { code?: string } | null)?.code, message: error?.message }).toEqual({
    status: 1, code: 'nat-forward',
    message: `forward ${forward}: the host does not give its port: it is taken (127.0.0.1 port ${at.port}). Take another port or address, or end what has it.`,
  })
  await new Promise<void>((resolve) => { taken.close(() => { resolve() }) })
  // The same goes once it is free.
  const second = start()
  await new Promise((resolve) => { setImmediate(resolve) })
  second.start()
  await new Promise((resolve) => { setTimeout(resolve, 50) })
  expect(second.state).toBe('running')
  second.dispose()
})
